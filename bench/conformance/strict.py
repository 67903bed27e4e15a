"""A reader that forgives nothing: what it takes for a message, every reader takes for the same one.

Both ends of the conformance benchmark use it on whole streams: requests as they reached the instance, and answers as
they reached the client. It knows one spelling of everything that frames (RFC 9112) and calls all else a flaw. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~\x80-\xff]+) HTTP/1\.([01])")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n\x00]*)?")
_FIELD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\x00]*?)[ \t]*")
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t -~\x80-\xff]*)?")
_NUMBER = re.compile(rb"[0-9]{1,18}")

Fields = tuple[tuple[bytes, bytes], ...]
"""(name in lower case, value)."""


class Flaw(Exception):
    """What two readers may read in two ways."""


class Unfinished(Exception):
    """The stream ends inside a message."""


@dataclass(frozen=True, slots=True)
class Message:
    """`start` are the parts of the start line: method and target, or the status."""

    start: tuple[bytes, ...]
    fields: Fields
    body: bytes
    trailers: Fields = ()

    @property
    def status(self) -> int:
        return int(self.start[0])

    def values(self, name: bytes) -> list[bytes]:
        return [value for found, value in self.fields if found == name]


@dataclass(frozen=True, slots=True)
class Stream:
    """The messages of one direction of one connection; `rest` is what is no whole message; `flaw` says why, if it
    never will be."""

    messages: tuple[Message, ...]
    rest: bytes
    flaw: str = ""


def read_requests(data: bytes) -> Stream:
    messages: list[Message] = []
    while data:
        try:
            message, size = _request(data)
        except Unfinished:
            break
        except Flaw as flaw:
            return Stream(tuple(messages), data, str(flaw))
        messages.append(message)
        data = data[size:]
    return Stream(tuple(messages), data)


def read_answers(data: bytes, heads: Sequence[bool], ended: bool) -> Stream:
    """`heads` says for each request in turn whether it was a HEAD; `ended`: the connection was closed in order."""
    messages: list[Message] = []
    finals = 0
    while data:
        try:
            message, size = _answer(data, finals < len(heads) and heads[finals], ended)
        except Unfinished:
            break
        except Flaw as flaw:
            return Stream(tuple(messages), data, str(flaw))
        messages.append(message)
        finals += message.status >= 200
        data = data[size:]
    return Stream(tuple(messages), data)


def _head(data: bytes, line: re.Pattern[bytes]) -> tuple[re.Match[bytes], Fields, int]:
    end = data.find(b"\r\n\r\n")
    if end < 0:
        raise Unfinished
    first, *others = data[:end].split(b"\r\n")
    start = line.fullmatch(first)
    if start is None:
        raise Flaw(f"start line {first[:80]!r}")
    return start, _fields(others), end + 4


def _fields(lines: Sequence[bytes]) -> Fields:
    found = []
    for line in lines:
        match = _FIELD_LINE.fullmatch(line)
        if match is None:
            raise Flaw(f"field line {line[:80]!r}")
        found.append((match[1].lower(), match[2]))
    return tuple(found)


def _framing(fields: Fields, minor: bytes) -> tuple[int | None, bool]:
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise Flaw(f"framed {len(lengths) + len(codings)} times")
    if lengths and not _NUMBER.fullmatch(lengths[0]):
        raise Flaw(f"Content-Length {lengths[0][:40]!r}")
    if codings and (codings[0].lower() != b"chunked" or minor != b"1"):
        raise Flaw(f"Transfer-Encoding {codings[0][:40]!r} in HTTP/1.{minor.decode()}")
    return int(lengths[0]) if lengths else None, bool(codings)


def _request(data: bytes) -> tuple[Message, int]:
    start, fields, position = _head(data, _REQUEST_LINE)
    hosts = sum(name == b"host" for name, _ in fields)
    if hosts > 1 or (not hosts and start[3] == b"1"):
        raise Flaw(f"{hosts} Host fields")
    length, is_chunked = _framing(fields, start[3])
    trailers: Fields = ()
    if is_chunked:
        body, trailers, position = _chunks(data, position)
    else:
        body, position = _counted(data, position, length or 0)
    return Message((start[1], start[2]), fields, body, trailers), position


def _answer(data: bytes, is_head: bool, ended: bool) -> tuple[Message, int]:
    start, fields, position = _head(data, _STATUS_LINE)
    length, is_chunked = _framing(fields, start[1])
    status = int(start[2])
    trailers: Fields = ()
    body = b""
    if status < 200 or status == 204:
        if is_chunked or length:
            raise Flaw(f"a body of status {status}")
    elif status == 304 or is_head:
        pass
    elif is_chunked:
        body, trailers, position = _chunks(data, position)
    elif length is not None:
        body, position = _counted(data, position, length)
    elif not ended:
        raise Unfinished
    else:
        body, position = data[position:], len(data)
    return Message((start[2],), fields, body, trailers), position


def _counted(data: bytes, position: int, length: int) -> tuple[bytes, int]:
    if len(data) - position < length:
        raise Unfinished
    return data[position : position + length], position + length


def _chunks(data: bytes, position: int) -> tuple[bytes, Fields, int]:
    body = b""
    while True:
        end = data.find(b"\n", position)
        if end < 0:
            raise Unfinished
        line = data[position : end + 1]
        match = _SIZE_LINE.fullmatch(line[:-2]) if line.endswith(b"\r\n") else None
        if match is None:
            raise Flaw(f"chunk size line {line[:40]!r}")
        position = end + 1
        size = int(match[1], 16)
        if not size:
            break
        piece, position = _counted(data, position, size + 2)
        if not piece.endswith(b"\r\n"):
            raise Flaw("a chunk is longer than its size")
        body += piece[:-2]
    if data[position : position + 2] == b"\r\n":
        return body, (), position + 2
    end = data.find(b"\r\n\r\n", position)
    if end < 0:
        raise Unfinished
    return body, _fields(data[position:end].split(b"\r\n")), end + 4
