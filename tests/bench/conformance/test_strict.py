"""The reader that forgives nothing."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.conformance.strict import read_answers, read_requests

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
HELLO = b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n5;a\r\nhello\r\n0\r\nX: y\r\n\r\n"


class RequestTests(SynchronousTestCase):
    def test_several(self) -> None:
        stream = read_requests(GET + HELLO + CHUNKED + GET[:9])
        self.assertEqual(
            [(each.start[1], each.body) for each in stream.messages],
            [(b"/a", b""), (b"/b", b"hello"), (b"/c", b"hello")],
        )
        self.assertEqual(stream.messages[2].trailers, ((b"x", b"y"),))
        self.assertEqual((stream.rest, stream.flaw), (GET[:9], ""))

    def test_flaws(self) -> None:
        for bad in (
            GET.replace(b"Host: x", b"Host: x\nY: z"),
            GET.replace(b"Host: x", b"Host: x\r\n y"),
            GET.replace(b"Host: x", b"Host : x"),
            GET.replace(b"Host: x", b"Host: x\r\nHost: y"),
            GET.replace(b"GET /a", b"GET  /a"),
            HELLO.replace(b": 5", b": +5"),
            HELLO.replace(b"Content-Length: 5", b"Content-Length: 5\r\nContent-Length: 5"),
            HELLO.replace(b"Content-Length: 5", b"Content-Length: 5\r\nTransfer-Encoding: chunked"),
            CHUNKED.replace(b"Chunked", b"xchunked"),
            CHUNKED.replace(b"5;a\r\n", b"5\n"),
            CHUNKED.replace(b"hello", b"hello!"),
            CHUNKED.replace(b"X: y", b"X : y"),
        ):
            stream = read_requests(GET + bad)
            self.assertEqual(len(stream.messages), 1, bad)
            self.assertTrue(stream.flaw, bad)

    def test_odd(self) -> None:
        """Wrong, and read in one way by everybody: told, and read on."""
        for odd in (
            GET.replace(b"Host: x", b"X: y"),
            GET.replace(b"Host: x", b"Host: x\r\nHost: x"),
            GET.replace(b"1.1", b"1.2"),
            GET.replace(b"Host: x", b"Host: x\r\nX@Y: z"),
            CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0"),
            CHUNKED.replace(b"X: y", b"X@Y: y"),
        ):
            stream = read_requests(GET + odd + GET)
            self.assertEqual((len(stream.messages), stream.flaw, stream.rest), (3, "", b""), odd)
            self.assertTrue(stream.odd, odd)
        self.assertEqual(read_requests(GET + CHUNKED).odd, "")


class AnswerTests(SynchronousTestCase):
    def bodies(self, data: bytes, *heads: bool, ended: bool = False) -> list[bytes]:
        return [each.body for each in read_answers(data, heads, ended).messages]

    def test_framings(self) -> None:
        length = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
        self.assertEqual(self.bodies(length + b"ab"), [b"ab"])
        self.assertEqual(self.bodies(length + b"a"), [])
        self.assertEqual(self.bodies(length + length + b"ab", True), [b"", b"ab"])
        self.assertEqual(self.bodies(b"HTTP/1.1 103 -\r\n\r\n" + length + length + b"ab", True), [b"", b"", b"ab"])
        until_close = b"HTTP/1.1 200 OK\r\n\r\nab"
        self.assertEqual(self.bodies(until_close), [])
        self.assertEqual(self.bodies(until_close, ended=True), [b"ab"])

    def test_flaws(self) -> None:
        for bad in (
            b"HTTP/1.1 200 -\nX: y\r\n\r\n",
            b"HTTP/1.1 200 -\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            b"HTTP/1.1 200 -\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        ):
            self.assertTrue(read_answers(bad, [], False).flaw, bad)

    def test_odd(self) -> None:
        stream = read_answers(
            b"HTTP/1.1 204 -\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 -\r\nContent-Length: 0\r\n\r\n", [], False
        )
        self.assertEqual([each.status for each in stream.messages], [204, 200])
        self.assertTrue(stream.odd)

    def test_garbage(self) -> None:
        """Nobody takes it for an answer, and what is behind it is not read."""
        for bad in (b"hello\r\n\r\n", b"HTTP/1.1 20 -\r\n\r\n"):
            stream = read_answers(bad, [], False)
            self.assertEqual((stream.messages, stream.flaw, stream.rest), ((), "", bad))
            self.assertTrue(stream.garbage)
            self.assertEqual(stream.odd, stream.garbage)
