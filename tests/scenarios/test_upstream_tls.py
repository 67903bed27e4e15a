"""Instances that are spoken to over TLS: who is trusted gets the requests, and nobody else gets a byte of them."""

from __future__ import annotations

import os
from typing import Any

import pytest
import pytest_twisted
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet import reactor
from twisted.protocols.tls import TLSMemoryBIOFactory

from tests.certificates import Authority
from tests.scenarios.instances import Instance
from tests.scenarios.meshes import Mesh, static
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until

network: Any = reactor

FAST = {"health_check_interval": "200ms", "health_check_fast_interval": "50ms", "health_check_timeout": "2s"}
UNCHECKED = {"health_check_enabled": "no", "health_endpoint": "", "timeout_connect": "1s"}


def secure(authority: Authority, *instances: Instance, **options: str) -> Mesh:
    """A mesh that speaks TLS to these, and trusts this authority."""
    told = {"protocol": "https", "tls_ca": authority.ca, **options}
    return static([instance.address for instance in instances], changes={"service:x": told})


def bad_one(stage: Stage, kind: str, authority: Authority) -> tuple[Instance, str]:
    """An instance that must not get anything, and what is said of it."""
    if kind == "wrong name":
        tls = authority.instance_options("elsewhere.internal")
        return stage.instance("bad", tls=tls), "the certificate is not for 127.0.0.1 but for elsewhere.internal"
    if kind == "expired":
        return stage.instance("bad", tls=authority.instance_options(days=-1)), "the certificate has expired"
    if kind == "unknown authority":
        stranger = Authority(stage.folder("stranger"))
        return stage.instance("bad", tls=stranger.instance_options()), "signed by an authority that is not trusted"
    if kind == "asks for a certificate":
        return stage.instance("bad", tls=authority.instance_options(ask=True)), "it asks for a client certificate"
    assert kind == "plain"
    return stage.instance("bad"), "no handshake within 1 s; does it speak TLS?"


KINDS = ["wrong name", "expired", "unknown authority", "asks for a certificate", "plain"]


@pytest.mark.parametrize("kind", KINDS)
@pytest_twisted.ensureDeferred
async def test_a_bad_one_among_good_ones(stage: Stage, kind: str) -> None:
    """Clients notice nothing, not even those that POST; the log of decisions says why the other one was passed over."""
    authority = Authority(stage.folder("authority"))
    bad, reason = bad_one(stage, kind, authority)
    good = stage.instance("good", tls=authority.instance_options())
    mesh = secure(authority, bad, good, **UNCHECKED)
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    for number in range(12):
        answer = await (client.post("/buy", {"number": number}) if number % 2 else client.get("/look"))
        assert (answer.status, answer.headers["x-served-by"]) == (200, "good"), answer
    assert bad.requests == 0
    decisions = (await stage.client(mesh.admin).get("/service-mesh/decisions")).body.decode()
    assert f"connect_failed: TLS to {bad.address} failed: " in decisions
    assert reason in decisions


@pytest.mark.parametrize("kind", KINDS)
@pytest_twisted.ensureDeferred
async def test_nobody_but_a_bad_one(stage: Stage, kind: str) -> None:
    """A 502 that says which name was meant and what was wrong; nothing is ever sent to it."""
    authority = Authority(stage.folder("authority"))
    bad, reason = bad_one(stage, kind, authority)
    mesh = secure(authority, bad, **UNCHECKED)
    await stage.gateway(mesh.text)
    answer = await stage.client(mesh.port).post("/buy", {"card": "4111"})
    assert (answer.status, answer.json["error"]) == (502, "instance_unreachable"), answer
    assert reason in answer.json["reason"], answer
    assert bad.address in answer.json["reason"], answer
    assert bad.requests == 0


@pytest_twisted.ensureDeferred
async def test_checks_ask_as_the_traffic_does(stage: Stage) -> None:
    """By name, with our certificate; an instance that fails them takes no requests, and the reason is shown."""
    authority = Authority(stage.folder("authority"))
    good = stage.instance("good", tls=authority.instance_options("shop.internal", ask=True))
    bad = stage.instance("bad", tls=authority.instance_options("other.internal", ask=True))
    cert, key = authority.issue("gateway")
    mesh = secure(authority, good, bad, tls_name="shop.internal", tls_cert=cert, tls_key=key, **FAST)
    await stage.gateway(mesh.text)
    admin = stage.client(mesh.admin)

    async def settled() -> bool:
        instances = (await admin.get("/service-mesh/health/x")).json["instances"]
        return {(each["address"], each["health"]) for each in instances} == {
            (good.address, "healthy"),
            (bad.address, "unhealthy"),
        }

    await until("checks have told them apart", settled)
    told = (await admin.get("/service-mesh/health/x")).body.decode()
    assert "the certificate is not for shop.internal but for other.internal" in told
    for _ in range(4):
        assert (await stage.client(mesh.port).get("/")).headers["x-served-by"] == "good"
    assert good.checks and not bad.checks


