"""A crowd of clients that asks at a constant rate, whether answers come or not (an open loop).

A closed loop of a few clients would wait for what hangs, and so hide the requests that others would have sent
meanwhile (coordinated omission). Here the n-th request is due at its time, and its latency counts from then on.

Each request takes a kept connection or opens one. As every browser does (RFC 9110 section 9.2.2), a client whose kept
connection was closed before any byte of an answer came asks once more on a new one; everything else is a failure.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import httptools

GET = (
    b"GET %b HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: bench-faults\r\nAccept: application/json\r\n"
    b"Accept-Language: en-US,en;q=0.9\r\nCookie: session=8d3f2a7c51\r\n\r\n"
)
TICK = 0.001
REST = 30.0
"""Seconds after which a kept connection is not used any more: below any proxy's own limit."""

GOOD = "ok"


@dataclass(frozen=True, slots=True)
class Request:
    """What became of one. `due` is on the monotonic clock, `latency` in seconds, `instance` empty where nobody said.

    `outcome`: ok, or why it failed: "503" (a status), refused, closed (before an answer), cut (in the middle of one),
    timeout (longer than the patience of the client).
    """

    due: float
    latency: float
    outcome: str
    instance: str

    @property
    def good(self) -> bool:
        return self.outcome == GOOD


class Crowd:
    """`requests` are those whose end is known, `asked` counts all, `lag` is how late one was sent at worst, in s."""

    def __init__(self, port: int, patience: float = 3.0, path: str = "/work") -> None:
        self.requests: list[Request] = []
        self.asked = 0
        self.lag = 0.0
        self._port = port
        self._patience = patience
        self._get = GET % path.encode()
        self._kept: list[Talk] = []
        self._running: set[asyncio.Task[None]] = set()

    async def ask(self, rate: float, seconds: float) -> None:
        """So many requests a second for so long; returns when the last is sent, not when it is answered."""
        began = time.monotonic()
        for number in range(round(rate * seconds)):
            due = began + number / rate
            # One wake-up may send several, when it came late.
            if (early := due - time.monotonic()) > TICK:
                await asyncio.sleep(early)
            self.lag = max(self.lag, time.monotonic() - due)
            self.asked += 1
            task = asyncio.create_task(self._one(due))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))

    async def finish(self) -> None:
        """Wait for everything that was asked, then leave."""
        await asyncio.gather(*self._running)
        for talk in self._kept:
            talk.transport.abort()
        self._kept.clear()

    async def _one(self, due: float) -> None:
        instance = ""
        try:
            async with asyncio.timeout(max(0.0, due + self._patience - time.monotonic())):
                outcome, instance = await self._exchange()
        except TimeoutError:
            outcome = "timeout"
        except OSError:
            outcome = "refused"
        self.requests.append(Request(due, time.monotonic() - due, outcome, instance))

    async def _exchange(self) -> tuple[str, str]:
        oldest = time.monotonic() - REST
        while self._kept:
            talk = self._kept.pop()
            if talk.lost or talk.rested < oldest:
                talk.transport.abort()
                continue
            outcome, instance = await self._talk(talk)
            if outcome != "closed":
                return outcome, instance
            break
        _, fresh = await asyncio.get_running_loop().create_connection(Talk, "127.0.0.1", self._port)
        return await self._talk(fresh)

    async def _talk(self, talk: Talk) -> tuple[str, str]:
        try:
            answer = await talk.ask(self._get)
        except BaseException:
            talk.transport.abort()
            raise
        if talk.reusable:
            talk.rested = time.monotonic()
            self._kept.append(talk)
        else:
            talk.transport.abort()
        return answer


class Talk(asyncio.Protocol):
    """One connection to the proxy."""

    def __init__(self) -> None:
        self.lost = False
        self.reusable = False
        self.rested = 0.0
        self.transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._begun = False
        self._instance = ""
        self._answer: asyncio.Future[tuple[str, str]] | None = None

    async def ask(self, request: bytes) -> tuple[str, str]:
        """Outcome and instance."""
        if self.lost:
            return "closed", ""
        self._begun = self.reusable = False
        self._instance = ""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._say("garbled")

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self.reusable = False
        self._say("cut" if self._begun else "closed")

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-instance":
            self._instance = value.decode()

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        self.reusable = self._parser.should_keep_alive() and not self.lost
        self._say(GOOD if status == 200 else str(status))

    def _say(self, outcome: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((outcome, self._instance))


def failures(requests: Sequence[Request]) -> Counter[str]:
    """How many failed, by kind."""
    return Counter(request.outcome for request in requests if not request.good)
