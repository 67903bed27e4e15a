"""Requests over real sockets, through a gateway that passes every connection to one of two instances in turn."""

from __future__ import annotations

import asyncio
import itertools

from twisted.trial.unittest import SynchronousTestCase

from bench.answers.faults import CLOSE, HEAD, RESET, Fault
from bench.answers.instance import Instance
from bench.answers.play import Outcome, play, play_early, ready
from bench.process import free_ports


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            if b"Content-Length: 4" in data:
                break  # the instance keeps the connection; the client asked for its end
    finally:
        writer.close()


async def behind_pipe(fault: Fault, early: bool = False) -> Outcome:
    [port] = free_ports(1, range(18000, 24000))
    async with Instance() as bad, Instance() as good:
        turns = itertools.cycle((bad, good))

        async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, away = await asyncio.open_connection("127.0.0.1", next(turns).port)
            await asyncio.gather(pipe(reader, away), pipe(there, writer), return_exceptions=True)

        server = await asyncio.start_server(join, "127.0.0.1", port)
        try:
            await ready(port)
            bad.fault = fault
            if early:
                good.fault = fault
            return await (play_early if early else play)(port, bad, good)
        finally:
            server.close()


class PlayTests(SynchronousTestCase):
    def play(self, fault: Fault, early: bool = False) -> Outcome:
        return asyncio.run(behind_pipe(fault, early))

    def test_visible(self) -> None:
        for fault in (
            Fault("closes", then=CLOSE),
            Fault("503", b"HTTP/1.1 503 -\r\nContent-Length: 0\r\n\r\n", CLOSE),
            Fault("cut", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nevil", CLOSE),
            Fault("reset", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nevil", RESET),
            Fault("garbage", b"nonsense\r\n\r\n", CLOSE),
        ):
            found = self.play(fault)
            self.assertEqual((found.gets.good, found.gets.visible), (12, 12), fault)
            self.assertEqual((found.posts.asked, found.posts.hidden, found.twice), (24, 0, 0), fault)

    def test_hidden(self) -> None:
        found = self.play(Fault("hidden", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", CLOSE))
        self.assertEqual((found.gets.good, found.gets.hidden, found.posts.hidden), (12, 12, 12))

    def test_early(self) -> None:
        found = self.play(Fault("early", b"HTTP/1.1 413 -\r\nContent-Length: 4\r\n\r\nenow", when=HEAD), early=True)
        self.assertEqual((found.posts.good, found.gets.asked), (8, 0))
