"""A reader that forgives nothing that frames: what it takes for a message, every reader takes for the same one.

Both ends of the conformance benchmark use it on whole streams: requests as they reached the instance, and answers as
they reached the client. It knows one spelling of everything that frames (RFC 9112), and calls all else a flaw. What is
wrong and yet can be read in one way only (a status of four digits, no Host) is no flaw but odd, and is read on. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_ODD_REQUEST_LINE = re.compile(rb"([^\x00-\x20\x7f]+) ([^\x00-\x20\x7f]+) HTTP/([0-9])\.([0-9])")
_ODD_FIELD_LINE = re.compile(rb"([^\x00-\x20\x7f:]+):[ \t]*([^\r\n\x00]*?)[ \t]*")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~\x80-\xff]+) HTTP/1\.([01])")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n\x00]*)?")
_FIELD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\x00]*?)[ \t]*")
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t -~\x80-\xff]*)?")
_NUMBER = re.compile(rb"[0-9]{1,18}")

Fields = tuple[tuple[bytes, bytes], ...]
"""(name in lower case, value)."""


class Flaw(Exception):
    """What two readers may read in two ways."""


class Garbage(Exception):
    """What no reader takes for a message."""


class Unfinished(Exception):
    """The stream ends inside a message."""


@dataclass(frozen=True, slots=True)
class Message:
    """`start` are the parts of the start line: method and target, or the status."""

    start: tuple[bytes, ...]
    fields: Fields
    body: bytes
    trailers: Fields = ()
    odd: str = ""

    @property
    def status(self) -> int:
        return int(self.start[0])

    def values(self, name: bytes) -> list[bytes]:
        return [value for found, value in self.fields if found == name]


@dataclass(frozen=True, slots=True)
class Stream:
    """The messages of one direction of one connection; `rest` is what is no whole message; `flaw` says why, if it
    never will be, and `garbage` the same of what is harmless, because nobody reads it."""

    messages: tuple[Message, ...]
    rest: bytes
    flaw: str = ""
    garbage: str = ""

    @property
    def odd(self) -> str:
        """What is wrong with it beside flaws."""
        return "; ".join(filter(None, (*(message.odd for message in self.messages), self.garbage)))


def read_requests(data: bytes) -> Stream:
    messages: list[Message] = []
    while data:
        try:
            message, size = _request(data)
        except Unfinished:
            break
        except Flaw as flaw:
            return Stream(tuple(messages), data, str(flaw))
        except Garbage as garbage:
            return Stream(tuple(messages), data, garbage=str(garbage))
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
        except Garbage as garbage:
            return Stream(tuple(messages), data, garbage=str(garbage))
        messages.append(message)
        finals += message.status >= 200
        data = data[size:]
    return Stream(tuple(messages), data)


def _head(data: bytes) -> tuple[bytes, Fields, list[str], int]:
    """(start line, fields, what is odd, where the body begins)."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        raise Unfinished
    first, *others = data[:end].split(b"\r\n")
    if re.search(rb"[\r\n\x00]", first):
        raise Flaw(f"start line {first[:80]!r}")
    fields, odd = _fields(others)
    return first, fields, odd, end + 4


def _fields(lines: Sequence[bytes]) -> tuple[Fields, list[str]]:
    found, odd = [], []
    for line in lines:
        match = _FIELD_LINE.fullmatch(line)
        if match is None:
            match = _ODD_FIELD_LINE.fullmatch(line)
            odd.append(f"field line {line[:80]!r}")
        if match is None:
            raise Flaw(odd[-1])
        found.append((match[1].lower(), match[2]))
    return tuple(found), odd


def _framing(fields: Fields, version: bytes, odd: list[str]) -> tuple[int | None, bool]:
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise Flaw(f"framed {len(lengths) + len(codings)} times")
    if lengths and not _NUMBER.fullmatch(lengths[0]):
        raise Flaw(f"Content-Length {lengths[0][:40]!r}")
    if codings and codings[0].lower() != b"chunked":
        raise Flaw(f"Transfer-Encoding {codings[0][:40]!r}")
    if codings and version != b"1.1":
        odd.append(f"chunked in HTTP/{version.decode()}")
    return int(lengths[0]) if lengths else None, bool(codings)


def _request(data: bytes) -> tuple[Message, int]:
    first, fields, odd, position = _head(data)
    start = _REQUEST_LINE.fullmatch(first)
    if start is None:
        start = _ODD_REQUEST_LINE.fullmatch(first)
        if start is None:
            raise Flaw(f"start line {first[:80]!r}")
        odd.append(f"start line {first[:80]!r}")
    hosts = [value for name, value in fields if name == b"host"]
    if len(set(hosts)) > 1:
        raise Flaw(f"{len(hosts)} Host fields")
    version = first[-3:]
    if len(hosts) > 1 or (not hosts and version == b"1.1"):
        odd.append(f"{len(hosts)} Host fields")
    length, is_chunked = _framing(fields, version, odd)
    trailers: Fields = ()
    if is_chunked:
        body, trailers, position = _chunks(data, position, odd)
    else:
        body, position = _counted(data, position, length or 0)
    return Message((start[1], start[2]), fields, body, trailers, "; ".join(odd)), position


def _answer(data: bytes, is_head: bool, ended: bool) -> tuple[Message, int]:
    line = data.split(b"\r\n", 1)[0]
    if b"\r\n" in data and not _STATUS_LINE.fullmatch(line) and not re.search(rb"[\r\n\x00]", line):
        raise Garbage(f"start line {line[:80]!r}")
    first, fields, odd, position = _head(data)
    start = _STATUS_LINE.fullmatch(first)
    if start is None:
        raise Flaw(f"start line {first[:80]!r}")
    length, is_chunked = _framing(fields, b"1." + start[1], odd)
    status = int(start[2])
    trailers: Fields = ()
    body = b""
    if status < 200 or status == 204:
        if is_chunked or length:
            odd.append(f"framing of a body in a {status}")
    elif status == 304 or is_head:
        pass
    elif is_chunked:
        body, trailers, position = _chunks(data, position, odd)
    elif length is not None:
        body, position = _counted(data, position, length)
    elif not ended:
        raise Unfinished
    else:
        body, position = data[position:], len(data)
    return Message((start[2],), fields, body, trailers, "; ".join(odd)), position


def _counted(data: bytes, position: int, length: int) -> tuple[bytes, int]:
    if len(data) - position < length:
        raise Unfinished
    return data[position : position + length], position + length


def _chunks(data: bytes, position: int, odd: list[str]) -> tuple[bytes, Fields, int]:
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
    trailers, more = _fields(data[position:end].split(b"\r\n"))
    odd += more
    return body, trailers, end + 4
