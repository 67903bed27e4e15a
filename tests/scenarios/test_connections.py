"""Clients by the thousand, and clients that mean ill."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults

from tests.scenarios.clients import Client, Load, Raw
from tests.scenarios.instances import Instance
from tests.scenarios.meshes import static
from tests.scenarios.program import Program
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until, within

CROWD = 2000
GET = b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: crowd\r\nAccept: */*\r\n\r\n"


@dataclass
class Fortress:
    """One gateway for all who attack it."""

    instance: Instance
    program: Program
    client: Client
    port: int


@pytest_twisted.async_yield_fixture(scope="module")
async def fortress(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fortress]:
    stage = Stage(tmp_path_factory.mktemp("fortress"))
    try:
        ours = stage.instance("ours")
        mesh = static([ours.address])
        program = await stage.gateway(mesh.text)
        yield Fortress(ours, program, stage.client(mesh.port), mesh.port)
    finally:
        await stage.close()


@pytest_twisted.ensureDeferred
async def test_idle_connections(stage: Stage) -> None:
    """Two thousand clients that keep their connection after one request cost less than 4 KB each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * CROWD:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(2 * CROWD, hard), hard))
    ours = stage.instance("ours")
    mesh = static([ours.address])
    program = await stage.gateway(mesh.text)
    few = DeferredSemaphore(32)

    async def join() -> Raw:
        raw = await stage.raw(mesh.port)
        raw.send(GET)
        assert (await raw.answer()).status == 200
        return raw

    async def crowd(size: int) -> list[Raw]:
        joined = gatherResults([few.run(Deferred.fromCoroutine, join()) for _ in range(size)], consumeErrors=True)
        return await within(f"{size} clients are answered", joined, 60.0)

    first = await crowd(200)
    before = program.memory()
    rest = await crowd(CROWD)
    each = (program.memory() - before) / CROWD
    print(f"{each:.0f} bytes for each idle connection")
    assert each < 4096
    assert not any(raw.lost for raw in (*first, *rest))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"a" * 40000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
    ],
)
@pytest_twisted.ensureDeferred
async def test_bad_requests(fortress: Fortress, sent: bytes, status: int) -> None:
    """What is no request, or could be two, is refused with the fitting status, in the gateway's own words, and the
    connection ends. The instance never hears of it, and everybody else is served on."""
    before = fortress.instance.requests
    raw = await Raw.connect(fortress.port)
    raw.send(sent)
    answer = await raw.answer()
    assert answer.status == status, answer
    assert answer.headers["connection"] == "close"
    assert answer.json["request_id"] == answer.headers["x-request-id"]
    await raw.closed()
    assert fortress.instance.requests == before
    assert (await fortress.client.get("/")).status == 200
    assert fortress.program.complaints == []


@pytest_twisted.ensureDeferred
async def test_slow_heads_and_bodies(stage: Stage) -> None:
    """Fifty clients that send their heads byte by byte, or stop in the middle of a body, get 408; a client that does
    nothing at all is let go; nobody else notices."""
    ours = stage.instance("ours")
    limits = {"header_timeout": "600ms", "body_timeout": "700ms", "idle_timeout": "1s"}
    mesh = static([ours.address], changes={"gateway": limits})
    program = await stage.gateway(mesh.text)
    load = Load(stage.client(mesh.port), "/")
    silent = await stage.raw(mesh.port)
    slow = [await stage.raw(mesh.port) for _ in range(50)]
    stuck = await stage.raw(mesh.port)
    stuck.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf of it")

    async def dribble(raw: Raw) -> None:
        letters = iter(range(10000))

        def one_more() -> bool:
            if b"\r\n\r\n" not in raw.received and raw.lost is None:
                raw.send(b"GET /" if next(letters) == 0 else b"a")
            return b"\r\n\r\n" in raw.received or raw.lost is not None

        await until("the gateway loses patience", one_more)
        assert (await raw.answer()).status == 408

    await gatherResults([Deferred.fromCoroutine(dribble(raw)) for raw in slow], consumeErrors=True)
    assert (await stuck.answer()).status == 408
    await silent.closed()
    assert silent.total == 0
    await load.more(20)
    await load.stop()
    assert load.failures == []
    assert program.complaints == []


@pytest_twisted.ensureDeferred
async def test_pipelining(stage: Stage) -> None:
    """A hundred requests in one write are answered in their order."""
    ours = stage.instance("ours")
    mesh = static([ours.address])
    await stage.gateway(mesh.text)
    raw = await stage.raw(mesh.port)
    raw.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(100)))
    for number in range(100):
        answer = await raw.answer()
        assert (answer.status, answer.json["path"]) == (200, f"/{number}")
