"""What was read once need not be read again: a bounded memory of heads, for those that come again.

A first meeting leaves only the hash of the bytes; whoever is met a second time is kept. So traffic in which no head is
like another costs two small operations a head and no memory, and the keys, which clients choose, cannot push out of it
what is really popular by coming once each. When it is full it starts anew. Keys stay in memory for a while: that is no
more than what a connection's buffers do.
"""

from __future__ import annotations

from typing import TypeVar

V = TypeVar("V")


class Memo(dict[bytes, V]):
    """A dictionary to look up in; `met` is the way in. Bounded to `entries` keys of at most `longest` bytes."""

    __slots__ = ("_entries", "_longest", "_seen")

    def __init__(self, entries: int, longest: int) -> None:
        super().__init__()
        self._entries = entries
        self._longest = longest
        self._seen: set[int] = set()

    def met(self, key: bytes, value: V) -> None:
        """`key` was not found, and read as `value`."""
        seen = self._seen
        mark = hash(key)
        if mark not in seen:
            if len(seen) >= 8 * self._entries:
                seen.clear()
            seen.add(mark)
        elif len(key) <= self._longest:
            if len(self) >= self._entries:
                self.clear()
            self[key] = value
