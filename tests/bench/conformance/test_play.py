"""A whole vector over real sockets, through a gateway that is a plain pipe: it forwards whatever comes."""

from __future__ import annotations

import asyncio

from twisted.trial.unittest import SynchronousTestCase

from bench.conformance.play import play_all
from bench.conformance.verdict import Verdict
from bench.process import free_ports
from tests.vectors.vector import SMUGGLED, AnswerVector, Passed, Reached, Vector, head, passes, post, refused


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def through_pipe(*vectors: Vector) -> dict[str, Verdict]:
    port, behind = free_ports(2)

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, away = await asyncio.open_connection("127.0.0.1", behind)
        await asyncio.gather(pipe(reader, away), pipe(there, writer), return_exceptions=True)

    server = await asyncio.start_server(join, "127.0.0.1", port)
    try:
        return (await play_all(port, behind, {"all": vectors}, 0.2))["all"]
    finally:
        server.close()


class PlayTests(SynchronousTestCase):
    def test_play(self) -> None:
        both = post(b"Transfer-Encoding: chunked", b"Content-Length: 40", body=b"0\r\n\r\n" + SMUGGLED)
        hello = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
        found = asyncio.run(
            through_pipe(
                passes("plain", "", head(), Reached(), keeps=True),
                passes("two", "", head() + head(), Reached(), Reached(), keeps=True),
                refused("both", "", both),
                refused("line feeds", "", b"GET / HTTP/1.1\nHost: x\n\n"),
                AnswerVector("good", "", hello, Passed(body=b"hello")),
                AnswerVector("poison", "", hello + hello.replace(b"hello", b"venom"), Passed(body=b"hello")),
                AnswerVector("cut", "", hello[:-1], faulty=True, cut=True, ends=True),
                AnswerVector("silent", "", b"", faulty=True),
            )
        )
        self.assertEqual(found["plain"], Verdict("200, kept; reached: GET / +0"))
        self.assertEqual(found["two"].wrong, "")
        self.assertIn("framed 2 times", found["both"].unsafe)
        self.assertIn("read by h11 as 1 requests, strictly as 0", found["line feeds"].unsafe)
        self.assertEqual(found["good"].wrong, "")
        self.assertEqual(found["poison"].unsafe, "the next request got a wrong answer")
        self.assertEqual(found["cut"].wrong, "")
        self.assertEqual(found["silent"].wrong, "the client waits for ever")
