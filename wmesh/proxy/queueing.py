"""What becomes of a request that nobody can take now: a place in the queue, or a refusal.

The queue itself, its order and its bounds are the cluster's (`wmesh.cluster.selection`). Here the exchange stands in
it, once the cluster has turned its request down; one that is taken at once has no such object, and pays nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wmesh.cluster.cluster import NEVER
from wmesh.cluster.outcome import Outcome, Refusal
from wmesh.cluster.ticket import Ticket
from wmesh.proxy.fallback import fall_back
from wmesh.proxy.local_reply import for_refusal
from wmesh.proxy.time_limit import out_of_time

if TYPE_CHECKING:
    from wmesh.proxy.exchange import Exchange


class Queueing:
    """One exchange that was turned down. `called` or `refused` says how it goes on, now or later."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def turned_down(self, refusal: Refusal, now: float) -> None:
        """Nobody can take the request now; where somebody may soon, it stands in the queue."""
        exchange = self._exchange
        plan = exchange.plan
        assert plan is not None
        # For one whose client sends no more, see `Downstream.readConnectionLost`.
        if not refusal.passing or not plan.waits or exchange.down.half_closed:
            self.refused(refusal)
            return
        until = NEVER if exchange.limit is None else exchange.limit.ends
        waiter = plan.selection.wait(
            exchange.key, exchange.tried, now, exchange.bound, until, self.called, self.refused
        )
        if isinstance(waiter, Refusal):
            self.refused(waiter)
            return
        exchange.waiter = waiter
        exchange.plane.deadlines.watch(exchange, waiter.deadline - now)
        exchange.note(now, f"waits: {refusal.detail}")
        plan.traffic.queued += 1
        if exchange.body is not None:
            exchange.body.wait()

    def called(self, ticket: Ticket) -> None:
        """It is its turn in the queue."""
        exchange = self._exchange
        now = exchange.plane.clock()
        if exchange.limit is not None and now >= exchange.limit.ends:
            ticket.release(Outcome.CANCELLED, now)
            out_of_time(exchange, now)
            return
        self._left()
        exchange.note(now, f"{ticket.member.record.id} can take it")
        exchange.granted(ticket, now)

    def _left(self) -> None:
        exchange = self._exchange
        exchange.waiter = None
        if exchange.limit is None:
            exchange.plane.deadlines.forget(exchange)

    def refused(self, refusal: Refusal) -> None:
        """Nobody will take it."""
        exchange = self._exchange
        plan = exchange.plan
        assert plan is not None
        now = exchange.plane.clock()
        if exchange.limit is not None and now >= exchange.limit.ends:
            out_of_time(exchange, now)
            return
        self._left()
        plan.traffic.refused += 1
        exchange.note(now, f"refused: {refusal.reason}: {refusal.detail}")
        fall_back(exchange, exchange.reply or for_refusal(refusal, plan.service), now)
