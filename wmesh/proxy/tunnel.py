"""After a checked 101: bytes pass untouched between a client and an instance, each held back by the other's slowness.

Each transport is the other's producer, so a reader that stands still stops the sender behind it, and memory stays flat.
When one side ends, what is queued for the other is still sent, and then it ends too; a client that only half-closed
goes on receiving, while an instance's half-close ends the tunnel. The ticket stays out for as long as the tunnel is
open, so that least connections counts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wmesh.cluster.outcome import Outcome

if TYPE_CHECKING:
    from wmesh.proxy.downstream import Downstream
    from wmesh.proxy.exchange import Exchange
    from wmesh.proxy.upstream import Upstream


class Tunnel:
    """Joins one client connection and one instance connection until both have ended. `patience` is how many seconds
    one of them may take for what is queued when the other has."""

    __slots__ = ("_down", "_exchange", "_up", "patience")

    def __init__(self, down: Downstream, up: Upstream, exchange: Exchange) -> None:
        self.patience = (exchange.plan.spec if exchange.plan is not None else up.pool.spec).timeout_idle
        self._down: Downstream | None = down
        self._up: Upstream | None = up
        self._exchange = exchange

    def open(self, early: bytes) -> None:
        """Begin; `early` is what the instance sent behind its 101. What the client sent behind its head goes first."""
        down, up = self._down, self._up
        assert down is not None and up is not None
        leftover, down.partial = down.partial, b""
        down.tunnel = self
        down.diverted = True
        down.current = None
        if leftover:
            up.transport.write(leftover)
        if early:
            down.transport.write(early)
        down.transport.registerProducer(_Source(up), True)
        up.transport.registerProducer(_Source(down), True)
        down.held = 0
        down.transport.resumeProducing()

    def from_client(self, data: bytes) -> None:
        if self._up is not None and self._up.transport is not None:
            self._up.transport.write(data)

    def from_instance(self, data: bytes) -> None:
        if self._down is not None and self._down.transport is not None:
            self._down.transport.write(data)

    def client_ended(self) -> None:
        """The client half-closed: the instance sees the same, and may still answer."""
        if self._up is not None and self._up.transport is not None:
            self._up.transport.loseWriteConnection()

    def client_lost(self) -> None:
        up, self._up = self._up, None
        self._down = None
        if up is not None and up.transport is not None:
            up.since = self._exchange.plane.clock()
            up.transport.unregisterProducer()
            up.transport.loseConnection()
        self._close()

    def instance_lost(self) -> None:
        down, self._down = self._down, None
        self._up = None
        if down is not None and down.transport is not None:
            down.transport.unregisterProducer()
            down.tunnel_ended()
        self._close()

    def over(self) -> bool:
        """Is one side gone, and the other only taking what is queued for it?"""
        return self._down is None

    def _close(self) -> None:
        exchange = self._exchange
        if exchange.done:
            return
        exchange.done = True
        now = exchange.plane.clock()
        ticket, exchange.ticket = exchange.ticket, None
        if ticket is not None:
            # How long a tunnel was open says nothing of how fast the instance answers.
            ticket.release(Outcome.CANCELLED, now)
        exchange.over(now, exchange.status, ticket.member if ticket is not None else None)


class _Source:
    """One end as the other's producer. Its consumer's end is told by connectionLost, so stopping does nothing."""

    __slots__ = ("_end",)

    def __init__(self, end: Downstream | Upstream) -> None:
        self._end = end

    def pauseProducing(self) -> None:
        if self._end.transport is not None:
            self._end.transport.pauseProducing()

    def resumeProducing(self) -> None:
        if self._end.transport is not None:
            self._end.transport.resumeProducing()

    def stopProducing(self) -> None:
        """See the class."""
