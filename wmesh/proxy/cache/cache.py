"""The cache of one service: its requests come here before they go to an instance, and most go no further.

A hit costs a look-up and a write. What the cache cannot help with (other methods, bodies, conditions that only the
instance can judge) goes its way as if there were no cache, but what it changes is noticed: an unsafe request that went
well makes what is stored for its URI worthless (RFC 9111 section 4.4).

Where there is a second level, which other gateways share, a crowd waits for a look into it before anybody is sent to an
instance. What is found there goes into the store, and everybody in the crowd begins anew, as if it had been there.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from wmesh.policy.caching.decide import BYPASS, HIT, MISS, NONE, STALE, decide, newest
from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.keys import SAFE, key_of, worthless
from wmesh.policy.caching.question import Question, question_of
from wmesh.policy.caching.second_level import ALL, KEY, PREFIX, TAG, URL, Invalidation, SecondLevel
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
    """`hits` were answered from the store, `misses` were not, `stale` from the store while an instance was asked,
    `stood_in` instead of a failure; `revalidated` are answers that an instance confirmed, `collapsed` requests that
    another one's fetch served, `shared` misses that the second level served, `saved` bytes of bodies that came from
    the store. `name` is that in Cache-Status.
    """

    def __init__(self, service: str, store: Store, name: bytes, second: SecondLevel | None = None) -> None:
        self.service = service.encode("ascii")
        self.store = store
        self.name = name
        self.second = second
        self.crowds: dict[bytes, Crowd] = {}
        self.coming: dict[bytes, Fetch] = {}
        self.fetches: set[Fetch] = set()
        self.hits = self.misses = self.stale = self.stood_in = 0
        self.revalidated = self.collapsed = self.shared = self.passed_by = self.saved = 0
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
        unshared = self._unshared.get(hash(key), 0.0) > now
        self._ask(reader, names, question.authorized or unshared, now, look=not unshared)
        return True

    def passed(self, exchange: Exchange, head: ResponseHead) -> bytes:
        """An answer to a request that was not the cache's goes to its client; the line to add to it."""
        self.passed_by += 1
        method = exchange.head.method
        if method not in SAFE:
            for key in worthless(self._key(exchange), head.status, head.lines):
                self._forget_everywhere(Invalidation(self.service, KEY, key))
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

    def _ask(self, reader: Reader, names: Names | None, alone: bool, now: float, *, look: bool = False) -> None:
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
        if look and self.second is not None and self.second.ready:
            crowd.join(reader)
            self.second.find(reader.key, reader.question, partial(self._looked, crowd, reader, alone))
        else:
            self.lead(crowd, reader, now)

    def _looked(self, crowd: Crowd, first: Reader, alone: bool, found: Entry | None) -> None:
        """This is what the second level has: those who waited for it are served with it, or ask an instance."""
        if found is not None:
            known, _ = self.store.find(found.key, first.question)
            if known is None or newest((known, found)) is found:
                self.store.add(found)
        for reader in crowd.disperse():
            reader.crowd = None
            if not reader.exchange.done:
                # The others may have asked for another variant, which nobody has looked for.
                self._resume(reader, alone, b"" if found is None else b"shared", look=reader is not first)

    def _resume(self, reader: Reader, alone: bool, detail: bytes, *, look: bool) -> None:
        exchange, question, key = reader.exchange, reader.question, reader.key
        assert exchange.plan is not None
        now = exchange.plane.clock()
        entry, names = self.store.find(key, question)
        kind, entry, fwd = decide(question, entry, names is not None, now, exchange.plan.spec.cache)
        if entry is not None and kind in (HIT, STALE):
            self.shared += 1
            if kind == STALE:
                self._refresh(exchange, question, key, entry, names, now)
            self.write(exchange, entry, question, hit_line(self.name, entry.fresh_until - now, detail), now)
            return
        reader.entry, reader.fwd = entry, fwd
        self._ask(reader, names, alone, now, look=look)

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

    def keep(self, entry: Entry) -> None:
        """Store it."""
        self.store.add(entry)
        if self.second is not None:
            self.second.put(entry)

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
        how = URL if url else PREFIX if prefix else TAG if tag else ALL
        return self._forget_everywhere(Invalidation(self.service, how, url or prefix or tag))

    def _forget_everywhere(self, what: Invalidation) -> int:
        gone = self.forget(what)
        if self.second is not None:
            self.second.invalidate(what)
        return gone

    def forget(self, what: Invalidation) -> int:
        """Forget it here; tells how many answers went."""
        self._spoil(what.means)
        if what.how == KEY:
            return self.store.forget(what.what)
        means = {URL: "url", PREFIX: "prefix", TAG: "tag"}.get(what.how)
        return self.store.purge(self.service, **({means: what.what} if means else {}))

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
        answered = self.hits + self.stale + self.stood_in + self.collapsed + self.shared
        return {
            "hits": self.hits,
            "misses": self.misses,
            "stale_while_revalidate": self.stale,
            "stale_if_error": self.stood_in,
            "revalidated": self.revalidated,
            "collapsed": self.collapsed,
            "shared": self.shared,
            "passed_by": self.passed_by,
            "hit_ratio": round(min(answered, asked) / asked, 6) if asked else None,
            "bytes_from_cache": self.saved,
        }
