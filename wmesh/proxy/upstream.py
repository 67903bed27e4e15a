"""One connection to an instance: answers are parsed here, checked by `wire`, and handed to the client as they come.

What one read brings is parsed whole and leaves in one write. `chunking` says whether the client gets chunks. Whether an
answer is whole is judged here, because httptools cannot be told of an end of file or of a HEAD request: complete when
llhttp says so, at the head for HEAD, at a clean close for a body that ends there, and never otherwise.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from twisted.internet.error import ConnectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from wmesh.cluster.cluster import Outcome
from wmesh.errors import WireError
from wmesh.proxy.tunnel import Tunnel
from wmesh.wire.chunks import LAST_CHUNK, chunk, last_chunk
from wmesh.wire.fields import RESPONSE_KINDS, trailer_lines
from wmesh.wire.response import Body, ResponseHead, read_response, write_switch

if TYPE_CHECKING:
    from wmesh.proxy.exchange import Exchange
    from wmesh.proxy.pool import Pool

log = Logger()

MAX_HEAD = 131072
MAX_FIELDS = 500
MAX_INTERIM = 32


class Upstream:
    """The protocol of one connection to an instance. `incoming` is what the next write to the client will hold."""

    __slots__ = (
        "active",
        "begun",
        "chunking",
        "complete",
        "exchange",
        "fields",
        "head",
        "idle_since",
        "incoming",
        "interims",
        "is_head",
        "keep",
        "parser",
        "pool",
        "progress",
        "quiet",
        "reason",
        "served",
        "since",
        "streaming",
        "surplus",
        "transport",
        "tunnel",
    )

    closes_inline = True

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.transport: Any = None
        self.parser = HttpResponseParser(self)
        self.exchange: Exchange | None = None
        self.tunnel: Tunnel | None = None
        self.fields: list[tuple[bytes, bytes]] = []
        self.incoming: list[bytes] = []
        self.reason = b""
        self.head: ResponseHead | None = None
        self.served = 0
        self.idle_since = 0.0
        self.since = 0.0
        self.active = False
        self.begun = False
        self.complete = False
        self.surplus = False
        self.keep = False
        self.chunking = False
        self.streaming = False
        self.is_head = False
        self.interims = 0
        self.quiet = 0
        self.progress = False

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        self.pool.plane.deadlines.waiting.add(self)

    def assign(self, exchange: Exchange, now: float) -> None:
        """This connection carries this exchange now."""
        self.exchange = exchange
        self.is_head = exchange.head.method == b"HEAD"
        self.since = now
        self.begun = False
        self.complete = False
        self.keep = False
        self.surplus = False
        self.head = None
        self.interims = 0
        self.quiet = 0

    def alive(self) -> bool:
        """Has the instance neither closed this idle connection nor sent anything on it? Costs one system call."""
        try:
            self.transport.getHandle().recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    # --- bytes in

    def dataReceived(self, data: bytes) -> None:
        if self.tunnel is not None:
            self.tunnel.from_instance(data)
            return
        exchange = self.exchange
        if exchange is None:
            log.debug("{address} sent bytes that nobody asked for", address=str(self.pool.member.record.address))
            self.drop()
            return
        self.active = True
        self.begun = True
        self.progress = False
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._switch(exchange, data[upgrade.args[0] :])
            return
        except HttpParserError as problem:
            self._parser_failed(problem)
            return
        incoming = self.incoming
        if incoming:
            down = exchange.down.transport
            if down is not None:
                down.write(incoming[0] if len(incoming) == 1 else b"".join(incoming))
            incoming.clear()
        if self.complete:
            self._finish()
        elif self.progress:
            self.quiet = 0
            if not self.streaming and self.head is not None and exchange.down.transport is not None:
                self.streaming = True
                exchange.down.transport.registerProducer(self, True)
        else:
            self.quiet += len(data)
            if self.quiet > MAX_HEAD:
                self._fail(Outcome.INVALID, f"the answer's head is longer than {MAX_HEAD} bytes")

    def on_status(self, status: bytes) -> None:
        self.reason = self.reason + status if self.reason else status

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        fields, self.fields = self.fields, []
        reason, self.reason = self.reason, b""
        parser = self.parser
        exchange = self.exchange
        if exchange is None or self.complete:
            self.surplus = True
            return
        self.progress = True
        head = read_response(
            parser.get_status_code(), reason, parser.get_http_version(), fields, self.is_head, MAX_FIELDS
        )
        if head.status < 200:
            self._interim(exchange, head)
            return
        self.head = head
        self.incoming.append(exchange.response_head(head))
        if self.is_head:
            # llhttp cannot know that this head has no body behind it: it is done here, with a parser made anew.
            self.keep = parser.should_keep_alive() or head.length is None
            self.complete = True

    def _interim(self, exchange: Exchange, head: ResponseHead) -> None:
        self.interims += 1
        if self.interims > MAX_INTERIM:
            raise WireError(f"the instance sent more than {MAX_INTERIM} interim answers", 502)
        if head.status == 101:
            if not exchange.switching:
                raise WireError("the instance switched protocols unasked", 502)
            self.head = head
        else:
            self.incoming.append(exchange.interim(head))

    def on_body(self, data: bytes) -> None:
        self.progress = True
        if self.complete:
            self.surplus = True
        elif self.chunking:
            self.incoming.append(chunk(data))
        else:
            self.incoming.append(data)

    def on_message_complete(self) -> None:
        head = self.head
        if head is None or self.complete or head.status < 200:
            return
        self.complete = True
        self.keep = self.parser.should_keep_alive()
        fields = self.fields
        if fields:
            self.fields = []
        if self.chunking:
            self.incoming.append(last_chunk(trailer_lines(fields, RESPONSE_KINDS)) if fields else LAST_CHUNK)

    def _parser_failed(self, problem: HttpParserError) -> None:
        cause = problem.__context__
        if self.complete:
            # The answer was whole; what came behind it was not asked for.
            self.keep = False
            self._flush()
            self._finish()
        elif isinstance(cause, WireError):
            self._fail(Outcome.INVALID, cause.reason)
        elif isinstance(cause, Exception) and not isinstance(cause, HttpParserError):
            log.failure("An answer failed on an error of our own", Failure(cause))  # type: ignore[no-untyped-call]
            self._fail(Outcome.INVALID, "the gateway could not read the answer")
        else:
            self._fail(Outcome.INVALID, f"the answer is not HTTP/1.1: {problem}")

    def _flush(self) -> None:
        exchange = self.exchange
        incoming = self.incoming
        if incoming and exchange is not None and exchange.down.transport is not None:
            exchange.down.transport.write(b"".join(incoming))
        incoming.clear()

    # --- ends of an exchange

    def _finish(self) -> None:
        """The answer is whole and written: free the connection first, so that the next request may have it."""
        exchange = self.exchange
        assert exchange is not None
        now = self.pool.plane.clock()
        self._unstream(exchange)
        self.exchange = None
        self.served += 1
        if self.is_head:
            self.parser = HttpResponseParser(self)
        if self.keep and exchange.request_done and not self.surplus:
            exchange._unregister()
            self.pool.give_back(self, now)
        else:
            exchange.producing = False
            self.drop()
        exchange.finished(now)

    def _unstream(self, exchange: Exchange) -> None:
        if self.streaming:
            self.streaming = False
            down = exchange.down.transport
            if down is not None:
                down.unregisterProducer()

    def _fail(self, outcome: Outcome, detail: str) -> None:
        """The answer will not become whole: this connection ends, and the exchange decides."""
        exchange = self.exchange
        begun = self.begun
        stale = not begun and self.served > 0 and outcome is Outcome.RESET
        self.incoming.clear()
        if exchange is not None:
            self._unstream(exchange)
            exchange.producing = False
        self.drop()
        if exchange is not None:
            exchange.attempt_failed(outcome, detail, sent=True, stale=stale)

    def _switch(self, exchange: Exchange, rest: bytes) -> None:
        head = self.head
        if head is None or head.status != 101 or not exchange.switching:
            self._fail(Outcome.INVALID, "the instance switched protocols unasked")
            return
        down = exchange.down
        exchange.status = 101
        exchange.head_sent = True
        self._flush()
        self.tunnel = Tunnel(down, self, exchange)
        down.transport.write(write_switch(head, b"websocket", exchange.request_id))
        self.tunnel.open(rest)

    # --- the client's backpressure

    def pauseProducing(self) -> None:
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self.since = self.pool.plane.clock()
        if self.transport is not None:
            self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """The client is gone; its connectionLost tells the exchange, which drops this connection."""

    # --- ends of the connection

    def drop(self) -> None:
        """Close without a word to anybody: whoever calls this has already decided what it means."""
        self.exchange = None
        self.tunnel = None
        if self.transport is not None:
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure) -> None:
        self.transport = None
        self.pool.plane.deadlines.waiting.discard(self)
        tunnel, self.tunnel = self.tunnel, None
        if tunnel is not None:
            tunnel.instance_lost()
            return
        exchange = self.exchange
        if exchange is None:
            self.pool.discard(self)
            return
        head = self.head
        if head is not None and head.body is Body.UNTIL_CLOSE and isinstance(reason.value, ConnectionDone):
            if self.chunking:
                self.incoming.append(LAST_CHUNK)
            self._flush()
            self.keep = False
            self._finish()
            return
        address = self.pool.member.record.address
        when = "in the middle of its answer" if self.begun else "before it answered"
        self._fail(Outcome.RESET, f"{address} closed the connection {when}")

    def sweep(self, now: float) -> None:
        exchange = self.exchange
        spec = self.pool.spec
        if self.tunnel is not None:
            return
        if exchange is None:
            if now - self.idle_since > spec.keepalive_timeout:
                self.pool.discard(self)
                self.drop()
            return
        stream = exchange.down.stream
        if self.active or (stream is not None and stream.unsent):
            self.active = False
            self.since = now
            return
        if self.head is None and exchange.request_done:
            if now - self.since > spec.timeout_first_byte:
                self._fail(Outcome.TIMEOUT, f"no answer within {spec.timeout_first_byte:g} s")
        elif self.head is None and not self.transport.unsent:
            self.since = now  # it is the client that lets us wait, and its own deadline holds
        elif now - self.since > spec.timeout_idle:
            self._fail(Outcome.TIMEOUT, f"no byte went either way for {spec.timeout_idle:g} s")
