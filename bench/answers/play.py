"""One fault behind one proxy: what is asked, and what came of it.

GETs and POSTs go in waves of a few at once, so that the two instances get them in turn. Each POST has a path of its
own, by which it is known if it was sent twice. A request that has not ended after `LIMIT` seconds hangs: every proxy is
told to wait for 300 ms, and to try no more than four times.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from bench.answers.instance import Instance
from bench.conformance.strict import Message, Stream, read_answers

AT_ONCE = 8
WAVES = 3
LIMIT = 5.0
"""More than four times 300 ms, the pauses between, and three seconds for all of it (Envoy's route)."""

GOOD, VISIBLE, HIDDEN, HANGS = "good", "visible", "hidden", "hangs"


@dataclass(slots=True)
class Tally:
    """Of requests with one method: how many were asked, and how many ended how.

    visible: an answer of status 400 or more, or a broken one, or none; hidden: a whole answer with a good status that
    is not what the good instance says. `longest` is in seconds.
    """

    asked: int = 0
    good: int = 0
    visible: int = 0
    hidden: int = 0
    hangs: int = 0
    longest: float = 0.0

    def count(self, ended: str, seconds: float) -> None:
        self.asked += 1
        setattr(self, ended, getattr(self, ended) + 1)
        self.longest = max(self.longest, seconds)


@dataclass(slots=True)
class Outcome:
    """`twice`: POSTs that reached instances more than once; `reached`: requests that reached the bad one."""

    gets: Tally
    posts: Tally
    twice: int = 0
    reached: int = 0


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()


def post(path: str, said: bytes = b"buy", length: int = 3) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n".encode() + said


async def play(port: int, bad: Instance, good: Instance, wanted: tuple[bytes, ...] = (b"good",)) -> Outcome:
    """`wanted` are the bodies that may be told; with a good status, anything else is hidden."""
    outcome = Outcome(Tally(), Tally())
    for wave in range(WAVES):
        await _ask(port, [get("/look")] * AT_ONCE, outcome.gets, wanted)
        paths = [f"/buy/{wave}/{number}" for number in range(AT_ONCE)]
        await _ask(port, [post(path) for path in paths], outcome.posts, wanted)
        seen = bad.requests + good.requests
        outcome.twice += sum(seen.count(path) > 1 for path in paths)
    outcome.reached = len(bad.requests)
    return outcome


async def play_early(port: int, bad: Instance, good: Instance) -> Outcome:
    """POSTs whose body does not come: the answer is there all the same."""
    outcome = Outcome(Tally(), Tally())
    paths = [f"/buy/{number}" for number in range(AT_ONCE)]
    begun = [post(path, b"x" * 1000, 1_000_000) for path in paths]
    await _ask(port, begun, outcome.posts, (b"enow",), any_status=True)
    outcome.twice = sum((bad.requests + good.requests).count(path) > 1 for path in paths)
    outcome.reached = len(bad.requests)
    return outcome


async def _ask(port: int, sent: list[bytes], tally: Tally, wanted: tuple[bytes, ...], any_status: bool = False) -> None:
    for ended, seconds in await asyncio.gather(*(_one(port, each, wanted, any_status) for each in sent)):
        tally.count(ended, seconds)


async def _one(port: int, sent: bytes, wanted: tuple[bytes, ...], any_status: bool) -> tuple[str, float]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(LIMIT):
            stream = await _hear(port, sent, any_status)
    except TimeoutError:
        return HANGS, LIMIT
    return judge(stream, wanted, any_status), loop.time() - began


async def _hear(port: int, sent: bytes, early: bool) -> Stream:
    """All that is answered until the connection ends; or, if `early`, until there is a whole answer."""
    data, ended = b"", False
    writer = None
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(sent)
            while piece := await reader.read(65536):
                data += piece
                if early and final(read_answers(data, [], False)):
                    break
            else:
                ended = True
        finally:
            writer.transport.abort()
    return read_answers(data, [], ended)


def final(stream: Stream) -> Message | None:
    """The one whole answer, if there is one."""
    finals = [message for message in stream.messages if message.status >= 200]
    return finals[0] if finals else None


def judge(stream: Stream, wanted: tuple[bytes, ...], any_status: bool = False) -> str:
    answer = final(stream)
    if answer is None or stream.garbage or stream.flaw:
        return VISIBLE
    if answer.body in wanted and (answer.status == 200 or any_status):
        return GOOD
    return VISIBLE if answer.status >= 400 else HIDDEN


async def ready(port: int, seconds: float = 20.0) -> None:
    """Until something good comes through; the bad one does no harm yet."""
    async with asyncio.timeout(seconds):
        while True:
            with contextlib.suppress(OSError):
                if judge(await _hear(port, get("/ready"), False), (b"good",)) == GOOD:
                    return
            await asyncio.sleep(0.05)
