"""The crowd: it asks on time whatever becomes of it, knows kinds of failure apart, and asks twice only where it may."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from twisted.trial.unittest import TestCase

from bench.faults.crowd import Crowd, Request, failures

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Instance: i3\r\n\r\nok"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def server(talk: Talk) -> AsyncIterator[int]:
    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await talk(reader, writer)
        finally:
            writer.close()

    made = await asyncio.start_server(whole, "127.0.0.1", 0)
    try:
        yield made.sockets[0].getsockname()[1]
    finally:
        made.close()


def saying(*answers: bytes) -> Talk:
    """Each connection is given these answers in turn, then closed."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)

    return talk


class Outcomes(TestCase):
    def one(self, talk: Talk, patience: float = 5.0) -> Request:
        async def scene() -> Request:
            async with server(talk) as port:
                crowd = Crowd(port, patience)
                await crowd.ask(1000.0, 0.001)
                await crowd.finish()
                [request] = crowd.requests
                return request

        return asyncio.run(scene())

    def test_good(self) -> None:
        request = self.one(saying(OK))
        self.assertEqual((request.outcome, request.instance, request.good), ("ok", "i3", True))

    def test_kinds_of_failure(self) -> None:
        for answer, outcome in (
            (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "503"),
            (b"", "closed"),
            (OK[:-1], "cut"),
            (OK[:20], "cut"),
            (b"nonsense\r\n\r\n", "garbled"),
        ):
            self.assertEqual(self.one(saying(answer)).outcome, outcome, answer)

    def test_timeout(self) -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        request = self.one(silent, 0.05)
        self.assertEqual(request.outcome, "timeout")
        self.assertGreaterEqual(request.latency, 0.05)

    def test_counted_by_kind(self) -> None:
        found = failures([Request(0.0, 0.1, outcome, "") for outcome in ("ok", "503", "cut", "503")])
        self.assertEqual(found, {"503": 2, "cut": 1})


class Connections(TestCase):
    def test_kept_ones_are_used_again(self) -> None:
        talks = 0

        async def scene() -> list[str]:
            async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                nonlocal talks
                talks += 1
                await saying(*[OK] * 9)(reader, writer)

            async with server(count) as port:
                return await one_by_one(Crowd(port), 3)

        self.assertEqual(asyncio.run(scene()), ["ok"] * 3)
        self.assertEqual(talks, 1)

    def test_asks_again_when_a_kept_one_was_closed(self) -> None:
        """The second request meets a connection that ends without an answer."""

        async def scene() -> list[str]:
            async with server(saying(OK, b"")) as port:
                return await one_by_one(Crowd(port), 4)

        self.assertEqual(asyncio.run(scene()), ["ok"] * 4)

    def test_asks_only_once_in_the_middle_of_an_answer(self) -> None:
        async def scene() -> list[str]:
            async with server(saying(OK, OK[:-1])) as port:
                return await one_by_one(Crowd(port), 4)

        self.assertEqual(asyncio.run(scene()), ["ok", "cut", "ok", "cut"])

    def test_close_is_believed(self) -> None:
        async def scene() -> list[str]:
            async with server(saying(OK.replace(b"X-", b"Connection: close\r\nX-"), b"")) as port:
                return await one_by_one(Crowd(port), 2)

        self.assertEqual(asyncio.run(scene()), ["ok"] * 2)


class OpenLoop(TestCase):
    def test_does_not_wait_for_answers(self) -> None:
        async def scene() -> tuple[int, int, set[str]]:
            released = asyncio.Event()

            async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readuntil(b"\r\n\r\n")
                await released.wait()
                writer.write(OK)

            async with server(late) as port:
                crowd = Crowd(port)
                await crowd.ask(500.0, 0.1)
                ended = len(crowd.requests)
                released.set()
                await crowd.finish()
                dues = [request.due for request in sorted(crowd.requests, key=lambda request: request.due)]
                self.assertAlmostEqual(dues[-1] - dues[0], 0.098, places=6)
                return crowd.asked, ended, {request.outcome for request in crowd.requests}

        self.assertEqual(asyncio.run(scene()), (50, 0, {"ok"}))


async def one_by_one(crowd: Crowd, count: int) -> list[str]:
    """Each waits for the one before, so that a connection is free again."""
    for _ in range(count):
        await crowd.ask(1000.0, 0.001)
        while len(crowd.requests) < crowd.asked:
            await asyncio.sleep(0.001)
    await crowd.finish()
    return [request.outcome for request in crowd.requests]
