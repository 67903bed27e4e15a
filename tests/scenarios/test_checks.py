"""Health checks of every kind through a running gateway: what it asks, what it finds, and what it says of it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest_twisted
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol

from tests.control.probes.certificates import Authority
from tests.ports import free_port
from tests.scenarios.clients import Client, Load
from tests.scenarios.meshes import static
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until

network: Any = reactor

FAST = {"health_check_interval": "200ms", "health_check_fast_interval": "50ms", "health_check_timeout": "2s"}


class Page(Protocol):
    """Answers every request with `factory.page`, and counts them."""

    def dataReceived(self, data: bytes) -> None:
        factory: Any = self.factory
        factory.asked.append(data)
        self.transport.write(factory.page)
        self.transport.loseConnection()


def page(stage: Stage, content: bytes, *, port: int = 0, tls: Any = None) -> Any:
    """A server of one page; `port` where it listens, `asked` what it was asked, `page` what it says."""
    factory: Any = Factory.forProtocol(Page)
    factory.noisy = False
    factory.asked = []
    factory.page = content
    if tls is None:
        listening = network.listenTCP(port, factory, interface="127.0.0.1")
    else:
        listening = network.listenSSL(port, factory, tls, interface="127.0.0.1")
    factory.port = listening.getHost().port
    factory.close = listening.stopListening
    stage.at_end(listening.stopListening)
    return factory


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def instance(client: Client, service: str = "x") -> Any:
    [found] = (await client.get(f"/service-mesh/health/{service}")).json["instances"]
    return found


async def until_it_is(client: Client, health: str, reason: str, service: str = "x") -> None:
    async def look() -> bool:
        found = await instance(client, service)
        return found["health"] == health and reason in found["last_result"]

    await until(f"it is {health} ({reason})", look)


@pytest_twisted.ensureDeferred
async def test_https_at_another_port(stage: Stage) -> None:
    """Traffic goes to one port in the clear, checks to another over TLS, with a Host and a method of their own. A
    certificate that ends soon is warned of, once; one for somebody else, or one that has expired, is the end of it."""
    authority = Authority(stage.folder("authority"))
    one = stage.instance("one")
    health = page(stage, OK, tls=authority.options("shop.example", until=3))
    options = {
        **FAST,
        "health_check_type": "https",
        "health_check_port": str(health.port),
        "health_check_method": "HEAD",
        "health_check_host": "shop.example",
        "health_check_headers": "\n    Authorization: Bearer x\n    X-Probe: yes",
        "health_check_tls_name": "shop.example",
        "health_check_tls_ca": str(authority.file),
    }
    mesh = static([one.address], changes={"service:x": options})
    program = await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    assert (await client.get("/")).json["instance"] == "one"
    assert one.checks == 0
    asked = health.asked[0].decode().split("\r\n")
    assert asked[:2] == ["HEAD /health HTTP/1.1", "Host: shop.example"], asked
    assert {"Authorization: Bearer x", "X-Probe: yes"} <= set(asked), asked
    await until("it was asked often", lambda: len(health.asked) > 4)
    warning = (await instance(client))["warning"]
    assert warning.startswith("the certificate for shop.example ends at "), warning
    [line] = (line for line in program.complaints if "certificate" in line)
    assert line.endswith(f"x: {warning}"), line

    for options_of, reason in (
        (authority.options("other.example"), "the certificate is not for shop.example"),
        (authority.options("shop.example", until=-1), "the certificate has expired"),
    ):
        await health.close()
        health = page(stage, OK, port=health.port, tls=options_of)
        await until_it_is(client, "unhealthy", reason)
        assert health.asked == [], "it asked somebody whom it does not trust"
    await health.close()
    health = page(stage, OK, port=health.port, tls=authority.options("shop.example"))
    await until_it_is(client, "healthy", "status 200")
    assert (await instance(client))["warning"] is None


class Talker(WebSocketServerProtocol):
    """Echoes, and answers pings while `factory.awake`."""

    factory: Any

    def onConnect(self, request: Any) -> Any:
        self.factory.paths.append(request.path)
        return super().onConnect(request)

    def onPing(self, payload: bytes) -> None:
        if self.factory.awake:
            super().onPing(payload)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary)


@pytest_twisted.ensureDeferred
async def test_websocket_of_any_origin(stage: Stage) -> None:
    """A WebSocket that opens, pings and echoes is well; one that opens and does not answer is not. That holds for an
    instance that registered itself as for one of the configuration."""
    server: Any = WebSocketServerFactory()
    server.protocol, server.noisy, server.awake, server.paths = Talker, False, True, []
    listening = network.listenTCP(0, server, interface="127.0.0.1")
    stage.at_end(listening.stopListening)
    where = listening.getHost().port
    options = {
        **FAST,
        "health_check_timeout": "300ms",
        "protocol": "websocket",
        "health_check_type": "websocket",
        "health_check_message": '{"are": "you there?"}',
    }
    guests = {"routes": "/guests/", "health_endpoint": "/guests", **options}
    changes = {
        "registry": {"url": "embedded:"},
        "mesh": {"state_dir": "."},
        "service:x": {**options},
        "service:y": guests,
    }
    mesh = static([f"127.0.0.1:{where}"], changes=changes)
    stage.keep(stage.folder() / "registry-snapshot.json")
    program = stage.launch(mesh.text)
    await program.says("listening: ")
    client = stage.client(mesh.port)
    body = json.dumps({"host": "127.0.0.1", "port": where}).encode()
    answer = await client.ask("PUT", "/service-mesh/registry/y/guest", body, {"Content_Type": "application/json"})
    assert answer.status == 201, answer
    for service in ("x", "y"):
        await until_it_is(client, "healthy", "pong, and the message expected", service)
    assert set(server.paths) == {"/health", "/guests"}, server.paths
    server.awake = False
    for service in ("x", "y"):
        await until_it_is(client, "unhealthy", "no pong in 0.3 s", service)
    server.awake = True
    for service in ("x", "y"):
        await until_it_is(client, "healthy", "pong, and the message expected", service)


@pytest_twisted.ensureDeferred
async def test_an_expression_that_would_search_for_ever(stage: Stage) -> None:
    """It fails its own check, with words that say what to do, and holds up nobody else."""
    one = stage.instance("one")
    endless = page(stage, b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 100 + b"!")
    slow = {
        **FAST,
        "instances": f"127.0.0.1:{endless.port}",
        "routes": "/slow/",
        "health_endpoint": "/",
        "health_check_expected_body": "(a+)+$",
    }
    mesh = static([one.address], changes={"service:slow": slow})
    program = stage.launch(mesh.text)
    await program.says("listening: ")
    client = stage.client(mesh.port)
    load = Load(client, "/")
    await load.until("somebody answers", lambda served: served["one"] > 10)
    await until_it_is(client, "unhealthy", "takes too long to search", "slow")
    before = len(endless.asked)
    began = time.monotonic()
    await until("it was searched ten times more", lambda: len(endless.asked) > before + 10)
    served = await load.more(50)
    print(f"{served} in {time.monotonic() - began:.2f} s with a search that is given up every 0.05 to 0.2 s")
    await load.stop()
    assert load.failures == []


@pytest_twisted.ensureDeferred
async def test_redirects_lead_nowhere(stage: Stage) -> None:
    """Whoever a check is redirected to is never asked: not even where a redirect counts as healthy."""
    target = page(stage, OK)
    sent = page(
        stage,
        f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{target.port}/\r\nContent-Length: 0\r\n\r\n".encode(),
    )
    accepts = {**FAST, "health_check_expected_status": "3xx"}
    mesh = static([f"127.0.0.1:{sent.port}"], changes={"service:x": FAST})
    program = stage.launch(mesh.text)
    await program.says("listening: ")
    await until_it_is(stage.client(mesh.port), "unhealthy", "status 302, expected 200 or 204")
    await program.stop()
    mesh = static([f"127.0.0.1:{sent.port}"], changes={"service:x": accepts})
    await stage.gateway(mesh.text)
    await until_it_is(stage.client(mesh.port), "healthy", "status 302")
    assert target.asked == []


@pytest_twisted.ensureDeferred
async def test_hundreds_that_hang(stage: Stage) -> None:
    """Hundreds of instances that accept and say nothing cannot keep one that is well from being checked on."""
    one = stage.instance("one", free_port())
    silent = Factory.forProtocol(Protocol)
    silent.noisy = False
    listening = network.listenTCP(0, silent, interface="0.0.0.0")
    stage.at_end(listening.stopListening)
    port = listening.getHost().port
    many = ", ".join(f"127.0.{number // 250 + 1}.{number % 250 + 1}:{port}" for number in range(500))
    hang = {
        "instances": many,
        "routes": "/hang/",
        "health_endpoint": "/",
        "health_check_timeout": "5s",
        "health_check_interval": "1s",
        "health_check_retries": "1",
    }
    changes = {"mesh": {"health_check_batch": "20"}, "service:hang": hang, "service:x": FAST}
    mesh = static([one.address], changes=changes)
    program = stage.launch(mesh.text)
    await program.says("listening: ")
    client = stage.client(mesh.port)

    async def failing() -> bool:
        failed: int = (await client.get("/services/hang")).json["checks"]["failed"]
        return failed >= 40

    await until("some of them were found to hang", failing, 30.0)
    before = one.checks
    await until("the other is checked on", lambda: one.checks > before + 10)
