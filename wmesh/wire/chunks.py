"""The chunked transfer coding (RFC 9112 section 7.1), both ways.

The decoder is our own, because no parser at hand tells where a chunked message ended in the bytes it was given, and
what follows may be the next request. It is strict: sizes are one to fifteen hexadecimal digits, lines end in CRLF,
extensions are bounded and dropped, trailers are judged by llhttp like any field lines. Pieces of chunk data are slices
of what came in; a decoder holds back nothing but an unfinished line.
"""

from __future__ import annotations

import re

from wmesh.errors import WireError
from wmesh.wire.fields import trailer_lines
from wmesh.wire.syntax import FIELDS

LAST_CHUNK = b"0\r\n\r\n"

# RFC 9112 section 7.1.1; what stands in an extension is of no interest, but it must be printable.
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t -~\x80-\xff]*)?")
MAX_SIZE_LINE = 1024


def chunk(data: bytes) -> bytes:
    """`data` (not empty) as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: bytes) -> bytes:
    """The end of a chunked body; `trailers` are whole field lines, each with its CRLF."""
    return b"0\r\n%b\r\n" % trailers if trailers else LAST_CHUNK


class ChunkDecoder:
    """Takes a chunked body apart. Once `done`, `trailers` are the trailer lines that may be passed on."""

    __slots__ = ("_left", "_limit", "_line", "_trailing", "done", "trailers")

    def __init__(self, max_trailers: int) -> None:
        """`max_trailers` bounds the trailer section, in bytes."""
        self._limit = max_trailers
        self._left = 0  # bytes of the running chunk still to come, its CRLF included; 0: a size line comes
        self._line = b""  # what came of an unfinished size line or trailer section
        self._trailing = False
        self.done = False
        self.trailers = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """(body bytes, what follows the body once it is done). Raises WireError (400)."""
        pieces: list[bytes] = []
        position = 0
        size = len(data)
        while position < size:
            left = self._left
            if left > 2:
                end = min(position + left - 2, size)
                pieces.append(data[position:end])
                self._left = left - (end - position)
                position = end
            elif left:
                if data[position] != (13 if left == 2 else 10):
                    raise WireError("a chunk is longer than its size says")
                self._left = left - 1
                position += 1
            elif self._trailing:
                position = self._trailer_section(data, position)
                if self.done:
                    break
            else:
                position = self._size_line(data, position)
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return body, data[position:] if self.done else b""

    def _size_line(self, data: bytes, position: int) -> int:
        end = data.find(b"\n", position)
        line = self._line + data[position : end + 1 if end >= 0 else len(data)]
        if len(line) > MAX_SIZE_LINE:
            raise WireError(f"a chunk size line is longer than {MAX_SIZE_LINE} bytes")
        if end < 0:
            self._line = line
            return len(data)
        self._line = b""
        match = _SIZE_LINE.fullmatch(line, 0, len(line) - 2) if line.endswith(b"\r\n") else None
        if match is None:
            raise WireError("a chunk size is not a hexadecimal number with CRLF behind it")
        length = int(match.group(1), 16)
        if length:
            self._left = length + 2
        else:
            self._trailing = True
            self._line = b"\r\n"
        return end + 1

    def _trailer_section(self, data: bytes, position: int) -> int:
        # `_line` holds CRLF and the trailer lines so far; the section ends where an empty line follows.
        before = len(self._line)
        line = self._line + data[position:]
        end = line.find(b"\r\n\r\n", max(0, before - 3))
        if end > self._limit or (end < 0 and len(line) > self._limit + 3):
            raise WireError(f"the trailer section is longer than {self._limit} bytes", 431)
        if end < 0:
            if len(line) > 2 and b"\n" in line.replace(b"\r\n", b""):
                raise WireError("a trailer line ends with a bare line feed")
            self._line = line
            return len(data)
        self.done = True
        self._line = b""
        if end:
            FIELDS.check(line[: end + 2])
            self.trailers = trailer_lines(line[2 : end + 2])
        return position + end + 4 - before
