"""Every way in which an instance can fail a request, and what the client sees of it.

Breakers, ejection and health checks are off: what is held here is each single request. Before the first byte of an
answer another instance is asked, where that can do no harm; after it, what is broken looks broken; and nothing lasts
longer than its timeout, which is why each of these ends at all.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, DeferredList, gatherResults

from bench.answers.faults import AFTER, BEFORE, GOOD, HEAD, OK, Fault
from bench.answers.instance import black_hole
from bench.conformance.strict import Message, Stream, read_answers
from tests.ports import free_port
from tests.scenarios.faulty import Faulty
from tests.scenarios.meshes import static
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until

SETTINGS = {
    "health_check_enabled": "no",
    "circuit_breaker_failures": "1000000",
    "outlier_detection": "no",
    # Half of all requests need a retry here; that retries are bounded is another scenario's matter.
    "retry_budget_min": "1000",
    "timeout_connect": "300ms",
    "timeout_first_byte": "300ms",
    "timeout_idle": "300ms",
}
COUNT = 8
"""Requests at once; with two instances in turn, each gets half of them."""


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()


def post(path: str, body: bytes = b"buy") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def faulty(stage: Stage, fault: Fault | None = None) -> Faulty:
    instance = Faulty(fault)
    stage.at_end(instance.close)
    return instance


async def gateway(stage: Stage, *ports: int) -> int:
    """Before one service."""
    mesh = static([f"127.0.0.1:{port}" for port in ports], changes={"service:x": SETTINGS})
    await stage.gateway(mesh.text)
    return mesh.port


async def gateway_of_many(stage: Stage, services: Mapping[Fault, list[Faulty]]) -> int:
    """Before a service for each fault, found by its name in the path."""
    changes = {
        f"service:with-{fault.name}": {
            **SETTINGS,
            "instances": ", ".join(f"127.0.0.1:{instance.port}" for instance in instances),
            "routes": f"/{fault.name}",
            "strip_prefix": "no",
        }
        for fault, instances in services.items()
    }
    mesh = static([], service=None, changes=changes)
    await stage.gateway(mesh.text)
    return mesh.port


async def each(faults: Iterable[Fault], play: Callable[[Fault], Coroutine[Any, Any, None]]) -> None:
    """All of them at the same time; whatever fails is told with its name."""
    faults = list(faults)
    plays = [Deferred.fromCoroutine(play(fault)) for fault in faults]
    ended = await DeferredList(plays, consumeErrors=True)
    wrong = [
        f"{fault}: {found.getErrorMessage()}" for fault, (well, found) in zip(faults, ended, strict=True) if not well
    ]
    assert not wrong, "\n".join(["", *wrong])


async def ask(stage: Stage, port: int, sent: bytes) -> Stream:
    """Everything that is answered until the connection ends."""
    raw = await stage.raw(port)
    raw.send(sent)
    lost = await raw.closed()
    return read_answers(raw.received, [], lost == "ConnectionDone")


async def ask_all(stage: Stage, port: int, sent: list[bytes]) -> list[Stream]:
    return await gatherResults([Deferred.fromCoroutine(ask(stage, port, each)) for each in sent])


def final(stream: Stream) -> Message | None:
    """The one whole answer, or None. Whatever came is in order as far as it goes."""
    assert not stream.flaw, stream.flaw
    finals = [message for message in stream.messages if message.status >= 200]
    assert len(finals) <= 1, finals
    return finals[0] if finals else None


def statuses(streams: list[Stream]) -> list[int]:
    return [message.status if (message := final(stream)) else 0 for stream in streams]


def bodies(streams: list[Stream]) -> list[bytes]:
    return [message.body if (message := final(stream)) else b"" for stream in streams]


def posts(fault: Fault, count: int = COUNT) -> list[str]:
    return [f"/{fault}/buy/{number}" for number in range(count)]


def assert_once(paths: list[str], *instances: Faulty) -> None:
    seen = [path for instance in instances for path in instance.requests]
    assert set(seen) & set(paths), seen
    twice = {path for path in paths if seen.count(path) > 1}
    assert not twice, f"sent twice: {sorted(twice)}"


@pytest_twisted.ensureDeferred
async def test_before_the_answer(stage: Stage) -> None:
    """One of two fails: no GET does, and no POST is sent twice. Both fail: everybody is told, in time."""
    pairs = {fault: [faulty(stage, fault), faulty(stage)] for fault in BEFORE}
    port = await gateway_of_many(stage, pairs)

    async def play(fault: Fault) -> None:
        bad, good = pairs[fault]
        path = f"/{fault}"
        for _ in range(1 + fault.good):
            streams = await ask_all(stage, port, [get(path)] * COUNT)
            assert bodies(streams) == [b"good"] * COUNT, (statuses(streams), bodies(streams))
        assert bad.connections
        failures = {502, 503, 504}
        if "never-whole" in fault.name:
            failures = {0}  # the last one that may be asked is shown as it is, and breaks off
        paths = posts(fault)
        streams = await ask_all(stage, port, [post(path) for path in paths])
        assert_once(paths, bad, good)
        assert bodies(streams).count(b"good") >= COUNT / 2 - 1, statuses(streams)
        assert set(statuses(streams)) <= {200} | failures, statuses(streams)
        good.fault = fault
        streams = await ask_all(stage, port, [get(path)] * COUNT + [post(path)] * COUNT)
        assert set(statuses(streams)) <= failures | ({200} if fault.good else set()), statuses(streams)

    await each(BEFORE, play)


@pytest_twisted.ensureDeferred
async def test_in_the_answer(stage: Stage) -> None:
    """It is never whole, and never asked for again: neither by GET nor by POST."""
    alone = {fault: [faulty(stage, fault)] for fault in AFTER}
    port = await gateway_of_many(stage, alone)

    async def play(fault: Fault) -> None:
        paths = posts(fault, 4)
        streams = await ask_all(stage, port, [get(f"/{fault}")] * 4 + [post(path) for path in paths])
        assert_once(paths, *alone[fault])
        # Where head and fault come in one piece, nothing of it is out yet, and the gateway may say so.
        assert set(statuses(streams)) <= {0, 502}, statuses(streams)

    await each(AFTER, play)


@pytest_twisted.ensureDeferred
async def test_refused_and_swallowed_connections(stage: Stage) -> None:
    """Nothing was sent: POSTs go elsewhere as well."""
    good = faulty(stage)
    hole, end = black_hole()
    stage.at_end(end)
    port = await gateway(stage, free_port(), hole, good.port)
    paths = [f"/buy/{number}" for number in range(COUNT)]
    streams = await ask_all(stage, port, [get("/a")] * COUNT + [post(path) for path in paths])
    assert bodies(streams) == [b"good"] * 2 * COUNT, statuses(streams)
    assert_once(paths, good)


@pytest_twisted.ensureDeferred
async def test_nobody_accepts(stage: Stage) -> None:
    hole, end = black_hole()
    stage.at_end(end)
    port = await gateway(stage, free_port(), hole)
    streams = await ask_all(stage, port, [get("/a"), post("/b")])
    assert all(status in (502, 503, 504) for status in statuses(streams)), statuses(streams)


@pytest_twisted.ensureDeferred
async def test_bytes_behind_the_answer(stage: Stage) -> None:
    """More than Content-Length says: the client gets what it says, and nobody gets the rest."""
    extra = GOOD + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    bad = faulty(stage, Fault("too-much", extra))
    port = await gateway(stage, bad.port)
    raw = await stage.raw(port)
    for number in range(1, 4):
        raw.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await raw.answer()).body == b"good"
        assert len(bad.connections) == number


@pytest_twisted.ensureDeferred
async def test_slow_answer(stage: Stage) -> None:
    """Slow is not dead: a body that comes byte by byte is passed on for as long as it comes."""
    bad = faulty(stage, Fault("slow", OK + b"Content-Length: 40\r\n\r\n", endless=b"x"))
    port = await gateway(stage, bad.port)
    raw = await stage.raw(port)
    raw.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await raw.answer()).body == b"x" * 40


@pytest.mark.parametrize("status", [200, 413, 503])
@pytest_twisted.ensureDeferred
async def test_early_answer(stage: Stage, status: int) -> None:
    """Answered at the head, the body not awaited: the client gets the answer, the request goes nowhere else, and both
    connections end, because nobody knows where the next request would begin."""
    said = b"HTTP/1.1 %d -\r\nContent-Length: 4\r\n\r\nenow" % status
    fault = Fault("early", said, when=HEAD)
    instances = [faulty(stage, fault), faulty(stage, fault)]
    port = await gateway(stage, *(each.port for each in instances))
    raw = await stage.raw(port)
    raw.send(b"POST /buy HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
    answer = await raw.answer()
    assert (answer.status, answer.body) == (status, b"enow")
    assert answer.headers["connection"] == "close"
    await raw.closed()
    (connection,) = [each for instance in instances for each in instance.connections]
    await until("the instance's connection ends", lambda: not connection.transport.connected)
    assert [path for instance in instances for path in instance.requests] == ["/buy"]
