"""Tests of wmesh.wire.chunks."""

from __future__ import annotations

from collections.abc import Iterable

from tests.wire.heads import WireTestCase
from wmesh.errors import WireError
from wmesh.wire.chunks import LAST_CHUNK, MAX_SIZE_LINE, ChunkDecoder, chunk, last_chunk

LIMIT = 200
NEXT = b"GET /next HTTP/1.1\r\n"

Result = tuple[bytes, bytes, bytes, bool] | int
"""(body, rest, trailers, done), or the status of the refusal."""


def decode(pieces: Iterable[bytes], limit: int = LIMIT) -> Result:
    decoder = ChunkDecoder(limit)
    body = b""
    left = iter(pieces)
    try:
        for piece in left:
            data, rest = decoder.feed(piece)
            body += data
            if decoder.done:
                return body, rest + b"".join(left), decoder.trailers, True
    except WireError as fault:
        return fault.status
    return body, b"", decoder.trailers, False


GOOD: dict[bytes, tuple[bytes, bytes, bytes]] = {
    b"0\r\n\r\n": (b"", b"", b""),
    b"000\r\n\r\n": (b"", b"", b""),
    b"5\r\nhello\r\n0\r\n\r\n": (b"hello", b"", b""),
    b"5\r\nhello\r\n0\r\n\r\n" + NEXT: (b"hello", NEXT, b""),
    b"0\r\n\r\n\r\n\r\nGET": (b"", b"\r\n\r\nGET", b""),
    b"0\r\n\r\n0\r\n\r\n": (b"", b"0\r\n\r\n", b""),
    b"1\r\na\r\n2\r\nbc\r\n00003\r\ndef\r\n0\r\n\r\n": (b"abcdef", b"", b""),
    b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n": (b"01234567890123456789", b"", b""),
    b"000000000000005\r\nhello\r\n0\r\n\r\n": (b"hello", b"", b""),
    b"4\r\n\r\n\r\n\r\n0\r\n\r\n": (b"\r\n\r\n", b"", b""),
    b"7\r\n0\r\n\r\nGE\r\n0\r\n\r\n": (b"0\r\n\r\nGE", b"", b""),
    # extensions are read over
    b"5;a=b\r\nhello\r\n0;c\r\n\r\n": (b"hello", b"", b""),
    b'5;a="b;c"\r\nhello\r\n0\r\n\r\n': (b"hello", b"", b""),
    b"5 ; a = b\r\nhello\r\n0\r\n\r\n": (b"hello", b"", b""),
    b"5;\xc3\xa9\t\r\nhello\r\n0\r\n\r\n": (b"hello", b"", b""),
    b"5;0\r\nhello\r\n0\r\n\r\n": (b"hello", b"", b""),
    # trailers: those that may come late are kept
    b"0\r\nX: y\r\n\r\n" + NEXT: (b"", NEXT, b"X: y\r\n"),
    b"1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n": (b"a", b"", b"X: y\r\nZ:\r\n"),
    b"0\r\nContent-Length: 5\r\nX: y\r\nHost: evil\r\n\r\n": (b"", b"", b"X: y\r\n"),
    b"0\r\nTransfer-Encoding: chunked\r\n\r\n": (b"", b"", b""),
    b"0\r\nX-Forwarded-For: evil\r\n\r\n": (b"", b"", b""),
}

BAD: dict[bytes, int] = {
    # sizes
    **{
        size + b"\r\nhello\r\n0\r\n\r\n": 400
        for size in (
            b"", b"-5", b"+5", b"0x5", b"0X5", b"x5", b"5x", b"5h", b"5_0", b"5.", b" 5", b"\t5", b"5,5", b"5 5", b"g",
            b"'5'", b'"5"', b"\xb5", b"\xd9\xa5", b"5\x00", b"\x005", b"5\x0b", b"5\x0c", b"5\r", b"\r5",
            b"5\xa0", b"5=a", b"5/a", b"5:a", b";a=b", b"0000000000000005", b"fffffffffffffffff", b"10000000000000005",
            b"8000000000000005", b"ffffffffffffffff", b"5;\x00", b"5;a\rb", b"5;a\x7f", b"5;\x1b", b"5;a\r",
        )
    },
    # line ends
    b"5\nhello\r\n0\r\n\r\n": 400,
    b"5;a\nhello\r\n0\r\n\r\n": 400,
    b"5\rhello\r\n0\r\n\r\n": 400,
    b"5\n\rhello\r\n0\r\n\r\n": 400,
    b"5\r\nhello\n0\r\n\r\n": 400,
    b"5\r\nhello\r0\r\n\r\n": 400,
    b"5\r\nhello\n\r0\r\n\r\n": 400,
    b"5\r\nhello0\r\n\r\n": 400,
    b"5\r\nhello!\r\n0\r\n\r\n": 400,
    b"5\r\nhell\r\n0\r\n\r\n": 400,
    b"5\r\nhello\r\n\r\n0\r\n\r\n": 400,
    b"5\r\nhello\r\n 0\r\n\r\n": 400,
    b"0\n\r\n": 400,
    b"\r\n0\r\n\r\n": 400,
    b"\n0\r\n\r\n": 400,
    # trailers
    b"0\r\nX: y\n\r\n": 400,
    b"0\r\nX: y\r\n z\r\n\r\n": 400,
    b"0\r\nX : y\r\n\r\n": 400,
    b"0\r\n X: y\r\n\r\n": 400,
    b"0\r\nX: \0\r\n\r\n": 400,
    b"0\r\nX\r\n\r\n": 400,
    b"0\r\n: y\r\n\r\n": 400,
    b"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"0\r\nContent-Length: x\r\n\r\n": 400,
    b"0\r\nX: " + b"y" * LIMIT + b"\r\n\r\n": 431,
    b"0\r\n" + b"X: y\r\n" * LIMIT + b"\r\n": 431,
}  # fmt: skip


