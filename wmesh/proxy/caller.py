"""A client inside this process: its request goes the same road as one that came over a socket.

    program ─► Caller ─► Exchange ─► Upstream ─► instance
       ▲          │ takes the gateway's own framing off again
       └─ Receiver┘ head, pieces of the body, the end or what went wrong

The exchange writes what it would write to any client, so routing, retries, breakers, queues, deadlines and the
gateway's own replies are those of the gateway, without a second implementation. What comes out is HTTP/1.1 as this
package writes it; taking it apart needs none of the care that a stranger's bytes need.

Backpressure: while the receiver pauses, the instance is not read (what one read brought already still comes). The
request body is a file that is whole before it begins, read piece by piece as the instance takes it. Not here: what a
receiver makes of the answer (`wmesh.resource` sends it on, `wmesh.response` hands it to the program).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import IO, Any, Protocol

from twisted.logger import Logger

from wmesh.errors import WireError
from wmesh.proxy.exchange import Exchange
from wmesh.proxy.local_reply import LocalReply
from wmesh.proxy.plan import Plan
from wmesh.proxy.plane import DataPlane
from wmesh.proxy.request_body import RequestBody
from wmesh.wire.chunks import ChunkDecoder
from wmesh.wire.fields import connection_options
from wmesh.wire.forwarded import Peer
from wmesh.wire.request import RequestHead, read_request
from wmesh.wire.syntax import END_OF_HEAD

log = Logger()

PIECE = 65536
"""Bytes of a request body that are read at once."""

OURS = frozenset((b"connection", b"transfer-encoding"))
"""What an answer's head says of the connection to the client, which is none here."""

FRAMING = frozenset((b"content-length", b"transfer-encoding", b"expect", b"upgrade"))
"""What a request's head says of its own transmission. The body is here already, and no 101 can be passed on."""


class AnswerHead:
    """`fields` are (name, value) as spelled, in order. `instance` is the id of who answered; None: the mesh itself."""

    __slots__ = ("fields", "instance", "reason", "request_id", "status")

    def __init__(
        self, status: int, reason: bytes, fields: list[tuple[bytes, bytes]], instance: str | None, request_id: bytes
    ) -> None:
        self.status = status
        self.reason = reason
        self.fields = fields
        self.instance = instance
        self.request_id = request_id


class Receiver(Protocol):
    """Who takes the answer: `head` once, `body` any number of times, then `ended` or `broken`, which may come first."""

    def head(self, head: AnswerHead) -> None: ...

    def body(self, data: bytes) -> None:
        """A piece (never empty)."""

    def ended(self) -> None:
        """It is whole."""

    def broken(self, why: str) -> None:
        """It breaks off here; what came is not all of it."""


def compose(
    method: bytes, target: bytes, minor: int, fields: Iterable[tuple[bytes, bytes]], length: int | None
) -> bytes:
    """A request head for `read_request`, with the framing of a body of `length` bytes; None: it has none.

    Raises WireError where a part has a line break in it.
    """
    lines = [b"%b %b HTTP/1.%d" % (method, target, minor)]
    lines += [b"%b: %b" % (name, value) for name, value in fields if name.lower() not in FRAMING]
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise WireError("a line break is no part of a request head")
    if length is not None:
        lines.append(b"Content-Length: %d" % length)
    return b"\r\n".join((*lines, b""))


