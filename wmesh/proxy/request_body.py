"""The body of a request on its way from the client to the instance.

Bytes are never collected: what one read of the client brings leaves in one write, and an instance that is slow holds
the client back. The one exception is what is kept, up to 64 KiB, until the answer begins, so that an attempt can be
repeated; a longer body goes out once, and while there is no connection for it yet the client waits.

A request without a body has no such object, and pays nothing. It is the producer of the instance's transport for as
long as more is to come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wmesh.cluster.outcome import Outcome
from wmesh.proxy.local_reply import LocalReply
from wmesh.proxy.side import HOLD_BACKPRESSURE, HOLD_CONNECTING
from wmesh.wire.chunks import chunk, last_chunk

if TYPE_CHECKING:
    from wmesh.proxy.exchange import Exchange

REPLAY_LIMIT = 65536

_BODILESS = frozenset((b"GET", b"HEAD", b"DELETE", b"OPTIONS"))


class RequestBody:
    """`producing`: it is the producer of the transport of the exchange's connection."""

    __slots__ = ("_kept", "_outgoing", "_size", "exchange", "producing")

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.producing = False
        # All that came, for the next attempt; None where that is too much, or there will be none.
        self._kept: list[bytes] | None = []
        # What the next flush sends; None until there is a connection.
        self._outgoing: list[bytes] | None = None
        self._size = 0

    # --- from the client

    def more(self, data: bytes) -> None:
        """A piece, as it came; `flush` follows when the read is done."""
        exchange = self.exchange
        if not exchange.done:
            self._take(chunk(data) if exchange.head.chunked else data)

    def complete(self, trailers: bytes) -> None:
        """The client has sent all of its request. `trailers` are whole lines, each with its CRLF."""
        exchange = self.exchange
        exchange.request_done = True
        if exchange.done:
            return
        if exchange.head.chunked:
            self._take(last_chunk(trailers))
        elif exchange.conn is not None:
            exchange.down.dirty = self

    def broken(self, reply: LocalReply) -> None:
        """The client broke the rules inside the body, or stopped sending it. The instance's copy is cut off."""
        exchange = self.exchange
        exchange.drop_attempt(Outcome.CANCELLED)
        if exchange.head_sent:
            exchange.down.abort()
        else:
            exchange.close_after = True
            exchange.answer(reply)

    def _take(self, data: bytes) -> None:
        exchange = self.exchange
        self._size = size = self._size + len(data)
        kept = self._kept
        if exchange.conn is None:
            assert kept is not None, "what cannot be repeated is not tried again"
            kept.append(data)
            if size > REPLAY_LIMIT:
                exchange.down.hold(HOLD_CONNECTING)
            return
        if kept is not None:
            if size <= REPLAY_LIMIT:
                kept.append(data)
            else:
                self._kept = None
        assert self._outgoing is not None
        self._outgoing.append(data)
        exchange.down.dirty = self

    def wait(self) -> None:
        """There is no connection yet: what is enough to be kept is enough for now."""
        if self._size > REPLAY_LIMIT:
            self.exchange.down.hold(HOLD_CONNECTING)

    # --- to the instance

    def send(self, head: bytes) -> None:
        """A connection is there: the head and all that came so far go out on it."""
        kept = self._kept
        assert kept is not None, "what cannot be repeated is not tried again"
        self._outgoing = [head, *kept]
        down = self.exchange.down
        if down.held & HOLD_CONNECTING:
            down.release(HOLD_CONNECTING)
        if self._size > REPLAY_LIMIT:
            self._kept = None
        # In the middle of a read the flush comes at its end, with all that the read brought.
        if down.parsing:
            down.dirty = self
        else:
            self.flush()

    def flush(self) -> None:
        """Send what the last read brought, in one write."""
        exchange = self.exchange
        conn = exchange.conn
        outgoing = self._outgoing
        if conn is None or outgoing is None or exchange.done:
            return
        transport = conn.transport
        if outgoing:
            conn.active = True
            transport.write(outgoing[0] if len(outgoing) == 1 else b"".join(outgoing))
            outgoing.clear()
        if exchange.request_done:
            if self.producing:
                self.stop()
        elif not self.producing and exchange.conn is conn:
            self.producing = True
            transport.registerProducer(self, True)

    def stop(self) -> None:
        """Be the producer of the instance's transport no longer."""
        self.producing = False
        conn = self.exchange.conn
        if conn is not None and conn.transport is not None:
            conn.transport.unregisterProducer()
        self.exchange.down.release(HOLD_BACKPRESSURE)

    def pauseProducing(self) -> None:
        self.exchange.down.hold(HOLD_BACKPRESSURE)

    def resumeProducing(self) -> None:
        self.exchange.down.release(HOLD_BACKPRESSURE)

    def stopProducing(self) -> None:
        """The instance's connection is gone; what that means is told by its own connectionLost."""

    def whole(self, head: bytes) -> bytes:
        """All of it behind this head, for an attempt beside the one that has it. The client has sent it all."""
        assert self._kept is not None, "what cannot be repeated is not tried again"
        return b"".join((head, *self._kept))

    # --- what it allows

    def forget(self) -> None:
        """The answer has begun: there will be no other attempt."""
        self._kept = None

    @property
    def repeatable(self) -> bool:
        """Can all that was sent of it be sent again?"""
        return self._kept is not None

    @property
    def unexpected(self) -> bool:
        """Does it stand behind a method that hardly ever has one? An instance may answer without having read it, and
        would take it for the next request on the connection: another client's turn.
        """
        return self.exchange.head.method in _BODILESS
