"""One stored answer as bytes, for a store outside of this process.

    "wmc1"  checksum of all that follows (CRC-32)
    numbers: status, flags, when it was written (seconds since 1970), how old it was then, for how long from then on it
             is fresh, usable while it is asked for again, usable when nobody answers; Date; Last-Modified
    parts:   a length and so many bytes for each of PARTS

Times are distances from the moment of writing, which is the only thing that clocks of two machines have to agree about.
A record is believed only when all of it is as it should be: one byte too few, a status line or a field line that is
none, a number that is none, and it is refused. A new format gets a new first word, and old gateways pass it over.
"""

from __future__ import annotations

import math
import re
import struct
from typing import NamedTuple
from zlib import crc32

from wmesh.errors import RecordError
from wmesh.policy.caching.entry import OVERHEAD, Entry

MAGIC = b"wmc1"
PARTS = ("key", "mark", "variant", "vary", "start", "lines", "etag", "modified_line", "language", "tags", "body")

_NUMBERS = struct.Struct("!HBdddddqq")
_LENGTH = struct.Struct("!I")
_NO_CACHE, _MUST_REVALIDATE, _IMMUTABLE, _ASSIGNED, _MODIFIED = (1 << bit for bit in range(5))
_FARTHEST = 1e11

_START = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2})(?: [^\r\n\0]*)?")
_LINES = re.compile(rb"\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r\n)*")


class Stored(NamedTuple):
    """`mark` is what the writer put beside the answer."""

    entry: Entry
    mark: bytes


def encode(entry: Entry, mark: bytes, now: float, wall: float) -> bytes:
    """`now` is the clock of the entry, `wall` the same moment in seconds since 1970."""
    flags = (
        _NO_CACHE * entry.no_cache
        | _MUST_REVALIDATE * entry.must_revalidate
        | _IMMUTABLE * entry.immutable
        | _ASSIGNED * entry.assigned
        | _MODIFIED * (entry.modified is not None)
    )
    pieces = [
        _NUMBERS.pack(
            entry.status,
            flags,
            wall,
            now - entry.born,
            entry.fresh_until - now,
            entry.revalidate_until - now,
            entry.error_until - now,
            entry.date,
            entry.modified or 0,
        )
    ]
    for part in (
        *(entry.key, mark, entry.variant, b",".join(entry.vary), entry.start, entry.lines),
        *(entry.etag, entry.modified_line, entry.language, b" ".join(entry.tags), entry.body),
    ):
        pieces += (_LENGTH.pack(len(part)), part)
    content = b"".join(pieces)
    return MAGIC + _LENGTH.pack(crc32(content)) + content


def decode(data: bytes, now: float, wall: float) -> Stored:
    """The answer, as old as it is by now. Fails with RecordError."""
    if data[:4] != MAGIC:
        raise RecordError("it is of another format")
    content = memoryview(data)[8:]
    if len(content) < _NUMBERS.size or _LENGTH.unpack_from(data, 4)[0] != crc32(content):
        raise RecordError("it is not whole")
    status, flags, written, *times, date, modified = _NUMBERS.unpack_from(content)
    parts = _parts(content[_NUMBERS.size :])
    start = _START.fullmatch(parts["start"])
    if start is None or int(start[1]) != status or not 200 <= status <= 599:
        raise RecordError("its status line is none")
    if _LINES.fullmatch(parts["lines"]) is None:
        raise RecordError("its field lines are none")
    if not all(math.isfinite(number) and abs(number) < _FARTHEST for number in (written, *times)):
        raise RecordError("its times are none")
    # A clock that is behind that of the writer must not make an answer younger than it was.
    then = now - max(0.0, wall - written)
    age, fresh, revalidate, error = times
    entry = Entry.__new__(Entry)
    entry.key = parts["key"]
    entry.variant = parts["variant"]
    entry.vary = tuple(parts["vary"].split(b",")) if parts["vary"] else ()
    entry.status = status
    entry.start = parts["start"]
    entry.lines = parts["lines"]
    entry.body = parts["body"]
    entry.etag = parts["etag"]
    entry.modified = modified if flags & _MODIFIED else None
    entry.modified_line = parts["modified_line"]
    entry.date = date
    entry.language = parts["language"]
    entry.tags = tuple(parts["tags"].split())
    entry.no_cache = bool(flags & _NO_CACHE)
    entry.must_revalidate = bool(flags & _MUST_REVALIDATE)
    entry.immutable = bool(flags & _IMMUTABLE)
    entry.assigned = bool(flags & _ASSIGNED)
    entry.born = then - age
    entry.fresh_until = then + fresh
    entry.revalidate_until = then + revalidate
    entry.error_until = then + error
    entry.reads = entry.where = 0
    entry.size = OVERHEAD + len(entry.key) + len(entry.variant) + len(entry.lines) + len(entry.body)
    return Stored(entry, parts["mark"])


def _parts(content: memoryview) -> dict[str, bytes]:
    found = {}
    at = 0
    for name in PARTS:
        if len(content) < at + 4:
            raise RecordError("it is not whole")
        (length,) = _LENGTH.unpack_from(content, at)
        at += 4 + length
        found[name] = bytes(content[at - length : at])
    if at != len(content):
        raise RecordError("it is not whole")
    return found
