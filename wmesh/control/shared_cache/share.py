"""The second level in Redis: looks with a short wait, writes that nobody waits for.

Strategy: three connections, so that no look stands behind a large write, and neither behind the wait for news. Nothing
is looked for while the news are not heard, for then what is found may have been invalidated: out of touch, the memory
of the gateway is all there is, and no request waits. A server that does not answer a look in time is not asked again
before it has.
"""

from __future__ import annotations

import hashlib
import random
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from wmesh.control.registry.link import Link, way_to
from wmesh.control.shared_cache.news import News
from wmesh.control.shared_cache.scripts import PUT
from wmesh.errors import RecordError, RegistryError
from wmesh.policy.caching.decide import newest
from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.question import Question
from wmesh.policy.caching.record import decode, encode
from wmesh.policy.caching.second_level import FirstLevel, Invalidation
from wmesh.policy.caching.store import VARIANTS
from wmesh.policy.caching.vary import Names
from wmesh.registry_url import Target, check_namespace

PATIENCE = 0.05
"""Seconds that a request waits for a look, at most."""

OBJECT_LIMIT = 1024**2
LONGEST_KEY = 4096
LONGEST_STAY = 86400.0
MOST_WRITING = 16 * 1024**2
"""Bytes on their way to the server; what comes on top is not written."""

_MOST_SETS = 8


class _Look:
    """One look that is under way. `spoiled`: what it finds is not to be used."""

    __slots__ = ("key", "late", "spoiled", "told")

    def __init__(self, key: bytes, told: Callable[[Entry | None], None]) -> None:
        self.key = key
        self.told = told
        self.late = self.spoiled = False


