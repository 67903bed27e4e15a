"""One client's connection: bytes in become checked requests, answered one after the other in the order they came.

One request at a time is read and served (`current`). What a client pipelines behind it stays in `partial`, unread, and
while anything waits there the socket is not read: so a connection never holds more than one read's worth. Heads wait in
`partial`, too, until they are whole. Requests are joined to instances by `exchange`; this file knows no instances.

How the connection ends: keep-alive as both sides' heads say; with a FIN and a short, bounded wait for the client's own
end where it may still be sending (a plain close would reset the connection and could destroy the answer on its way,
RFC 9112 section 9.6); with a reset where an answer broke off.

Reading is held back for three independent reasons (see the HOLD flags); it goes on when none is left.

Longer than most files, because every end that a connection can come to is told here.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from wmesh.errors import WireError
from wmesh.proxy.exchange import Exchange
from wmesh.proxy.local_reply import LocalReply, for_status
from wmesh.proxy.plane import DataPlane
from wmesh.proxy.request_body import RequestBody
from wmesh.proxy.side import HOLD_PIPELINE
from wmesh.proxy.transport import HIGH_WATER, Stream
from wmesh.proxy.watches import NEVER
from wmesh.wire.chunks import ChunkDecoder
from wmesh.wire.forwarded import Peer, Peers
from wmesh.wire.request import read_request
from wmesh.wire.response import CONTINUE
from wmesh.wire.syntax import END_OF_HEAD, hopeless

LINGER = 2.0
"""Seconds that a client may go on sending after the last answer (RFC 9112 section 9.6)."""

KNOCK = 0.5
"""Seconds after which a client that sends no more is asked whether it is still there."""


@implementer(IHalfCloseableProtocol)
class Downstream:
    """The protocol of one client connection.

    `receiving` is the body of `current` while it is being read: `left` bytes of it, or what `decoder` finds. `since` is
    when the present wait began, as far as `sweep` knows; `mark` says what it was waiting for then.
    """

    __slots__ = (
        "active",
        "current",
        "decoder",
        "dirty",
        "diverted",
        "half_closed",
        "held",
        "left",
        "mark",
        "parsing",
        "partial",
        "peer",
        "peers",
        "plane",
        "receiving",
        "since",
        "stream",
        "transport",
        "tunnel",
    )

    closes_inline = True

    def __init__(self, plane: DataPlane, peers: Peers, peer: Peer) -> None:
        self.plane = plane
        self.peers = peers
        self.peer = peer
        self.transport: Any = None
        self.stream: Stream | None = None
        self.current: Exchange | None = None
        self.receiving: RequestBody | None = None
        self.dirty: RequestBody | None = None
        self.decoder: ChunkDecoder | None = None
        self.left = 0
        self.partial = b""
        self.parsing = False
        self.diverted = False
        self.tunnel: Any = None
        self.held = 0
        self.active = False
        self.half_closed = False
        self.since = 0.0
        self.mark = 0

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        stream = transport
        while not isinstance(stream, Stream):
            stream = stream.transport
        self.stream = stream
        plane = self.plane
        self.since = plane.clock()
        plane.connections.add(self)
        plane.deadlines.watch(self, plane.patience)

    # --- bytes in

    def dataReceived(self, data: bytes) -> None:
        if self.diverted:
            if self.tunnel is not None:
                self.tunnel.from_client(data)
            return
        self.active = True
        scan = 0
        if self.current is None and not self.partial:
            flow = self.plane.flows.get(data)
            if flow is not None:
                self.current = exchange = Exchange(self.plane, self, flow.head)
                self.parsing = True
                exchange.follow(flow)
                self.parsing = False
                return
        if self.receiving is not None:
            data = self._body(data)
        elif self.partial:
            scan = len(self.partial)
            data = self.partial + data
            self.partial = b""
        if data:
            self._heads(data, scan)
        dirty = self.dirty
        if dirty is not None:
            self.dirty = None
            dirty.flush()

    def _heads(self, data: bytes, known: int) -> None:
        """Read requests while nobody is being served; what is left over waits. `known` bytes hold no whole head."""
        self.parsing = True
        start = 0
        plane = self.plane
        while self.current is None and not self.diverted and self.transport is not None:
            end = data.find(END_OF_HEAD, max(start, known - 3))
            if end <= start:
                if not end - start and start < len(data):
                    start += 2  # an empty line before a request is ignored (RFC 9112 section 2.2)
                    continue
                if end < 0:
                    if start < len(data):
                        self._wait_for_head(data[start:] if start else data, known)
                    break
            try:
                head = read_request(data[start : end + 2], plane.limits)
            except WireError as fault:
                if data[start] in b"\r\n":
                    start = len(data) - len(data[start:].lstrip(b"\r\n"))  # an empty line, as above
                    continue
                self._refuse(for_status(fault.status, fault.reason))
                break
            alone = not start and end + 4 == len(data)
            start = end + 4
            self.current = exchange = Exchange(plane, self, head)
            if not head.has_body:
                exchange.begin()
                if start == len(data):
                    if alone:
                        plane.flows.learn(data, exchange)
                    break
                continue
            self.receiving = exchange.body
            self.left = head.length or 0
            self.decoder = ChunkDecoder(plane.limits.head) if head.chunked else None
            exchange.begin()
            if start < len(data):
                data = self._body(data[start:])
                start = 0
                known = 0
            else:
                break
            if self.receiving is not None or not data:
                break
        else:
            if start < len(data) and not self.diverted:
                self.partial = data[start:]
                self.hold(HOLD_PIPELINE)
        self.parsing = False

    def _wait_for_head(self, partial: bytes, known: int) -> None:
        if partial[:1] in b"\r\n":
            partial = partial.lstrip(b"\r\n")
            known = 0
        limit = self.plane.limits.head
        if len(partial) > limit:
            self._refuse(for_status(431, f"the head is longer than {limit} bytes"))
            return
        why = hopeless(partial, known)
        if why is not None:
            self._refuse(for_status(400, why))
            return
        self.partial = partial

    def _body(self, data: bytes) -> bytes:
        """Take what belongs to the body being read; answers what follows it."""
        receiving = self.receiving
        if receiving is None:
            return data
        decoder = self.decoder
        if decoder is not None:
            try:
                body, rest = decoder.feed(data)
            except WireError as fault:
                self._refuse(for_status(fault.status, fault.reason))
                return b""
            if body:
                receiving.more(body)
            if not decoder.done:
                return b""
            trailers = decoder.trailers
            self.decoder = None
        else:
            left = self.left
            if len(data) < left:
                self.left = left - len(data)
                receiving.more(data)
                return b""
            rest = data[left:]
            trailers = b""
            receiving.more(data[:left] if rest else data)
        self.receiving = None
        receiving.complete(trailers)
        return rest

    def _refuse(self, reply: LocalReply) -> None:
        """What the client sent cannot be read any further: answer once and close."""
        receiving = self.receiving
        self.partial = b""
        if receiving is not None:
            # The head was good and its body is not: the instance must not take what came for a whole request.
            self.receiving = None
            receiving.broken(reply)
        elif self.current is None:
            self.current = last = Exchange.refused(self.plane, self, reply)
            last.begin()

    # --- turns

    def exchange_done(self, exchange: Exchange, now: float) -> None:
        """The answer of `current` is written to its end; the connection goes on, or ends."""
        self.since = now
        self.mark = 0
        self.current = None
        if exchange.close_after or not exchange.request_done or self.plane.draining:
            self._finish(exchange.request_done)
            return
        stream = self.stream
        if stream is not None and stream.unsent > HIGH_WATER:
            # Its turn lasts until the client has taken the answer: else answers pile up for one that never reads.
            self.current = exchange
            self.transport.registerProducer(self, True)
            return
        if not self.parsing:
            if self.partial:
                data, self.partial = self.partial, b""
                self._heads(data, 0)
                dirty, self.dirty = self.dirty, None
                if dirty is not None:
                    dirty.flush()
            if self.held and (not self.partial or self.current is None or self.receiving is not None):
                self.release(HOLD_PIPELINE)
            if self.half_closed and self.current is None and self.transport is not None:
                self.transport.loseConnection()

    def pauseProducing(self) -> None:
        """The next request waits already: see `exchange_done`."""

    def resumeProducing(self) -> None:
        """The client took its answer; now the turn of `current` is over."""
        self.transport.unregisterProducer()
        if self.current is not None:
            self.exchange_done(self.current, self.plane.clock())

    def stopProducing(self) -> None:
        """The client is gone; connectionLost tells it, too."""

    def tunnel_ended(self) -> None:
        """The instance has left the tunnel: what it said is still sent, and then this connection ends, too."""
        self.tunnel = None
        self._finish(False)

    def _finish(self, request_done: bool) -> None:
        """No more requests on this connection."""
        surplus = bool(self.partial)
        self.receiving = None
        self.partial = b""
        transport = self.transport
        if transport is None:
            return
        self.diverted = True
        self.held = 0
        stream = self.stream
        assert stream is not None
        if (request_done and not surplus) or self.half_closed or transport is not stream:
            transport.loseConnection()
        else:
            stream.loseWriteConnection()
        stream.resumeProducing()

    # --- backpressure

    def hold(self, why: int) -> None:
        """Stop reading, for this reason."""
        if not self.held and self.transport is not None:
            self.transport.pauseProducing()
        self.held |= why

    def release(self, why: int) -> None:
        """This reason is gone; reading goes on when it was the last."""
        if self.held & why:
            self.held &= ~why
            if not self.held and self.transport is not None and not self.half_closed:
                self.transport.resumeProducing()

    # --- ends

    def readConnectionLost(self) -> None:
        """The client will send no more. It may still want its answer (RFC 9112 section 9.6)."""
        self.half_closed = True
        if self.tunnel is not None:
            self.tunnel.client_ended()
        elif self.receiving is not None or (self.current is not None and self.current.waiter is not None):
            # In the queue most who send no more have gone, and cannot be told from the few who still listen.
            self.abort()
        elif self.current is None:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Our FIN is out; `sweep` bounds how long we wait for the client's."""

    def connectionLost(self, reason: Failure) -> None:
        self.transport = None
        self.diverted = True
        plane = self.plane
        plane.deadlines.forget(self)
        current, self.current = self.current, None
        self.receiving = None
        self.partial = b""
        tunnel, self.tunnel = self.tunnel, None
        if tunnel is not None:
            tunnel.client_lost()
        elif current is not None:
            current.client_lost()
        plane.closed(self)

    def abort(self) -> None:
        """End with a reset: the client must see that something is missing."""
        if self.transport is not None and self.stream is not None:
            # Not the TLS layer's way, which would say first that all is well and nothing is missing.
            self.stream.abortConnection()

    def drain(self) -> None:
        """The gateway is stopping: an idle connection ends now, a busy one after its answer."""
        if self.current is None and not self.diverted and not self.partial and self.transport is not None:
            self.diverted = True
            self.transport.loseConnection()

    # --- deadlines

    def sweep(self, now: float) -> None:
        spec = self.plane.spec
        stream = self.stream
        if stream is not None and stream.unsent:
            # An answer waits for the client to read it: as long as it reads anything at all, it has time.
            if self._waited(now, stream.sent + 16) > spec.body_timeout:
                self.abort()
        elif self.tunnel is not None:
            return
        elif self.diverted:
            if self._waited(now, 1) > LINGER and stream is not None:
                stream.loseConnection()  # over TLS, too, where a client that does not say goodbye is waited for
        elif self.receiving is not None:
            if self.active or self.held:
                self.active = False
                self.mark = 0
            if self._waited(now, 2) > spec.body_timeout:
                self._refuse(for_status(408, f"no byte of the request body came for {spec.body_timeout:g} s"))
        elif self.current is not None:
            if self.half_closed:
                self._knock(self.current, now)
            else:
                self.mark = 0
        elif self.partial:
            if self._waited(now, 3) > spec.header_timeout:
                self._refuse(for_status(408, f"the head was not complete after {spec.header_timeout:g} s"))
        elif now - self.since > spec.idle_timeout:
            self.diverted = True
            self.transport.loseConnection()

    def _knock(self, exchange: Exchange, now: float) -> None:
        """Who sends no more may wait for its answer or be gone, and cannot be told apart before something is sent to
        it: a machine answers for who is gone with a reset. That may be an interim answer, which who is there ignores
        (RFC 9110 section 15.2.1). One is enough: who leaves later does so without a word.
        """
        if self._waited(now, 4) > KNOCK and exchange.head.minor and not exchange.head_sent and not exchange.done:
            self.since = NEVER
            self.transport.write(CONTINUE)

    def _waited(self, now: float, mark: int) -> float:
        """Seconds since a sweep first saw this connection wait for the same thing."""
        if self.mark != mark:
            self.mark = mark
            self.since = now
        return now - self.since
