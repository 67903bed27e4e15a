"""What was read once need not be read again: a bounded memory of heads, for those that come again.

A first meeting leaves only the hash of the bytes; whoever is met a second time is kept. So traffic in which no head is
like another costs a few small operations a head and no memory, and the keys, which clients choose, cannot push out of
it what is really popular by coming once each. Of many strangers only one in `one_in` is looked at: what is popular is
met again soon enough, and what is not costs less (bench micro "exchange", varied). When it is full it starts anew. Keys
stay in memory for a while: that is no more than what a connection's buffers do.
"""

from __future__ import annotations

from typing import TypeVar

V = TypeVar("V")


class Memo(dict[bytes, V]):
    """A dictionary to look up in; `met` is the way in. Bounded to `entries` keys of at most `longest` bytes.

    Raises ValueError where `one_in` is no power of two.
    """

    __slots__ = ("_entries", "_longest", "_mask", "_seen", "_strangers")

    def __init__(self, entries: int, longest: int, one_in: int = 1) -> None:
        super().__init__()
        self._entries = entries
        self._longest = longest
        self._strangers = 0
        self._mask = one_in - 1
        if one_in < 1 or one_in & self._mask:
            raise ValueError(f"{one_in} is no power of two")
        self._seen: set[int] = set()

    def met(self, key: bytes, value: V) -> None:
        """`key` was not found, and read as `value`."""
        if self.familiar(key):
            self.keep(key, value)

    def familiar(self, key: bytes) -> bool:
        """`key` was not found: is it worth keeping?"""
        self._strangers = strangers = self._strangers + 1
        if strangers & self._mask:
            return False
        seen = self._seen
        mark = hash(key)
        if mark in seen:
            return len(key) <= self._longest
        if len(seen) >= 8 * self._entries:
            seen.clear()
        seen.add(mark)
        return False

    def keep(self, key: bytes, value: V) -> None:
        """Remember it."""
        if len(self) >= self._entries:
            self.clear()
        self[key] = value