class ChunkDecoderTests(WireTestCase):
    def test_good_bodies(self) -> None:
        """Body, trailers and what follows come apart, also where what follows looks like another body."""
        for data, (body, rest, trailers) in GOOD.items():
            self.assertEqual(decode([data]), (body, rest, trailers, True), data)

    def test_bad_bodies(self) -> None:
        """Whatever two decoders are known to read differently is refused."""
        for data, status in BAD.items():
            self.assertEqual(decode([data]), status, data)

    def test_cut_anywhere(self) -> None:
        """Where the network cuts the bytes changes nothing: in two at every place, or byte by byte."""
        for data in (*GOOD, *(data for data in BAD if len(data) < 300)):
            whole = decode([data])
            for position in range(1, len(data)):
                self.assertEqual(decode([data[:position], data[position:]]), whole, (data, position))
            self.assertEqual(decode(bytes([byte]) for byte in data), whole, data)

    def test_cut_short(self) -> None:
        """No beginning of a body is ever taken for a whole one."""
        for data, (body, rest, _) in GOOD.items():
            whole = data[: len(data) - len(rest)]
            for length in range(len(whole)):
                found = decode([whole[:length]])
                assert isinstance(found, tuple)
                self.assertFalse(found[3], whole[:length])
                self.assertTrue(body.startswith(found[0]))

    def test_data_comes_out_as_it_comes_in(self) -> None:
        """A body streams: what came of a chunk is handed on before the rest of it is there."""
        decoder = ChunkDecoder(LIMIT)
        self.assertEqual(decoder.feed(b"ff\r\nabc"), (b"abc", b""))
        self.assertEqual(decoder.feed(b"def"), (b"def", b""))
        self.assertFalse(decoder.done)

    def test_endless_size_lines(self) -> None:
        """Extensions are bounded, whether they come in one piece or byte by byte, with an end or without."""
        extension = b"5;" + b"x" * MAX_SIZE_LINE
        for data in (extension, extension + b"\r\nhello\r\n"):
            self.assertEqual(decode([data]), 400)
            self.assertEqual(decode(bytes([byte]) for byte in data), 400)
        fits = b"5;" + b"x" * (MAX_SIZE_LINE - 4) + b"\r\n"
        self.assertEqual(decode([fits + b"hello\r\n0\r\n\r\n"]), (b"hello", b"", b"", True))

    def test_the_limit_of_trailers_is_the_same_however_they_are_cut(self) -> None:
        """A section that is exactly as long as allowed passes in any pieces, and one byte more never does."""
        for length in range(LIMIT - 6, LIMIT + 6):
            data = b"0\r\nX: " + b"y" * (length - 5) + b"\r\n\r\n"
            expected = length <= LIMIT
            for pieces in ([data], [data[:-1], data[-1:]], [data[:-2], data[-2:]], [data[:-3], data[-3:]]):
                self.assertEqual(isinstance(decode(pieces), tuple), expected, (length, pieces))

    def test_endless_trailers(self) -> None:
        """A section without an end is cut off soon."""
        for piece in (b"y", b"X: y\r\n"):
            decoder = ChunkDecoder(LIMIT)
            decoder.feed(b"0\r\nX: ")
            with self.assertRaises(WireError) as caught:
                for _ in range(LIMIT + 9):
                    decoder.feed(piece)
            self.assertEqual(caught.exception.status, 431)

    def test_many_small_chunks(self) -> None:
        """A body of one-byte chunks is still one body."""
        data = b"1\r\nx\r\n" * 5000 + LAST_CHUNK
        self.assertEqual(decode([data]), (b"x" * 5000, b"", b"", True))


class WritingTests(WireTestCase):
    def test_what_is_written_can_be_read(self) -> None:
        """Sizes in plain hexadecimal, no extensions."""
        self.assertEqual(chunk(b"a" * 26), b"1a\r\n" + b"a" * 26 + b"\r\n")
        self.assertEqual(last_chunk(b""), b"0\r\n\r\n")
        self.assertEqual(last_chunk(b"X: y\r\n"), b"0\r\nX: y\r\n\r\n")
        for size in (1, 9, 10, 15, 16, 255, 256, 4096, 65536):
            data = chunk(b"a" * size) + last_chunk(b"X: y\r\n")
            self.assertEqual(decode([data]), (b"a" * size, b"", b"X: y\r\n", True))
