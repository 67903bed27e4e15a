"""One client's connection: bytes in become checked requests, answered one after the other in the order they came.

llhttp has no pause, so one read may hold several pipelined requests. The first unanswered one is `current`; later ones
wait in `waiting`, with what has come of their bodies, and while any waits the socket is not read: what is held is never
more than one read. Requests are joined to instances by `exchange`; this file knows nothing of instances.

How the connection ends: keep-alive as both sides' heads say; with a FIN and a short, bounded wait for the client's own
end where it may still be sending (a plain close would reset the connection and could destroy the answer on its way,
RFC 9112 section 9.6); with a reset where an answer broke off.

Reading is held back for three independent reasons (see the HOLD flags); it goes on when none is left.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from wmesh.errors import WireError
from wmesh.proxy.exchange import Exchange
from wmesh.proxy.local_reply import LocalReply, for_status
from wmesh.proxy.plane import DataPlane
from wmesh.proxy.transport import Stream
from wmesh.wire.forwarded import Peer, Peers
from wmesh.wire.request import read_request

log = Logger()

HOLD_PIPELINE = 1
HOLD_BACKPRESSURE = 2
HOLD_CONNECTING = 4

LINGER = 2.0
"""Seconds that a client may go on sending after the last answer (RFC 9112 section 9.6)."""


@implementer(IHalfCloseableProtocol)
class Downstream:
    """The protocol of one client connection. `receiving` is the exchange whose request is being read."""

    __slots__ = (
        "active",
        "begun",
        "body_bytes",
        "current",
        "dirty",
        "fault",
        "fields",
        "half_closed",
        "head_size",
        "held",
        "leftover",
        "lingering",
        "muted",
        "parser",
        "peer",
        "peers",
        "plane",
        "read_size",
        "receiving",
        "sent_mark",
        "since",
        "stream",
        "target",
        "transport",
        "tunnel",
        "waiting",
    )

    closes_inline = True

    def __init__(self, plane: DataPlane, peers: Peers, peer: Peer) -> None:
        self.plane = plane
        self.peers = peers
        self.peer = peer
        self.transport: Any = None
        self.stream: Stream | None = None
        self.parser = HttpRequestParser(self)
        self.fields: list[tuple[bytes, bytes]] = []
        self.target = b""
        self.begun = False
        self.receiving: Exchange | None = None
        self.current: Exchange | None = None
        self.dirty: Exchange | None = None
        self.waiting: deque[Exchange] | None = None
        self.leftover: bytes | None = None
        self.tunnel: Any = None
        self.fault: WireError | None = None
        self.held = 0
        self.head_size = 0
        self.read_size = 0
        self.body_bytes = False
        self.muted = False
        self.active = False
        self.half_closed = False
        self.lingering = False
        self.since = 0.0
        self.sent_mark = -1

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        stream = transport
        while not isinstance(stream, Stream):
            stream = stream.transport
        self.stream = stream
        plane = self.plane
        self.since = plane.clock()
        plane.connections.add(self)
        plane.deadlines.waiting.add(self)

    # --- bytes in

    def dataReceived(self, data: bytes) -> None:
        if self.lingering:
            return
        if self.tunnel is not None:
            self.tunnel.from_client(data)
            return
        self.active = True
        self.read_size = len(data)
        continued = self.begun
        self.body_bytes = False
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self.leftover = data[upgrade.args[0] :]
            self._settle_upgrade()
        except HttpParserError as problem:
            self._parser_failed(problem)
            return
        dirty = self.dirty
        if dirty is not None:
            self.dirty = None
            dirty.flush()
        if self.begun or (self.receiving is not None and not self.body_bytes):
            # A head, or a trailer section, is longer than this read: what the parser holds of it is bounded here.
            self.head_size = self.head_size + len(data) if continued or self.receiving is not None else 0
            if self.head_size > self.plane.limits.head:
                limit = self.plane.limits.head
                self._refuse(for_status(431, f"the head or trailer section is longer than {limit} bytes"))
                return
        if self.waiting:
            self.hold(HOLD_PIPELINE)

    def on_message_begin(self) -> None:
        self.begun = True
        self.head_size = 0

    def on_url(self, url: bytes) -> None:
        self.target = self.target + url if self.target else url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        if self.muted:
            self.fields = []
            self.target = b""
            return
        fields, self.fields = self.fields, []
        target, self.target = self.target, b""
        self.begun = False
        plane = self.plane
        try:
            if self.head_size + self.read_size > plane.limits.head:
                self._check_head_size(target, fields)
            parser = self.parser
            head = read_request(parser.get_method(), target, parser.get_http_version(), fields, plane.limits)
            if not parser.should_keep_alive():
                head.wants_close = True
        except WireError as fault:
            self.fault = fault
            raise
        exchange = Exchange(plane, self, head)
        self.receiving = exchange
        if self.current is None and self.leftover is None:
            self.current = exchange
            exchange.begin()
        else:
            if self.waiting is None:
                self.waiting = deque()
            self.waiting.append(exchange)

    def on_body(self, data: bytes) -> None:
        self.body_bytes = True
        self.head_size = 0
        exchange = self.receiving
        if exchange is not None:
            exchange.request_body(data)

    def on_message_complete(self) -> None:
        self.begun = False
        exchange = self.receiving
        if exchange is None or self.muted:
            return
        head = exchange.head
        if head.upgrade is not None and head.has_body:
            return  # llhttp ends a message that asks for an upgrade at its head; its body is still to come
        self.receiving = None
        fields = self.fields
        if fields:
            self.fields = []
        if not exchange.request_done:
            exchange.request_complete(fields)

    def _check_head_size(self, target: bytes, fields: list[tuple[bytes, bytes]]) -> None:
        limit = self.plane.limits.head
        if len(target) + sum(len(name) + len(value) + 4 for name, value in fields) > limit:
            raise WireError(f"the head is longer than {limit} bytes", 431)

    def _settle_upgrade(self) -> None:
        """After a head that asks for an upgrade: hold what follows it for a tunnel, or read it as the body it is."""
        exchange = self.receiving or (self.waiting[-1] if self.waiting else self.current)
        if exchange is not None and exchange is not self.current:
            self.hold(HOLD_PIPELINE)  # not routed yet; `_next` comes back here
            return
        if exchange is not None and exchange.switching:
            self.hold(HOLD_PIPELINE)
            return
        rest, self.leftover = self.leftover or b"", None
        self.parser = HttpRequestParser(self)
        if exchange is not None and self.receiving is exchange:
            # llhttp will not read this body. A parser that was told of nothing but its framing will.
            head = exchange.head
            framing = b"Transfer-Encoding: chunked" if head.chunked else b"Content-Length: %d" % (head.length or 0)
            self.muted = True
            self.parser.feed_data(b"POST / HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % framing)
            self.muted = False
            self.begun = False
            exchange.head.upgrade = None
        self.release(HOLD_PIPELINE)
        if rest:
            self.dataReceived(rest)

    def _parser_failed(self, problem: HttpParserError) -> None:
        fault = self.fault
        if fault is not None:
            self._refuse(for_status(fault.status, fault.reason))
        elif isinstance(problem, HttpParserInvalidMethodError):
            self._refuse(for_status(501, "the method is not one that HTTP knows"))
        elif isinstance(problem.__context__, Exception):
            log.failure(
                "A request failed on an error of our own",
                Failure(problem.__context__),  # type: ignore[no-untyped-call]
            )
            self.abort()
        else:
            self._refuse(for_status(400, f"not HTTP/1.1: {problem}"))

    def _refuse(self, reply: LocalReply) -> None:
        """The bytes cannot be read as requests any more: answer once, in turn, and close."""
        exchange = self.receiving
        if exchange is not None:
            # The head was good and its body is not: the instance must not take what came for a whole request.
            self.receiving = None
            exchange.request_broken(reply)
            return
        last = Exchange.refused(self.plane, self, reply)
        if self.current is None:
            self.current = last
            last.begin()
        else:
            if self.waiting is None:
                self.waiting = deque()
            self.waiting.append(last)
            self.hold(HOLD_PIPELINE)

    # --- turns

    def exchange_done(self, exchange: Exchange, now: float) -> None:
        """The answer of `current` is written to its end; the connection goes on, or ends."""
        self.since = now
        if exchange.close_after or not exchange.request_done or self.half_closed or self.plane.draining:
            self.current = None
            self._finish(exchange.request_done)
            return
        self.current = None
        self._next()

    def _next(self) -> None:
        if self.waiting:
            exchange = self.waiting.popleft()
            self.current = exchange
            exchange.begin()
            if self.current is exchange:
                exchange.flush()
        elif self.leftover is not None:
            self._settle_upgrade()
        if self.leftover is not None and self.current is not None and not self.waiting:
            self._settle_upgrade()
        elif not self.waiting:
            self.release(HOLD_PIPELINE)

    def _finish(self, request_done: bool) -> None:
        """No more requests on this connection."""
        self.waiting = None
        transport = self.transport
        if transport is None:
            return
        stream = self.stream
        if (request_done and not self.begun) or self.half_closed or stream is None or transport is not stream:
            transport.loseConnection()
            return
        self.lingering = True
        self.held = 0
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
        elif self.lingering or self.current is None:
            self.transport.loseConnection()
        elif self.receiving is not None:
            self.abort()

    def writeConnectionLost(self) -> None:
        """Our FIN is out; `sweep` bounds how long we wait for the client's."""

    def connectionLost(self, reason: Failure) -> None:
        self.transport = None
        plane = self.plane
        plane.deadlines.waiting.discard(self)
        current, self.current = self.current, None
        self.receiving = None
        self.waiting = None
        tunnel, self.tunnel = self.tunnel, None
        if tunnel is not None:
            tunnel.client_lost()
        elif current is not None:
            current.client_lost()
        plane.closed(self)

    def abort(self) -> None:
        """End with a reset: the client must see that something is missing."""
        if self.transport is not None:
            self.transport.abortConnection()

    def drain(self) -> None:
        """The gateway is stopping: an idle connection ends now, a busy one after its answer."""
        if self.tunnel is None and self.current is None and not self.begun and self.transport is not None:
            self.transport.loseConnection()

    # --- deadlines

    def sweep(self, now: float) -> None:
        if self.tunnel is not None:
            return
        spec = self.plane.spec
        stream = self.stream
        if stream is not None and stream.unsent:
            # An answer waits for the client to read it: as long as it reads anything at all, it has time.
            if stream.sent != self.sent_mark:
                self.sent_mark = stream.sent
                self.since = now
            elif now - self.since > spec.body_timeout:
                self.abort()
            return
        if self.lingering:
            if self.sent_mark != -2:
                self.sent_mark = -2
                self.since = now
            elif now - self.since > LINGER:
                self.transport.loseConnection()
        elif self.receiving is not None:
            if self.active or self.held:
                self.active = False
                self.since = now
            elif now - self.since > spec.body_timeout:
                self._refuse(for_status(408, f"no byte of the request body came for {spec.body_timeout:g} s"))
        elif self.current is not None:
            self.sent_mark = -1
        elif self.begun:
            if self.sent_mark != -3:
                self.sent_mark = -3
                self.since = now
            elif now - self.since > spec.header_timeout:
                self._refuse(for_status(408, f"the head was not complete after {spec.header_timeout:g} s"))
        elif now - self.since > spec.idle_timeout:
            self.transport.loseConnection()
