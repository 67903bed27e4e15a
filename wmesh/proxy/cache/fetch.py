"""One answer on its way from an instance into the cache, and to any number of clients at once.

The exchange with the instance is one like any other, but for its client's side, which is this: the head is judged, the
body recorded. While it is recorded the slowest client holds nobody back, because the pieces are kept anyway; an answer
that is not kept (too large, or not allowed) lives only until the slowest has it, and is held back by him.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from wmesh.policy.caching.conditions import confirms, updated
from wmesh.policy.caching.decide import FAILURES, usable_on_error
from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.question import NOTHING, Question
from wmesh.policy.caching.terms import Terms
from wmesh.policy.caching.vary import Names
from wmesh.proxy.cache.crowd import Crowd
from wmesh.proxy.cache.question import FetchExchange, asked, for_others
from wmesh.proxy.cache.reader import Reader
from wmesh.proxy.local_reply import KeptReply, LocalReply
from wmesh.proxy.transport import HIGH_WATER
from wmesh.wire.fields import values_of, without
from wmesh.wire.response import ResponseHead, write_interim

if TYPE_CHECKING:
    from wmesh.proxy.cache.cache import Cache
    from wmesh.proxy.exchange import Exchange


class Fetch:
    """`leader` is whose request it is (None: he left, or it goes out behind the clients' backs).

    `entry` is the stored answer that is asked about, `coming` the new one, as far as it is known. `pieces` are those of
    the body from number `base` on. `keeping`: it will be stored. `whole`: all of it is there. `spec` is what its route
    says of caching.
    """

    __slots__ = (
        "_binding",
        "_producer",
        "_size",
        "_slowed",
        "_taken",
        "background",
        "base",
        "cache",
        "coming",
        "crowd",
        "current",
        "dirty",
        "discarding",
        "entry",
        "half_closed",
        "head",
        "held",
        "keeping",
        "key",
        "leader",
        "names",
        "parsing",
        "peer",
        "pieces",
        "plane",
        "question",
        "readers",
        "spec",
        "started",
        "transport",
        "tunnel",
        "whole",
    )

    def __init__(
        self,
        cache: Cache,
        crowd: Crowd,
        asking: Exchange,
        question: Question,
        key: bytes,
        entry: Entry | None,
        leader: Reader | None,
    ) -> None:
        """`asking` is the exchange whose request is to be sent."""
        self.cache = cache
        self.crowd = crowd
        assert asking.plan is not None
        self.spec = asking.plan.spec.cache
        self.plane = asking.plane
        self.peer = asking.down.peer
        self.question = question
        self.key = key
        self.entry = entry
        self.leader = leader
        self.background = leader is None
        self.readers: list[Reader] = []
        self.head: ResponseHead | None = None
        self.coming: Entry | None = None
        self.names: Names = ()
        self.pieces: list[bytes] = []
        self.base = 0
        self.keeping = True
        self.whole = False
        self.discarding = False
        self.started = 0.0
        self._size = 0
        self._binding = b""
        self._producer: Any = None
        self._slowed = False
        self._taken = 0
        # What an exchange looks at on its client's side.
        self.transport: Any = self
        self.dirty: Any = None
        self.tunnel: Any = None
        # Nothing is gained by standing in the queue where something stored can stand in at once.
        self.half_closed = entry is not None and usable_on_error(question, entry, self.plane.clock(), self.spec)
        self.parsing = False
        self.held = 0
        # Forgotten at its end: neither of the two is to wait for the collector of cycles.
        self.current: Exchange | None = FetchExchange(self.plane, self, asked(asking.head, question, entry))
        self.current.plan = asking.plan
        self.current.request_id = asking.request_id if leader is not None else self.plane.next_id()

    def begin(self, now: float) -> None:
        """Ask."""
        self.started = now
        self.cache.fetches.add(self)
        self.plane.connections.add(self)
        assert self.current is not None
        self.current.started = now
        self.current.forward(now)

    # --- the answer

    def arrived(self, head: ResponseHead, more: bytes) -> None:
        """Its head is there. `more` are lines for the leader only."""
        plane, cache = self.plane, self.cache
        now, wall = plane.clock(), plane.reactor.seconds()
        self.head = head
        self._binding = more
        assert self.current is not None and self.current.plan is not None
        own = self.current.plan.cache is cache
        entry = self.entry
        if entry is not None and own:
            if head.status == 304:
                self._confirmed(entry, head, now, wall)
                return
            if head.status in FAILURES and self.stand_in(now):
                self.discarding = True
                return
            if head.status < 500:
                cache.store.remove(entry)
        if head.status == 304:
            self.discarding = True
            self.failed(LocalReply(502, "instance_sent_invalid_response", "the instance answered 304 unasked"))
            return
        terms = Terms(self.question, head.status, head.lines, self.spec, wall, now - self.started)
        self.names = terms.vary or ()
        variant = self.question.variant(self.names) if not terms.why else b""
        self.coming = Entry(self.key, variant, head.status, head.start, terms, b"", now)
        small = (head.length or 0) <= self.spec.object_limit
        self.keeping = own and self.keeping and not terms.why and small
        leader, self.leader = self.leader, None
        if leader is not None:
            leader.crowd = None
            leader.begin(self, stored=self.keeping, collapsed=False, more=more)
        if small and not terms.why and terms.reusable:
            self.crowd.arrived(self)
            if self.keeping:
                cache.coming[self.crowd_key] = self
        else:
            self._not_for_all(head, now)
        if not self.readers and not self.keeping:
            # Its connection is kept if there is not much to come.
            self.discarding = small and head.length is not None
            self.left()

    @property
    def crowd_key(self) -> bytes:
        assert self.coming is not None
        return self.cache.crowd_key(self.key, self.question, self.names)

    def _not_for_all(self, head: ResponseHead, now: float) -> None:
        if head.status >= 500:
            self.crowd.failed(self, for_others(head.status, self.cache.service.decode()), now)
        else:
            self.cache.unshared(self.key, now)
            self.crowd.private(self, self.names)

    def _confirmed(self, entry: Entry, head: ResponseHead, now: float, wall: float) -> None:
        """A 304: what is stored is as good as new, with what the 304 says."""
        cache = self.cache
        self.discarding = True
        known = entry.kept
        cache.store.remove(entry)
        leader, self.leader = self.leader, None
        if not confirms(entry, head.lines):
            # It speaks of something that we do not have: then we have nothing.
            for reader in [*([leader] if leader is not None else []), *self.crowd.release(self)]:
                reader.crowd = None
                reader.entry = None
                if not reader.exchange.done:
                    cache.again(reader, ())
            return
        # A cookie on a 304 is for who asked, whatever was stored.
        cookies = b"".join(b"Set-Cookie: %b\r\n" % value for value in values_of(head.lines, b"set-cookie"))
        lines = updated(entry, without(head.lines, {b"set-cookie"}) if cookies else head.lines)
        terms = Terms(self.question, entry.status, lines, self.spec, wall, now - self.started)
        fresh = Entry(self.key, self.question.variant(terms.vary or ()), entry.status, entry.start, terms,
                      entry.body, now)  # fmt: skip
        # Another fetch may have brought a newer one meanwhile.
        stored = not terms.why and self.keeping and known
        if stored:
            cache.keep(fresh)
        cache.revalidated += 1
        if leader is not None:
            leader.crowd = None
            line = cache.line(leader.fwd, 304, stored=stored) + self._binding + cookies
            cache.write(leader.exchange, fresh, leader.question, line, now)
        if terms.reusable:
            self.crowd.served(self, fresh, cache.line("stale", 304, collapsed=True), now)
        else:
            cache.unshared(self.key, now)
            self.crowd.private(self, ())

    def stand_in(self, now: float) -> bool:
        """Nobody answers, or with a failure: may what is stored be used instead? Then it is."""
        entry, cache = self.entry, self.cache
        if entry is None or not usable_on_error(self.question, entry, now, self.spec):
            return False
        cache.stood_in += 1
        leader, self.leader = self.leader, None
        line = cache.hit_line(entry, now, b"stale-if-error")
        if leader is not None:
            leader.crowd = None
            cache.write(leader.exchange, entry, leader.question, line, now)
        if usable_on_error(NOTHING, entry, now, self.spec):
            self.crowd.served(self, entry, line, now)
        else:
            # It was the leader alone who would take one that is so old.
            self.crowd.failed(self, for_others(502, cache.service.decode()), now)
        return True

    def suits(self, question: Question) -> bool:
        """Is the answer that is coming good for this request?"""
        coming = self.coming
        assert coming is not None
        if coming.assigned and question.cookies and not self.spec.cookies:
            return False
        return question.variant(self.names) == coming.variant

    def admit(self, reader: Reader) -> None:
        """Another client gets the answer as it comes."""
        reader.begin(self, stored=self.keeping, collapsed=True)
        if reader.fetch is self and (self.pieces or self.whole):
            reader.more()

    def interim(self, head: ResponseHead) -> None:
        """A 1xx is for who leads, and is never kept."""
        leader = self.leader
        if leader is not None and leader.exchange.head.minor and leader.exchange.down.transport is not None:
            leader.exchange.down.transport.write(write_interim(head))

    def failed(self, reply: LocalReply) -> None:
        """There is no answer, and nothing that could stand in."""
        notes = self.current.notes if self.current is not None else ()
        self.end()
        now = self.plane.clock()
        leader, self.leader = self.leader, None
        others = for_others(reply.status, self.cache.service.decode()) if isinstance(reply, KeptReply) else reply
        if leader is not None and not leader.exchange.done:
            leader.crowd = None
            leader.exchange.notes = [*leader.exchange.notes, *notes]
            leader.exchange.answer(reply)
        self.crowd.failed(self, others, now)

    # --- the body, as the transport of the exchange

    def write(self, data: bytes) -> None:
        if self.discarding:
            return
        if data:
            self.pieces.append(data)
            self._size += len(data)
            if self.keeping:
                self._record(len(data))
        for reader in list(self.readers):
            reader.more()
        self.pace()

    def _record(self, count: int) -> None:
        """So many bytes more are kept, unless it is too large, or too much is under way."""
        if self._size <= self.spec.object_limit and self.cache.store.take(count):
            self._taken += count
        else:
            self.keeping = False
            self.cache.not_coming(self)
            self._give_back()

    def _give_back(self) -> None:
        taken, self._taken = self._taken, 0
        if taken:
            self.cache.store.give_back(taken)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer
        if not self.discarding:
            self.write(b"")

    def unregisterProducer(self) -> None:
        self._producer = None

    def pace(self) -> None:
        """What is not kept goes when all have it, and no faster than the slowest takes it."""
        if self.keeping:
            return
        first = min((reader.at for reader in self.readers), default=self.base + len(self.pieces))
        if first > self.base:
            del self.pieces[: first - self.base]
            self.base = first
        slow = sum(map(len, self.pieces)) > HIGH_WATER
        if slow != self._slowed and self._producer is not None:
            self._slowed = slow
            if slow:
                self._producer.pauseProducing()
            else:
                self._producer.resumeProducing()

    @property
    def stream(self) -> Fetch:
        return self

    @property
    def unsent(self) -> int:
        """Not 0 while it is the clients that the instance waits for."""
        return int(self._slowed)

    # --- ends

    def exchange_done(self, exchange: Exchange, now: float) -> None:
        """The answer is whole."""
        self.whole = True
        coming = self.coming
        if self.keeping and coming is not None and not self.discarding:
            body = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
            coming.complete(body)
            self.cache.keep(coming)
        self.end()
        for reader in list(self.readers):
            reader.more()

    def abort(self) -> None:
        """It broke off in the middle, or the gateway stops."""
        if self.current is None:
            return
        exchange = self.current
        self.end()
        if not exchange.done:
            exchange.client_lost()
        for reader in list(self.readers):
            reader.broken()

    def left(self) -> None:
        """A client has left, or there never was one: an answer that nobody wants is not fetched to its end."""
        if self.current is None and not self.readers:
            self._give_back()
        if self.readers or self.whole or self.keeping or self.discarding or self.head is None:
            return
        self.cancel()

    def cancel(self) -> None:
        """Nobody wants it."""
        exchange = self.current
        if exchange is not None:
            self.end()
            exchange.client_lost()
        self.crowd.forget(self)

    def end(self) -> None:
        self.current = None
        self.cache.fetches.discard(self)
        self.cache.not_coming(self)
        self.plane.closed(self)
        if not self.readers:
            self._give_back()

    # --- what only other clients' sides have a use for

    def hold(self, why: int) -> None:
        """It has no request body."""

    def release(self, why: int) -> None:
        """See `hold`."""

    def drain(self) -> None:
        """It ends with its answer."""
