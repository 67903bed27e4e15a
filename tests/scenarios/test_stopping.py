"""Told to stop, the gateway finishes what it has begun, takes nothing new, and leaves nothing."""

from __future__ import annotations

import signal
import socket

import pytest
import pytest_twisted

from tests.scenarios.meshes import Mesh, grocery
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until


def with_slow(address: str, drain: str = "20s") -> Mesh:
    """Pricing, launched, beside a service of our own; registered in an embedded registry."""
    slow = {"instances": address, "routes": "/slow", "strip_prefix": "no", "health_endpoint": "/health"}
    return grocery("walmart-pricing", changes={"service:ours": slow, "gateway": {"drain_timeout": drain}})


def refuses(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest_twisted.ensureDeferred
async def test_drain(stage: Stage, number: signal.Signals) -> None:
    """A request that runs when the signal comes is answered; meanwhile nobody new is let in, and what others wait
    for is not taken away; in the end the exit code is 0, and no process and no file is left."""
    ours = stage.instance("ours")
    mesh = with_slow(ours.address)
    program = await stage.gateway(mesh.text)
    slow = await stage.raw(mesh.port)
    slow.send(b"GET /slow HTTP/1.1\r\nHost: shop\r\n\r\n")
    idle = await stage.raw(mesh.port)
    idle.send(b"GET /walmart-pricing/api/price/12345 HTTP/1.1\r\nHost: shop\r\n\r\n")
    assert (await idle.answer()).status == 200
    await until("the instance has the slow request", lambda: ours.waiting)

    program.send(number)
    await program.says("stopping: 1 requests are running")
    await until("new connections are refused", lambda: refuses(mesh.port))
    await idle.closed()
    assert len(program.family()) == 2, program.family()
    assert not slow.total
    ours.release()
    answer = await slow.answer()
    assert (answer.status, answer.json["path"]) == (200, "/slow")
    assert answer.headers["connection"] == "close"

    assert await program.ended() == 0
    assert program.lines[-1] == "stopped"
    stage.assert_nothing_left(program)


@pytest_twisted.ensureDeferred
async def test_drain_timeout(stage: Stage) -> None:
    """A request that does not finish within drain_timeout is cut off, visibly: the client gets no answer at all."""
    ours = stage.instance("ours")
    mesh = with_slow(ours.address, drain="300ms")
    program = await stage.gateway(mesh.text)
    raw = await stage.raw(mesh.port)
    raw.send(b"GET /slow HTTP/1.1\r\nHost: shop\r\n\r\n")
    await until("the instance has the slow request", lambda: ours.waiting)
    assert await program.stop() == 0
    assert any("1 connections had not finished" in line for line in program.complaints), program.output
    assert await raw.closed() == "ConnectionLost"
    assert raw.received == b""
    stage.assert_nothing_left(program)


@pytest_twisted.ensureDeferred
async def test_second_signal(stage: Stage) -> None:
    """Who presses Ctrl-C again does not want to wait for the drain; the end is as orderly as ever."""
    ours = stage.instance("ours")
    mesh = with_slow(ours.address, drain="60s")
    program = await stage.gateway(mesh.text)
    raw = await stage.raw(mesh.port)
    raw.send(b"GET /slow HTTP/1.1\r\nHost: shop\r\n\r\n")
    await until("the instance has the slow request", lambda: ours.waiting)
    program.send(signal.SIGINT)
    await program.says("stopping: 1 requests are running")
    program.send(signal.SIGINT)
    assert await program.ended(5.0) == 0
    assert "Traceback" not in program.output
    stage.assert_nothing_left(program)


@pytest.mark.parametrize("moment", ["registry: ", "listening: ", "1 of 1 healthy"])
@pytest_twisted.ensureDeferred
async def test_stop_while_starting(stage: Stage, moment: str) -> None:
    """A signal in the middle of the start ends it there: exit code 0, nothing left, nothing to be read as an error."""
    mesh = grocery("walmart-api-server", "walmart-pricing")
    program = await stage.gateway(mesh.text, ready=False)
    await program.says(moment)
    assert await program.stop(signal.SIGINT) == 0
    assert not any(" is ready: " in line for line in program.lines), program.output
    assert "Traceback" not in program.output, program.output
    stage.assert_nothing_left(program)


@pytest_twisted.ensureDeferred
async def test_stop_with_open_websocket(stage: Stage) -> None:
    """A tunnel that nobody closes holds the gateway up for the drain timeout and no longer."""
    mesh = grocery("walmart-websocket", changes={"gateway": {"drain_timeout": "1s"}})
    program = await stage.gateway(mesh.text)
    raw = await stage.raw(mesh.port)
    raw.send(
        b"GET /walmart-websocket/echo HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    status, fields = await raw.head()
    assert (status, fields["sec-websocket-accept"]) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    assert await program.stop() == 0
    assert any("1 WebSockets are open" in line for line in program.lines), program.output
    await raw.closed()
    stage.assert_nothing_left(program)
