"""Other places to listen at than a TCP port: a Unix socket, TLS, and several at once."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.endpoints import SSL4ClientEndpoint, UNIXClientEndpoint
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.web.client import BrowserLikePolicyForHTTPS

from tests.certificates import Authority
from tests.ports import free_port
from tests.scenarios.clients import Raw
from tests.scenarios.meshes import static
from tests.scenarios.stage import Stage

network: Any = reactor

GET = b"GET /where HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest_twisted.ensureDeferred
async def test_unix_socket(stage: Stage) -> None:
    """A Unix socket serves like a port, has the permissions it was told, and is gone in the end; so with the admin
    side, which then asks only the socket's permissions."""
    ours = stage.instance("ours")
    folder = stage.folder()
    public, admin = folder / "public.sock", folder / "admin.sock"
    places = {"listen": f"unix:{public}:mode=660", "admin_listen": f"unix:{admin}:mode=600"}
    mesh = static([ours.address], changes={"gateway": places})
    program = await stage.gateway(mesh.text)
    assert public.stat().st_mode & 0o777 == 0o660
    assert admin.stat().st_mode & 0o777 == 0o600
    raw = await Raw.connect(UNIXClientEndpoint(network, str(public)))
    stage.at_end(raw.abort)
    for _ in range(2):
        raw.send(GET)
        answer = await raw.answer()
        assert (answer.status, answer.json["path"]) == (200, "/where")
    assert answer.json["headers"]["x-forwarded-proto"] == "http"
    looking = await Raw.connect(UNIXClientEndpoint(network, str(admin)))
    stage.at_end(looking.abort)
    looking.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await looking.answer()).json["status"] == "healthy"
    assert await program.stop() == 0
    stage.assert_nothing_left(program)


@pytest_twisted.ensureDeferred
async def test_unix_socket_left_behind(stage: Stage) -> None:
    """A socket file that a killed gateway left is no reason not to start."""
    ours = stage.instance("ours")
    public = stage.folder() / "public.sock"
    mesh = static([ours.address], changes={"gateway": {"listen": f"unix:{public}"}})
    first = await stage.gateway(mesh.text)
    os.kill(first.pid, signal.SIGKILL)
    await first.ended()
    assert public.exists()
    second = await stage.gateway(mesh.text)
    raw = await Raw.connect(UNIXClientEndpoint(network, str(public)))
    stage.at_end(raw.abort)
    raw.send(GET)
    assert (await raw.answer()).status == 200
    assert await second.stop() == 0
    stage.assert_nothing_left(second)


@pytest_twisted.ensureDeferred
async def test_socket_of_systemd(stage: Stage) -> None:
    """A socket that systemd opened is served. It stays open when the gateway stops, so that whoever connects in between
    is answered by the next one."""
    ours = stage.instance("ours")
    mesh = static([ours.address], changes={"gateway": {"listen": "systemd:domain=INET:index=0"}})
    with socket.create_server(("127.0.0.1", 0)) as listening:
        first = stage.launch(mesh.text, listening=listening)
        await first.ready()
        port = listening.getsockname()[1]
        assert any(f"http://localhost:{port}/" in line for line in first.lines), first.output
        assert (await stage.client(port).get("/")).json["instance"] == "ours"
        assert await first.stop() == 0
        stage.assert_nothing_left(first)
        early = await stage.raw(port)
        early.send(GET)
        second = stage.launch(mesh.text, listening=listening)
        await second.ready()
        assert (await early.answer()).status == 200


@pytest_twisted.ensureDeferred
async def test_tls(stage: Stage) -> None:
    """With a certificate, the gateway speaks TLS to clients that check it, tells instances that it was https, and plain
    HTTP to that port gets nowhere. A second, plain listener beside it says http."""
    ours = stage.instance("ours")
    authority = Authority(stage.folder("authority"))
    certificate, key = authority.issue("gateway", "localhost")
    secure, plain = free_port(), free_port()
    listen = f"\n    ssl:{secure}:privateKey={key}:certKey={certificate}\n    tcp:{plain}"
    mesh = static([ours.address], changes={"gateway": {"listen": listen}})
    program = await stage.gateway(mesh.text)
    assert any(f"https://localhost:{secure}/" in line for line in program.lines), program.output

    root = trustRootFromCertificates([Certificate.loadPEM(Path(authority.ca).read_bytes())])
    trusting = BrowserLikePolicyForHTTPS(root)
    client = stage.client(f"https://localhost:{secure}", context=trusting)
    for _ in range(2):
        answer = await client.get("/where")
        assert (answer.status, answer.json["headers"]["x-forwarded-proto"]) == (200, "https"), answer
    big = await client.ask("POST", "/where", b"x" * 1_000_000)
    assert big.status == 200, big
    beside = await stage.client(plain).get("/where")
    assert beside.json["headers"]["x-forwarded-proto"] == "http"

    raw = await Raw.connect(SSL4ClientEndpoint(network, "127.0.0.1", secure, optionsForClientTLS("localhost", root)))
    raw.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert (await raw.answer()).status == 200
    assert await raw.closed() == "ConnectionDone", "the end was not told by TLS's own close"

    lost = await stage.raw(secure)
    lost.send(GET)
    await lost.closed()
    assert b"HTTP/1.1 200" not in lost.received
    assert await program.stop() == 0
    stage.assert_nothing_left(program)