class Caller:
    """One request of one client in this process. `patience` is how many seconds its receiver may pause.

    Serves as its own transport: the exchange and the upstream connection write here.
    """

    __slots__ = (
        "_begun",
        "_decoder",
        "_left",
        "_paused",
        "_producer",
        "_receiver",
        "_source",
        "_stuck_since",
        "current",
        "dirty",
        "half_closed",
        "held",
        "parsing",
        "patience",
        "peer",
        "plane",
        "transport",
        "tunnel",
    )

    def __init__(self, plane: DataPlane, peer: Peer, receiver: Receiver, patience: float) -> None:
        self.plane = plane
        self.peer = peer
        self.patience = patience
        self.transport: Any = None
        self.current: Exchange | None = None
        self.dirty: RequestBody | None = None
        self.tunnel: Any = None
        self.half_closed = False
        self.parsing = False
        self.held = 0
        self._receiver: Receiver | None = receiver
        self._source: IO[bytes] | None = None
        self._producer: Any = None
        self._paused = False
        self._stuck_since: float | None = None
        self._left = 0
        self._begun = False
        self._decoder: ChunkDecoder | None = None

    # --- what the client does

    def read(self, block: bytes) -> RequestHead:
        """The head that `compose` put together, checked. Raises WireError."""
        return read_request(block, self.plane.limits)

    def ask(self, head: RequestHead, body: IO[bytes] | None, plan: Plan | None) -> None:
        """Begin. `body` has as many bytes as the head says; `plan` None: the routes decide."""
        exchange = Exchange(self.plane, self, head)
        exchange.plan = plan
        if head.has_body:
            self._source = body or BytesIO()
            self._left = head.length or 0
        self._begin(exchange)

    def refuse(self, reply: LocalReply) -> None:
        """The request cannot be sent on, and this is the answer."""
        self._begin(Exchange.refused(self.plane, self, reply))

    def cancel(self) -> None:
        """The client has no use for the answer any more. Its receiver hears nothing more."""
        exchange = self.current
        self._end()
        if exchange is not None:
            exchange.client_lost()

    def pause(self) -> None:
        """Take no more of the answer from the instance for now; what was read already still comes."""
        if not self._paused and self.transport is not None:
            self._paused = True
            if self._producer is not None:
                self._producer.pauseProducing()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._stuck_since = None
            if self._producer is not None:
                self._producer.resumeProducing()

    # --- the request

    def _begin(self, exchange: Exchange) -> None:
        plane = self.plane
        self.transport = self
        self.current = exchange
        plane.connections.add(self)
        plane.deadlines.watch(self, self.patience)
        self.parsing = True
        exchange.begin()
        self.parsing = False
        self._pump()

    def _pump(self) -> None:
        """Hand the body on for as long as nobody holds it back."""
        exchange = self.current
        source = self._source
        if source is None or exchange is None or exchange.body is None or self.parsing:
            return
        body = exchange.body
        self.parsing = True
        while not self.held and self.current is exchange and self._source is not None:
            try:
                data = source.read(min(PIECE, self._left))
                why = "" if data else f"it ends {self._left} bytes early"
            except (OSError, ValueError) as problem:
                why = str(problem)
            if why:
                self._source = None
                body.broken(LocalReply(400, "bad_request", f"the body of the request: {why}"))
                break
            self._left -= len(data)
            body.more(data)
            if not self._left:
                self._source = None
                body.complete(b"")
            dirty, self.dirty = self.dirty, None
            if dirty is not None:
                dirty.flush()
        self.parsing = False

    def hold(self, why: int) -> None:
        self.held |= why

    def release(self, why: int) -> None:
        if self.held & why:
            self.held &= ~why
            if not self.held:
                self._pump()

    # --- the answer, as the transport of the exchange

    @property
    def stream(self) -> Caller:
        return self

    @property
    def unsent(self) -> int:
        """Not 0 while it is the receiver that the instance waits for."""
        return int(self._paused)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer
        if self.transport is None:
            producer.stopProducing()
        elif self._paused:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        self._producer = None

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def write(self, data: bytes) -> None:
        try:
            self._take(data)
        except Exception:  # noqa: BLE001 - a client's mistake must not be taken for one of the instance
            log.failure("The receiver of an answer failed on it; the request is given up")
            self._break("its receiver failed")

    def _take(self, data: bytes) -> None:
        exchange = self.current
        if exchange is None:
            return
        while not self._begun:
            # Heads are written whole, with or without the beginning of the body behind them.
            block, _, data = data.partition(END_OF_HEAD)
            start, *lines = block.split(b"\r\n")
            status = int(start[9:12])
            if status >= 200:
                self._begun = True
                self._head(exchange, status, start[13:], lines)
            elif not data:
                return  # an interim answer
        if self._decoder is not None and data:
            data, _ = self._decoder.feed(data)
        if data and self._receiver is not None:
            self._receiver.body(data)

    def _head(self, exchange: Exchange, status: int, reason: bytes, lines: list[bytes]) -> None:
        fields = []
        for line in lines:
            name, _, value = line.partition(b":")
            value = value.strip(b" \t")
            if name.lower() not in OURS:
                fields.append((name, value))
            elif name == b"Transfer-Encoding" and b"chunked" in connection_options(value):
                self._decoder = ChunkDecoder(1 << 20)
        ticket = exchange.ticket
        instance = ticket.member.record.id if ticket is not None else None
        if self._receiver is not None:
            self._receiver.head(AnswerHead(status, reason, fields, instance, exchange.request_id))

    # --- ends

    def exchange_done(self, exchange: Exchange, now: float) -> None:
        receiver = self._receiver
        self._end()
        if receiver is not None:
            self._tell(receiver.ended)

    def abort(self) -> None:
        exchange = self.current
        done = exchange is not None and exchange.done
        self._break(exchange.notes[-1][1] if exchange and done and exchange.notes else "the mesh has stopped")

    def _break(self, why: str) -> None:
        receiver = self._receiver
        self.cancel()
        if receiver is not None:
            self._tell(receiver.broken, why)

    def _tell(self, end: Callable[..., None], *words: str) -> None:
        try:
            end(*words)
        except Exception:  # noqa: BLE001 - as in `write`
            log.failure("The receiver of an answer failed at its end")

    def drain(self) -> None:
        """It is never idle: it ends with its answer."""

    def _end(self) -> None:
        self.transport = None
        self.current = None
        self._receiver = None
        self._source = None
        self._producer = None
        self.plane.deadlines.forget(self)
        self.plane.closed(self)

    def sweep(self, now: float) -> None:
        """A receiver that takes nothing for too long must not keep an instance's connection for ever."""
        if not self._paused:
            return
        if self._stuck_since is None:
            self._stuck_since = now
        elif now - self._stuck_since > self.patience:
            self._break(f"nobody took the answer for {self.patience:g} s")
