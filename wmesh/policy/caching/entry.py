"""One stored answer, and what it costs to keep it.

The lines are kept as they came, less what must not be stored, with a Date: what is sent from the cache is those bytes
and a few more. All that a look-up asks is a number here, worked out once, when the answer was stored.
"""

from __future__ import annotations

from wmesh.policy.caching.terms import Terms

OVERHEAD = 1400
"""About how many bytes an answer takes in memory beside its lines and its body: `python -m bench.caching hits`."""


class Entry:
    """`key` is what it answers, `variant` what the request said in the fields that `vary` names.

    Times are on the monotonic clock: it was as good as new at `born`, is fresh until `fresh_until`, usable while it is
    asked for again until `revalidate_until`, and usable when nobody answers until `error_until`. `assigned`: it did not
    say itself for how long it is fresh. `etag` and `modified` (with `modified_line` as it was sent) are its validators,
    `date` seconds since 1970. `tags` are the names that it can be purged by.
    """

    __slots__ = (
        "assigned",
        "body",
        "born",
        "date",
        "error_until",
        "etag",
        "fresh_until",
        "immutable",
        "key",
        "language",
        "lines",
        "modified",
        "modified_line",
        "must_revalidate",
        "no_cache",
        "reads",
        "revalidate_until",
        "size",
        "start",
        "status",
        "tags",
        "variant",
        "vary",
        "where",
    )

    def __init__(
        self, key: bytes, variant: bytes, status: int, start: bytes, terms: Terms, body: bytes, now: float
    ) -> None:
        self.key = key
        self.variant = variant
        self.status = status
        self.start = start
        self.body = body
        # What the store knows of it: how often it was read lately, and in which queue it stands.
        self.reads = 0
        self.where = 0
        self.renew(terms, now)

    def renew(self, terms: Terms, now: float) -> None:
        """Take these terms, which an answer brought at `now`."""
        self.lines = terms.lines
        self.vary = terms.vary or ()
        self.born = now - terms.age
        self.fresh_until = fresh = self.born + terms.lifetime
        self.revalidate_until = fresh + terms.stale_while_revalidate
        self.error_until = fresh + terms.stale_if_error
        self.no_cache = terms.no_cache
        self.must_revalidate = terms.must_revalidate
        self.immutable = terms.immutable
        self.assigned = terms.assigned
        self.etag = terms.etag
        self.modified = terms.modified
        self.modified_line = terms.modified_line
        self.date = terms.date
        self.language = terms.language
        self.tags = terms.tags
        self.size = OVERHEAD + len(self.key) + len(self.variant) + len(self.lines) + len(self.body)

    def complete(self, body: bytes) -> None:
        """Its body has come whole."""
        self.body = body
        self.size += len(body)

    @property
    def kept(self) -> bool:
        """Is it in the store?"""
        return self.where != 0

    @property
    def validator(self) -> bool:
        """Can the instance be asked whether it is still good?"""
        return bool(self.etag or self.modified_line)