class Share:
    """Implements `wmesh.policy.caching.second_level.SecondLevel`. `now` is the clock of entries, in seconds."""

    _log = Logger()

    def __init__(
        self,
        target: Target,
        namespace: str,
        reactor: Any,
        *,
        timeout: float = 3.0,
        patience: float = PATIENCE,
        retry_max: float = 5.0,
        rng: random.Random | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reactor = reactor
        self._now = now
        self._patience = patience
        self._label = target.label
        rng = rng or random.Random()
        way = way_to(target, reactor, timeout=timeout, rng=rng)
        self._looks, self._writes, listening = (
            Link(target, reactor, timeout=timeout, retry_max=retry_max, rng=rng, now=now, way=way) for _ in range(3)
        )
        self._links = (self._looks, self._writes, listening)
        prefix = f"{{{check_namespace(namespace)}}}:cache:".encode()
        name = secrets.token_hex(8).encode()
        self._news = News(listening, self._writes, prefix, name, reactor, self._label)
        self._first: FirstLevel | None = None
        self._looking: set[_Look] = set()
        self._late = self._writing = 0
        self.hits = self.misses = self.late = self.failed = self.bad = self.written = self.unwritten = 0

    def start(self, first: FirstLevel) -> None:
        """Begin to connect; a server that is not there is waited for, by nobody else. Fails with RegistryError if the
        URL makes no sense (a certificate file that is not there, say)."""
        self._first = first
        try:
            for link in self._links:
                link.start()
        except RegistryError as error:
            raise RegistryError(f"[gateway] cache_redis_url: {error}") from error
        self._news.start(self)

    async def stop(self) -> None:
        self._first = None
        self._news.stop()
        await gatherResults([Deferred.fromCoroutine(link.stop()) for link in self._links])

    @property
    def ready(self) -> bool:
        return self._news.in_touch and not self._late and self._looks.connected

    # --- looking

    def find(self, key: bytes, question: Question, told: Callable[[Entry | None], None]) -> None:
        look = _Look(key, told)
        look.spoiled = self._news.about_to_go(key)
        if look.spoiled:
            told(None)
            return
        self._looking.add(look)
        timer = self._reactor.callLater(self._patience, self._too_late, look)
        looking = Deferred.fromCoroutine(self._find(key, question))
        looking.addErrback(self._not_found)
        looking.addCallback(self._found, look, timer)
        looking.addErrback(lambda failure: self._log.failure("A look into the shared cache went wrong", failure))

    def _too_late(self, look: _Look) -> None:
        look.late = True
        self._late += 1
        self.late += 1
        look.told(None)

    def _found(self, entry: Entry | None, look: _Look, timer: Any) -> None:
        self._looking.discard(look)
        if look.late:
            self._late -= 1
            return
        timer.cancel()
        if look.spoiled:
            entry = None
        if entry is None:
            self.misses += 1
        else:
            self.hits += 1
        look.told(entry)

    def _not_found(self, failure: Failure) -> None:
        self.failed += 1
        if not isinstance(failure.value, RegistryError | CancelledError):
            self._log.failure("The shared cache could not be asked", failure)

    async def _find(self, key: bytes, question: Question) -> Entry | None:
        page = self._news.page(key)
        names, plain = await self._looks.command(b"HMGET", page, b"names", _field((), b""))
        found: list[tuple[Names, bytes, bytes | None]] = [((), b"", plain)]
        sets: list[Names] = [tuple(line.split(b",")) for line in names.split(b"\n")[-_MOST_SETS:]] if names else []
        if sets:
            variants = [question.variant(one) for one in sets]
            fields = [_field(*both) for both in zip(sets, variants, strict=True)]
            records = await self._looks.command(b"HMGET", page, *fields)
            found += zip(sets, variants, records, strict=True)
        return newest(filter(None, (self._read(key, *each) for each in found)))

    def _read(self, key: bytes, names: Names, variant: bytes, data: bytes | None) -> Entry | None:
        if data is None:
            return None
        try:
            entry, mark = decode(data, self._now(), self._reactor.seconds())
        except RecordError:
            self.bad += 1
            return None
        if (entry.key, entry.vary, entry.variant) != (key, names, variant):
            self.bad += 1
            return None
        return None if self._news.gone(key, entry.tags, mark) else entry

    # --- writing

    def put(self, entry: Entry) -> None:
        now = self._now()
        stay = min(max(entry.fresh_until, entry.revalidate_until, entry.error_until) - now, LONGEST_STAY)
        if not self.ready or entry.no_cache or stay < 1.0:
            return
        if len(entry.body) > OBJECT_LIMIT or len(entry.key) > LONGEST_KEY or self._writing + entry.size > MOST_WRITING:
            self.unwritten += 1
            return
        self._writing += entry.size
        writing = Deferred.fromCoroutine(self._put(entry, stay, now))
        writing.addCallbacks(self._put_there, self._not_put)
        writing.addBoth(self._put_done, entry.size)

    async def _put(self, entry: Entry, stay: float, now: float) -> Any:
        news = self._news
        record = encode(entry, news.position, now, self._reactor.seconds())
        return await self._writes.run(
            PUT,
            (news.stream, news.page(entry.key)),
            *(news.position, int(stay * 1000), _field(entry.vary, entry.variant), record),
            *(b",".join(entry.vary), b" ".join(entry.tags), VARIANTS + 2),
        )

    def _put_there(self, answer: Any) -> None:
        if answer == 1:
            self.written += 1
            return
        self.unwritten += 1
        if answer == -1:
            self._news.out_of_touch("the server was emptied")

    def _not_put(self, failure: Failure) -> None:
        self.unwritten += 1
        if not isinstance(failure.value, RegistryError | CancelledError):
            self._log.failure("The shared cache could not be written to", failure)

    def _put_done(self, _: object, size: int) -> None:
        self._writing -= size

    # --- forgetting

    def invalidate(self, what: Invalidation) -> None:
        self._spoil(what)
        self._news.say(what)

    def invalidated(self, what: Invalidation) -> None:
        """Another gateway says so."""
        self._spoil(what)
        if self._first is not None:
            self._first.invalidated(what)

    def lost_touch(self) -> None:
        """See `FirstLevel`."""
        for look in self._looking:
            look.spoiled = True
        if self._first is not None:
            self._first.lost_touch()

    def _spoil(self, what: Invalidation) -> None:
        for look in self._looking:
            if what.means(look.key):
                look.spoiled = True

    # --- for people

    def describe(self) -> Mapping[str, Any]:
        news = self._news
        return {
            "url": self._label,
            "in_touch": news.in_touch,
            "problem": None if news.in_touch else news.problem or "not connected yet",
            "hits": self.hits,
            "misses": self.misses,
            "late": self.late,
            "failed": self.failed,
            "written": self.written,
            "not_written": self.unwritten,
            "bad_records": self.bad + news.bad,
        }


def _field(names: Names, variant: bytes) -> bytes:
    """The name of one answer on its page."""
    digest = hashlib.blake2b(b",".join(names) + b"\0" + variant, digest_size=16)
    return b"v" + digest.digest()
