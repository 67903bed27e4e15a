"""The cache of one service: its requests come here before they go to an instance, and most go no further.

A hit costs a look-up and a write. What the cache cannot help with (other methods, bodies, conditions that only the
instance can judge) goes its way as if there were no cache, but what it changes is noticed: an unsafe request that went
well makes what is stored for its URI worthless (RFC 9111 section 4.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wmesh.policy.caching.decide import BYPASS, HIT, MISS, NONE, STALE, decide
from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.keys import SAFE, covers, equals, key_of, worthless
from wmesh.policy.caching.question import Question, question_of
from wmesh.policy.caching.status import forward_line, hit_line
from wmesh.policy.caching.store import Store
from wmesh.policy.caching.vary import Names
from wmesh.proxy.cache.answer import answer_stored
from wmesh.proxy.cache.crowd import Crowd
from wmesh.proxy.cache.fetch import Fetch
from wmesh.proxy.cache.reader import Reader
from wmesh.proxy.local_reply import LocalReply
from wmesh.proxy.time_limit import bounded
from wmesh.wire.forwarded import asked_as
from wmesh.wire.response import ResponseHead

if TYPE_CHECKING:
    from wmesh.proxy.exchange import Exchange
    from wmesh.proxy.plan import Plan

UNSHARED = 10.0
"""Seconds for which nobody waits at a URI whose last answer was not for all."""

_MOST_UNSHARED = 4096


class Cache:
    """`hits` were answered from the store, `misses` by an instance, `stale` from the store while it was asked,
    `stood_in` instead of a failure; `revalidated` are answers that an instance confirmed, `collapsed` requests that
    another one's fetch served, `saved` bytes of bodies that came from the store. `name` is that in Cache-Status.
    """

    def __init__(self, service: str, store: Store, name: bytes) -> None:
        self.service = service.encode("ascii")
        self.store = store
        self.name = name
        self.crowds: dict[bytes, Crowd] = {}
        self.coming: dict[bytes, Fetch] = {}
        self.fetches: set[Fetch] = set()
        self.hits = self.misses = self.stale = self.stood_in = 0
        self.revalidated = self.collapsed = self.passed_by = self.saved = 0
        self._unshared: dict[int, float] = {}

    # --- requests

    def takes(self, exchange: Exchange, plan: Plan, now: float) -> bool:
        """Is this request the cache's? Then it is answered, now or later."""
        head = exchange.head
        method = head.method
        if (method != b"GET" and method != b"HEAD") or head.has_body or head.fields.upgrade is not None:
            return False
        question = question_of(head.fields.lines)
        if question.strict:
            return False
        key = self._key(exchange)
        entry, names = self.store.find(key, question)
        kind, entry, fwd = decide(question, entry, names is not None, now, plan.spec.cache)
        if kind == HIT:
            assert entry is not None
            self.hits += 1
            self.saved += len(entry.body)
            answer_stored(exchange, entry, question, hit_line(self.name, entry.fresh_until - now), now)
            return True
        if kind == BYPASS:
            return False
        if kind == NONE:
            reason = "nothing is stored that could be used, and the request wants nothing else"
            exchange.answer(LocalReply(504, "only_if_cached", reason, self.service.decode()))
            return True
        if kind == STALE:
            assert entry is not None
            self.stale += 1
            self._refresh(exchange, question, key, entry, names, now)
            line = hit_line(self.name, entry.fresh_until - now, b"stale-while-revalidate")
            self.write(exchange, entry, question, line, now)
            return True
        if method == b"HEAD" or (kind == MISS and question.range is not None):
            return False
        if bounded(exchange, plan, now) is None:
            return True
        self.misses += 1
        reader = exchange.reader = Reader(exchange, question, key, entry, fwd, now)
        self._ask(reader, names, question.authorized or self._unshared.get(hash(key), 0.0) > now, now)
        return True

    def passed(self, exchange: Exchange, head: ResponseHead) -> bytes:
        """An answer to a request that was not the cache's goes to its client; the line to add to it."""
        self.passed_by += 1
        method = exchange.head.method
        if method not in SAFE:
            for key in worthless(self._key(exchange), head.status, head.lines):
                self.store.forget(key)
                self._spoil(lambda other, key=key: other == key)
        return forward_line(self.name, self._reason(exchange), head.status)

    def told(self, exchange: Exchange) -> bytes:
        """The line for an answer of the gateway's own."""
        reader = exchange.reader
        return forward_line(self.name, reader.fwd if reader is not None else self._reason(exchange))

    def _reason(self, exchange: Exchange) -> str:
        method = exchange.head.method
        if method != b"GET" and method != b"HEAD":
            return "method"
        question = question_of(exchange.head.lines)
        plan = exchange.plan
        obeyed = plan is not None and plan.spec.cache.request_control
        if obeyed and question.control is not None and question.control.no_store:
            return "request"
        return "miss" if method == b"HEAD" or question.range is not None else "bypass"

    def _key(self, exchange: Exchange) -> bytes:
        head = exchange.head
        scheme, host, more = asked_as(exchange.down.peer, head)
        return key_of(self.service, scheme, host, head.target, more)

    # --- fetches

    def crowd_key(self, key: bytes, question: Question, names: Names | None) -> bytes:
        """What stands together: requests for one URI, alike in what its answers depend on, if that is known."""
        return key + b"\n" + question.variant(names) if names else key

    def _ask(self, reader: Reader, names: Names | None, alone: bool, now: float) -> None:
        crowd_key = self.crowd_key(reader.key, reader.question, names)
        if not alone:
            crowd = self.crowds.get(crowd_key)
            if crowd is not None:
                crowd.join(reader)
                return
            coming = self.coming.get(crowd_key)
            if coming is not None and reader.entry is None and coming.suits(reader.question):
                self.collapsed += 1
                coming.admit(reader)
                return
        crowd = Crowd(self, crowd_key, reader.exchange.plane)
        if not alone:
            self.crowds[crowd_key] = crowd
        self.lead(crowd, reader, now)

    def lead(self, crowd: Crowd, reader: Reader, now: float) -> None:
        """This one's request goes to an instance, for all of its crowd."""
        reader.crowd = crowd
        crowd.send(Fetch(self, crowd, reader.exchange, reader.question, reader.key, reader.entry, reader), now)

    def again(self, reader: Reader, names: Names, *, alone: bool = False) -> None:
        """Another one's answer was not for this one: it begins anew."""
        self._ask(reader, names, alone, reader.exchange.plane.clock())

    def _refresh(
        self, exchange: Exchange, question: Question, key: bytes, entry: Entry, names: Names | None, now: float
    ) -> None:
        """Have it validated behind the clients' backs, if nobody does that already."""
        crowd_key = self.crowd_key(key, question, names)
        if crowd_key not in self.crowds and crowd_key not in self.coming:
            crowd = self.crowds[crowd_key] = Crowd(self, crowd_key, exchange.plane)
            crowd.send(Fetch(self, crowd, exchange, question, key, entry, None), now)

    def disband(self, crowd: Crowd) -> None:
        if self.crowds.get(crowd.key) is crowd:
            del self.crowds[crowd.key]

    def not_coming(self, fetch: Fetch) -> None:
        """Nobody can join this fetch any more."""
        if fetch.coming is not None and self.coming.get(fetch.crowd_key) is fetch:
            del self.coming[fetch.crowd_key]

    def unshared(self, key: bytes, now: float) -> None:
        """The answer for this URI was not for all, and the next one is not likely to be."""
        if len(self._unshared) >= _MOST_UNSHARED:
            self._unshared.clear()
        self._unshared[hash(key)] = now + UNSHARED

    # --- answers

    def write(self, exchange: Exchange, entry: Entry, question: Question, line: bytes, now: float) -> None:
        """Answer with what is stored, saying so in `line`."""
        self.saved += len(entry.body)
        answer_stored(exchange, entry, question, line, now)

    def line(self, fwd: str, status: int, *, stored: bool = False, collapsed: bool = False) -> bytes:
        return forward_line(self.name, fwd, status, stored=stored, collapsed=collapsed)

    def hit_line(self, entry: Entry, now: float, detail: bytes) -> bytes:
        return hit_line(self.name, entry.fresh_until - now, detail)

    # --- for operators

    def purge(self, *, url: bytes = b"", prefix: bytes = b"", tag: bytes = b"") -> int:
        """Forget what is named, or everything; what is on its way is not kept either. Tells how many answers went."""
        if url:
            self._spoil(lambda key: equals(key, url))
        elif prefix:
            self._spoil(lambda key: covers(key, prefix))
        else:
            self._spoil(lambda key: True)
        return self.store.purge(self.service, url=url, prefix=prefix, tag=tag)

    def _spoil(self, means: Any) -> None:
        """What is on its way is for those who wait for it already: it is not kept, and nobody joins it any more."""
        for fetch in self.fetches:
            if means(fetch.key):
                fetch.keeping = False
                self.not_coming(fetch)
                self.disband(fetch.crowd)

    def describe(self) -> dict[str, Any]:
        """Plain JSON values."""
        asked = self.hits + self.stale + self.misses
        answered = self.hits + self.stale + self.stood_in + self.collapsed
        return {
            "hits": self.hits,
            "misses": self.misses,
            "stale_while_revalidate": self.stale,
            "stale_if_error": self.stood_in,
            "revalidated": self.revalidated,
            "collapsed": self.collapsed,
            "passed_by": self.passed_by,
            "hit_ratio": round(min(answered, asked) / asked, 6) if asked else None,
            "bytes_from_cache": self.saved,
        }