@pytest_twisted.ensureDeferred
async def test_rotation(stage: Stage) -> None:
    """An instance comes back with a new certificate, then with one of a new authority: trusted when its file is there,
    and not before; the gateway is never restarted."""
    authority = Authority(stage.folder("authority"))
    first = stage.instance("first", tls=authority.instance_options())
    mesh = secure(authority, first, **UNCHECKED, circuit_breaker_enabled="no", outlier_detection="no")
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    for _ in range(3):
        assert (await client.get("/")).headers["x-served-by"] == "first"

    async def replaced(old: Instance, name: str, by: Authority) -> Instance:
        await old.close()
        return stage.instance(name, old.port, tls=by.instance_options())

    # Kept connections go on with the certificate that was shown on them, until they end.
    second = await replaced(first, "second", authority)
    first.drop()
    assert (await client.get("/")).headers["x-served-by"] == "second"
    following = Authority(stage.folder("following"))
    third = await replaced(second, "third", following)
    second.drop()
    answer = await client.get("/")
    assert (answer.status, "not trusted" in answer.json["reason"]) == (502, True), answer
    os.replace(following.ca, authority.ca)
    assert (await client.get("/")).headers["x-served-by"] == "third"
    assert third.requests == 1


@pytest_twisted.ensureDeferred
async def test_websockets(stage: Stage) -> None:
    """The gateway speaks plain to its clients and TLS to the instance; what passes through is untouched."""

    class Echo(WebSocketServerProtocol):
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            self.sendMessage(payload, isBinary)

    authority = Authority(stage.folder("authority"))
    factory: Any = WebSocketServerFactory()
    factory.protocol = Echo
    listening = network.listenTCP(
        0, TLSMemoryBIOFactory(authority.instance_options(), False, factory), interface="127.0.0.1"
    )
    stage.at_end(listening.stopListening)
    options = {"protocol": "websocket", "tls": "yes", "tls_ca": authority.ca, "health_endpoint": "/", **FAST}
    address = f"127.0.0.1:{listening.getHost().port}"
    mesh = static([address], changes={"service:x": {**options, "health_check_type": "websocket"}})
    await stage.gateway(mesh.text)
    raw = await stage.raw(mesh.port)
    raw.send(
        b"GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    status, fields = await raw.head()
    assert (status, fields["sec-websocket-accept"]) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    raw.send(b"\x82\x85\x00\x00\x00\x00hello")  # binary, masked with zeros
    await until("the echo comes", lambda: raw.received == b"\x82\x05hello")


@pytest_twisted.ensureDeferred
async def test_files_that_make_no_sense(stage: Stage) -> None:
    """The gateway does not start, and says which file of which option in which line it is."""
    authority = Authority(stage.folder("authority"))
    cert, _ = authority.issue("gateway")
    _, key = authority.issue("somebody")
    mesh = secure(authority, stage.instance("one"), tls_cert=cert, tls_key=key, health_check_tls_ca="/no/such.pem")
    program = await stage.gateway(mesh.text, ready=False)
    assert await program.ended() == 1
    assert "[service:x] tls_key: " in program.output, program.output
    assert f"{key} is not that of the certificate {cert}" in program.output
    assert "[service:x] health_check_tls_ca: /no/such.pem: No such file" in program.output
    assert "Traceback" not in program.output
    stage.assert_nothing_left(program)


@pytest_twisted.ensureDeferred
async def test_believing_anybody_is_told(stage: Stage) -> None:
    """Only where it was asked for, and with a warning at the start."""
    authority = Authority(stage.folder("authority"))
    shop = stage.instance("shop", tls=authority.instance_options("other.internal", days=-1))
    changes = {"service:x": {"protocol": "https", "tls_verify": "no"}}
    mesh = static([shop.address], changes=changes)
    program = await stage.gateway(mesh.text)
    assert (await stage.client(mesh.port).get("/")).status == 200
    assert "tls_verify: no instance has to prove who it is" in program.output
