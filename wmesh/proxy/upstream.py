"""One connection to an instance: answers are checked by `wire` and handed to the client as they come.

What one read brings leaves in one write. Whether an answer is whole is judged here and nowhere else: at its head (HEAD,
204, 304), after `left` bytes, when the chunk decoder is done, or at a clean close where the body ends there. Any other
end is a failure, which the exchange may repeat elsewhere or must show to the client.

Longer than most files, because one answer is read here from its first byte to its end, whatever its framing.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.error import ConnectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from wmesh.cluster.outcome import Outcome
from wmesh.errors import WireError
from wmesh.policy.retry import retry_after
from wmesh.proxy.local_reply import KeptReply
from wmesh.proxy.secure import TlsFailure
from wmesh.proxy.transport import GATHER
from wmesh.proxy.tunnel import Tunnel
from wmesh.wire.chunks import LAST_CHUNK, ChunkDecoder, chunk, last_chunk
from wmesh.wire.response import CHUNKED, LENGTH, NONE, UNTIL_CLOSE, ResponseHead, read_response
from wmesh.wire.syntax import END_OF_HEAD, hopeless

if TYPE_CHECKING:
    from wmesh.proxy.downstream import Downstream
    from wmesh.proxy.exchange import Exchange
    from wmesh.proxy.pool import Pool
    from wmesh.proxy.race import Attempt

log = Logger()

MAX_HEAD = 131072
MAX_FIELDS = 500
MAX_INTERIM = 32


class Upstream:
    """The protocol of one connection to an instance.

    `exchange` is whom it serves now (None: kept for the next), `head` the answer's head once it is whole, `chunking`
    whether the client gets chunks, `streaming` whether this is the producer of the client's transport.
    """

    __slots__ = (
        "active",
        "begun",
        "chunking",
        "decoder",
        "exchange",
        "head",
        "idle_since",
        "interims",
        "left",
        "partial",
        "pool",
        "served",
        "since",
        "streaming",
        "transport",
        "tunnel",
    )

    closes_inline = True

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.transport: Any = None
        self.exchange: Attempt | None = None
        self.tunnel: Tunnel | None = None
        self.head: ResponseHead | None = None
        self.decoder: ChunkDecoder | None = None
        self.partial = b""
        self.left = 0
        self.served = 0
        self.interims = 0
        self.idle_since = 0.0
        self.since = 0.0
        self.active = False
        self.begun = False
        self.chunking = False
        self.streaming = False

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        self.pool.plane.deadlines.watch(self, self.pool.patience)

    def assign(self, exchange: Attempt, now: float) -> None:
        """This connection carries this exchange now."""
        self.exchange = exchange
        self.since = now
        self.begun = False
        self.head = None

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
        exchange = self.exchange
        if exchange is None:
            if self.tunnel is not None:
                self.tunnel.from_instance(data)
            else:
                log.debug("{address} sent bytes that nobody asked for", address=str(self.pool.member.record.address))
                self.drop()
            return
        self.active = True
        head = self.head
        if head is None:
            self._answer(exchange, data)
        elif head.body is LENGTH:
            left = self.left
            if len(data) < left:
                self.left = left - len(data)
                exchange.down.transport.write(data)
            elif len(data) == left:
                exchange.down.transport.write(data)
                self._finish(exchange, True)
            else:
                exchange.down.transport.write(data[:left])
                self._finish(exchange, False)
        elif head.body is CHUNKED:
            self._chunks(exchange, b"", data)
        else:
            exchange.down.transport.write(chunk(data) if self.chunking else data)

    def _answer(self, exchange: Attempt, data: bytes) -> None:
        """The head of the answer, and what came behind it."""
        self.begun = True
        known = 0
        if self.partial:
            known = len(self.partial)
            data = self.partial + data
            self.partial = b""
        end = data.find(END_OF_HEAD, max(0, known - 3))
        if end < 0:
            if len(data) > MAX_HEAD:
                self._fail(Outcome.INVALID, f"the answer's head is longer than {MAX_HEAD} bytes")
            elif not b"HTTP/1.".startswith(data[:7]) or hopeless(data, known) is not None:
                self._fail(Outcome.INVALID, "the instance's answer is not HTTP/1.1")
            else:
                self.partial = data
            return
        try:
            head = read_response(data[: end + 2], exchange.head.method == b"HEAD", MAX_FIELDS)
        except WireError as fault:
            self._fail(Outcome.INVALID, fault.reason)
            return
        start = end + 4
        if head.status < 200:
            self._interim(exchange, head, data[start:])
            return
        self.head = head
        if head.status >= 400 and exchange.plan is not None and head.status in exchange.plan.retry_statuses:
            came = data[start:]
            whole = (head.body is LENGTH and head.length == len(came)) or (head.body is NONE and not came)
            if exchange.wants_another(whole):
                self._pass_over(exchange, head, came if whole else None)
                return
        written = exchange.response_head(head)
        down = exchange.down.transport
        body = head.body
        if body is LENGTH:
            left = (head.length or 0) - (len(data) - start)
            if left > 0:
                self.left = left
                down.writeSequence((written, data[start:]))
                self._stream(exchange)
            elif left == 0:
                if len(data) < GATHER:
                    down.write(written + data[start:])
                else:
                    down.writeSequence((written, data[start:]))
                self._finish(exchange, True)
            else:
                down.write(written + data[start:left])
                self._finish(exchange, False)
        elif body is CHUNKED:
            self.decoder = ChunkDecoder(MAX_HEAD)
            self._chunks(exchange, written, data[start:])
        elif body is NONE:
            down.write(written)
            self._finish(exchange, start == len(data))
        else:
            rest = data[start:]
            down.writeSequence((written, chunk(rest) if self.chunking and rest else rest))
            self._stream(exchange)

    def _chunks(self, exchange: Attempt, before: bytes, data: bytes) -> None:
        """Chunks from the instance become one chunk of ours, or plain bytes for an HTTP/1.0 client."""
        decoder = self.decoder
        assert decoder is not None
        try:
            body, rest = decoder.feed(data)
        except WireError as fault:
            if before:
                exchange.down.transport.write(before)
            self._fail(Outcome.INVALID, f"the instance's answer: {fault.reason}")
            return
        if body and self.chunking:
            body = chunk(body)
        if decoder.done:
            self.decoder = None
            last = last_chunk(decoder.trailers) if self.chunking else b""
            exchange.down.transport.write(before + body + last)
            self._finish(exchange, not rest)
        else:
            if before or body:
                exchange.down.transport.write(before + body)
            self._stream(exchange)

    def _interim(self, exchange: Attempt, head: ResponseHead, rest: bytes) -> None:
        self.interims += 1
        if self.interims > MAX_INTERIM:
            self._fail(Outcome.INVALID, f"the instance sent more than {MAX_INTERIM} interim answers")
        elif head.status == 101:
            self._switch(exchange, head, rest)
        else:
            written = exchange.interim(head)
            if written:
                exchange.down.transport.write(written)
            if rest:
                self._answer(exchange, rest)

    def _stream(self, exchange: Attempt) -> None:
        """More will come in later reads: from now on the client's slowness holds the instance back."""
        if not self.streaming and self.exchange is exchange:
            self.streaming = True
            exchange.down.transport.registerProducer(self, True)

    # --- ends of an exchange

    def _finish(self, exchange: Attempt, clean: bool) -> None:
        """The answer is whole and written: free the connection first, so that the next request may have it.

        Not `clean`: bytes came behind it that nobody asked for.
        """
        if self.exchange is not exchange:
            return  # the write that ended it told us that the client is gone
        now = self.pool.plane.clock()
        head = self.head
        assert head is not None
        if self.streaming:
            self._unstream(exchange)
        self.exchange = None
        self.interims = 0
        self.served += 1
        body = exchange.body
        if clean and head.keep and exchange.request_done and (body is None or not body.unexpected):
            if body is not None and body.producing:
                body.stop()
            self.pool.give_back(self, now)
        else:
            if body is not None:
                body.producing = False
            if exchange.request_done:
                self.retire()
            else:
                self.drop()
        exchange.finished(now)

    def _pass_over(self, exchange: Attempt, head: ResponseHead, body: bytes | None) -> None:
        """Nobody is to see this answer, unless nobody has a better one. `body` is None where it is not whole; one that
        is frees the connection.
        """
        asked = exchange.body
        if body is not None and head.keep and (asked is None or not asked.unexpected):
            self.exchange = None
            self.interims = 0
            self.served += 1
            if asked is not None and asked.producing:
                asked.stop()
            self.pool.give_back(self, self.pool.plane.clock())
        else:
            if asked is not None:
                asked.producing = False
            self.drop()
        seconds = retry_after(head.lines, self.pool.plane.reactor.seconds())
        detail = f"status {head.status}"
        kept = None
        if body is not None and exchange.plan is not None:
            kept = KeptReply(head, body, self.pool.plane.via, exchange.plan.service, seconds)
        exchange.attempt_failed(Outcome.SERVER_ERROR, detail, sent=True, stale=False, retry_after=seconds, own=kept)

    def _unstream(self, exchange: Attempt) -> None:
        if self.streaming:
            self.streaming = False
            down = exchange.down.transport
            if down is not None:
                down.unregisterProducer()
            self.resumeProducing()  # the client may still hold it back, and nobody else would let it go

    def _fail(self, outcome: Outcome, detail: str, sent: bool = True) -> None:
        """The answer will not become whole: this connection ends, and the exchange decides. See `attempt_failed`."""
        exchange = self.exchange
        stale = not self.begun and self.served > 0 and outcome is Outcome.RESET
        if exchange is not None:
            self._unstream(exchange)
            if exchange.body is not None:
                exchange.body.producing = False
        self.drop()
        if exchange is not None:
            exchange.attempt_failed(outcome, detail, sent=sent, stale=stale, hung=outcome is Outcome.TIMEOUT)

    def _switch(self, exchange: Attempt, head: ResponseHead, rest: bytes) -> None:
        if not exchange.switching or (head.upgrade or b"").strip().lower() != b"websocket":
            self._fail(Outcome.INVALID, "the instance switched protocols unasked")
            return
        exchange = cast("Exchange", exchange)  # nobody else asks to switch
        down = cast("Downstream", exchange.down)
        if exchange.ticket is not None:
            exchange.ticket.prove(exchange.plane.clock())
        exchange.settle()
        exchange.status = 101
        exchange.head_sent = True
        exchange.conn = None
        self.exchange = None
        self.tunnel = tunnel = Tunnel(down, self, exchange)
        down.transport.write(exchange.switch_head(head))
        tunnel.open(rest)

    # --- the client's backpressure

    def pauseProducing(self) -> None:
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        if self.transport is not None:
            self.active = True
            self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """The client is gone; its connectionLost tells the exchange, which drops this connection."""

    # --- ends of the connection

    def drop(self) -> None:
        """Cut it, without a word to anybody: whoever calls this has already decided what it means."""
        self.exchange = None
        self.tunnel = None
        if self.transport is not None:
            self.transport.abortConnection()

    def retire(self) -> None:
        """Close it politely: nothing is under way on it, and it is not kept any longer."""
        self.exchange = None
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure) -> None:
        self.transport = None
        self.pool.plane.deadlines.forget(self)
        tunnel, self.tunnel = self.tunnel, None
        if tunnel is not None:
            tunnel.instance_lost()
            return
        exchange = self.exchange
        if exchange is None:
            self.pool.discard(self)
            return
        head = self.head
        if head is not None and head.body is UNTIL_CLOSE and isinstance(reason.value, ConnectionDone):
            if self.chunking:
                exchange.down.transport.write(LAST_CHUNK)
            self._finish(exchange, True)
            return
        address = self.pool.member.record.address
        if isinstance(reason.value, TlsFailure):
            refused = reason.value.refused and not self.begun and not self.served
            outcome = Outcome.CONNECT_FAILED if refused else Outcome.RESET
            self._fail(outcome, f"TLS to {address} failed: {reason.value}", sent=not refused)
            return
        when = "in the middle of its answer" if self.begun else "before it answered"
        self._fail(Outcome.RESET, f"{address} closed the connection {when}")

    def sweep(self, now: float) -> None:
        exchange = self.exchange
        if self.tunnel is not None:
            if self.tunnel.over() and now - self.since > self.tunnel.patience:
                self.drop()
            return
        if exchange is None:
            if now - self.idle_since > self.pool.spec.keepalive_timeout:
                self.pool.discard(self)
                self.retire()
            return
        spec = exchange.plan.spec if exchange.plan is not None else self.pool.spec
        stream = exchange.down.stream
        # An unfinished head is no sign of life: it could come byte by byte for ever.
        if (self.active and not self.partial) or (stream is not None and stream.unsent):
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
