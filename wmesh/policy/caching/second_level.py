"""A second level of the cache, which several gateways share: what the first level asks of it, and what it is told.

The interface is narrow on purpose: one question with a bounded wait, one gift without an answer, and the news of what
is not to be used any more. Nothing here fails, whatever becomes of the store behind it. The one in Redis is
`wmesh.control.shared_cache`; what an answer looks like there is `record.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.keys import covers, equals, service_of
from wmesh.policy.caching.question import Question

KEY = b"key"
URL = b"url"
PREFIX = b"prefix"
TAG = b"tag"
ALL = b"all"

KINDS = frozenset((KEY, URL, PREFIX, TAG, ALL))


class Invalidation(NamedTuple):
    """What is not to be used any more of a service: `how` is one of KINDS, `what` the key, URL, prefix or tag.

    A KEY is what an unsafe request made worthless; the others are an operator's.
    """

    service: bytes
    how: bytes
    what: bytes = b""

    def means(self, key: bytes, tags: tuple[bytes, ...] | None = None) -> bool:
        """Is what is stored under this key meant? Where its tags are not known (None), any tag may be among them."""
        if self.how == KEY:
            return key == self.what
        if service_of(key) != self.service:
            return False
        if self.how == URL:
            return equals(key, self.what)
        if self.how == PREFIX:
            return covers(key, self.what)
        return self.how == ALL or tags is None or self.what in tags


class FirstLevel(Protocol):
    """What the second level tells the memory of a gateway."""

    def invalidated(self, what: Invalidation) -> None:
        """Another gateway says so."""

    def lost_touch(self) -> None:
        """What others said for a while was missed, for good: nothing kept until now can be relied on."""


class SecondLevel(Protocol):
    @property
    def ready(self) -> bool:
        """Is it worth to be asked now?"""

    def find(self, key: bytes, question: Question, told: Callable[[Entry | None], None]) -> None:
        """Tells, soon and once, the newest answer that suits such a request; None: there is none, or not in time."""

    def put(self, entry: Entry) -> None:
        """Offer what was just stored."""

    def invalidate(self, what: Invalidation) -> None:
        """Forget it there, and have all the other gateways forget it; if that is not possible now, later."""

    def describe(self) -> Mapping[str, Any]:
        """For people, as plain JSON values."""
