"""One client's exchange, while it waits for a fetch and while it gets what that brings.

Each reader takes the pieces of the answer at its own pace and with its own framing: it is the producer of its client's
transport, and knows which piece comes next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wmesh.policy.caching.conditions import not_modified
from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.question import Question
from wmesh.policy.caching.status import forward_line
from wmesh.proxy.cache.answer import answer_stored
from wmesh.proxy.decisions import told as told_of
from wmesh.wire.chunks import LAST_CHUNK, chunk
from wmesh.wire.response import CHUNKED, write_response

if TYPE_CHECKING:
    from wmesh.proxy.cache.crowd import Crowd
    from wmesh.proxy.cache.fetch import Fetch
    from wmesh.proxy.exchange import Exchange


class Reader:
    """`since` is when it began to wait, `fwd` why. `crowd` is where it waits, `fetch` what it reads from, if anything.
    `at` is the number of the next piece. `key` and `entry` are what it asks for, and what is stored of it already.
    """

    __slots__ = (
        "_chunked",
        "_paused",
        "_pending",
        "_producing",
        "at",
        "crowd",
        "entry",
        "exchange",
        "fetch",
        "fwd",
        "key",
        "question",
        "since",
    )

    def __init__(
        self, exchange: Exchange, question: Question, key: bytes, entry: Entry | None, fwd: str, now: float
    ) -> None:
        self.exchange = exchange
        self.question = question
        self.key = key
        self.entry = entry
        self.fwd = fwd
        self.since = now
        self.crowd: Crowd | None = None
        self.fetch: Fetch | None = None
        self.at = 0
        self._pending = b""
        self._chunked = False
        self._paused = False
        self._producing = False

    def begin(self, fetch: Fetch, *, stored: bool, collapsed: bool, more: bytes = b"") -> None:
        """The head of the answer is there. `more` are lines for this client only."""
        exchange = self.exchange
        head = fetch.head
        assert head is not None
        told = forward_line(fetch.cache.name, self.fwd, head.status, stored=stored, collapsed=collapsed) + more
        plane = exchange.plane
        asked = fetch.current
        assert asked is not None
        member = asked.ticket.member.record.id if asked.ticket is not None else "nobody"
        exchange.notes = [*exchange.notes, *asked.notes, (plane.clock(), f"fetched from {member} for the cache")]
        if exchange.debug:
            told += told_of(asked.ticket, asked.attempts, exchange.notes)
        coming = fetch.coming
        if (
            not self.question.plain
            and coming is not None
            and not_modified(self.question, coming, plane.reactor.seconds())
        ):
            answer_stored(exchange, coming, self.question, told, plane.clock())
            return
        self.fetch = fetch
        fetch.readers.append(self)
        if head.body >= CHUNKED:
            if exchange.head.minor:
                self._chunked = True
            else:
                exchange.close_after = True
        exchange.head_sent = True
        exchange.status = head.status
        told += exchange.connection_line()
        self._pending = write_response(head, self._chunked, plane.via, exchange.request_id, plane.deadlines.date, told)

    def more(self) -> None:
        """Send on what there is to send, as far as the client takes it."""
        fetch = self.fetch
        transport = self.exchange.down.transport
        if fetch is None or transport is None:
            return
        while not self._paused and self.at < fetch.base + len(fetch.pieces):
            piece = fetch.pieces[self.at - fetch.base]
            self.at += 1
            if self._chunked:
                piece = chunk(piece)
            self._write(transport, piece)
            if self.fetch is not fetch:
                return
        if self._paused:
            return
        if fetch.whole and self.at == fetch.base + len(fetch.pieces):
            self._finish(transport)
            return
        self._write(transport, b"")
        if not self._producing and self.fetch is fetch:
            self._producing = True
            transport.registerProducer(self, True)

    def _write(self, transport: object, data: bytes) -> None:
        pending, self._pending = self._pending, b""
        data = pending + data
        if data:
            transport.write(data)  # type: ignore[attr-defined]

    def _finish(self, transport: object) -> None:
        self._write(transport, LAST_CHUNK if self._chunked else b"")
        if self.fetch is None:
            return  # the write told us that the client is gone
        fetch = self.fetch
        self._let_go()
        fetch.left()
        self.exchange.finished(self.exchange.plane.clock())

    def broken(self) -> None:
        """The answer will not become whole: the client must see that something is missing."""
        exchange, fetch = self.exchange, self.fetch
        self._let_go()
        if fetch is not None:
            fetch.left()
        now = exchange.plane.clock()
        exchange.note(now, "the answer broke off")
        exchange.over(now, 0, None)
        exchange.reader = None
        exchange.settle()
        exchange.down.abort()

    def leave(self) -> None:
        """The client has no use for it any more."""
        crowd, fetch = self.crowd, self.fetch
        self._let_go()
        if crowd is not None:
            crowd.left(self)
        if fetch is not None:
            fetch.left()

    def _let_go(self) -> None:
        fetch, self.fetch = self.fetch, None
        if fetch is not None:
            fetch.readers.remove(self)
        if self._producing:
            self._producing = False
            transport = self.exchange.down.transport
            if transport is not None:
                transport.unregisterProducer()

    # --- the client's pace

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        if self._paused:
            self._paused = False
            fetch = self.fetch
            self.more()
            if fetch is not None:
                fetch.pace()

    def stopProducing(self) -> None:
        """The client is gone; its connectionLost tells it, too."""
