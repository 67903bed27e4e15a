"""A second attempt beside one that takes long: whoever answers first answers, and the other one is cancelled.

    exchange ──► first instance ........ no byte of an answer for as long as `wmesh.policy.hedging` says
         └─────► second instance        the head of an answer (one that need not be thrown away) wins the race:
                                        the loser's connection is closed, its ticket says how long it took so far

While two attempts run, each connection serves a `Leg` in the place of the exchange: it passes on what the exchange is
to hear, and keeps from it what it is not, above all that one of the two has failed. The exchange's own connection and
ticket are those of one leg, the leading one; where that one fails or loses, they become the other's. Whatever ends an
exchange ends its hedge (`settle`), and so both legs.

Requests of a route without hedging have nothing of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from wmesh.cluster.outcome import Outcome, Refusal
from wmesh.cluster.ticket import Ticket
from wmesh.policy.hedging import LOOKS, objection
from wmesh.proxy.hedging import Hedging
from wmesh.proxy.local_reply import LocalReply, for_outcome
from wmesh.proxy.pool import pool_of
from wmesh.proxy.retrying import Retrying, attempt_failed, wants_another
from wmesh.wire.request import IDEMPOTENT, RequestHead
from wmesh.wire.response import ResponseHead

if TYPE_CHECKING:
    from wmesh.policy.retry import Budget
    from wmesh.proxy.exchange import Exchange
    from wmesh.proxy.plan import Plan
    from wmesh.proxy.request_body import RequestBody
    from wmesh.proxy.side import ClientSide
    from wmesh.proxy.upstream import Upstream

Attempt: TypeAlias = "Exchange | Leg"
"""Whom a connection to an instance serves: a request, or one of the two attempts of a race."""


def watch(hedging: Hedging, exchange: Exchange, now: float) -> Hedge | None:
    """Have an eye on a request that begins now, if it is one that may be made twice."""
    if exchange.head.method not in IDEMPOTENT or exchange.switching or exchange.done:
        return None
    hedge = Hedge(hedging, exchange)
    after = hedging.after(now)
    if after is not None:
        exchange.plane.watches.add(now + after, hedge)
    return hedge


class Hedge:
    """Has an eye on one exchange, until its answer begins."""

    __slots__ = ("_began", "_budget", "_exchange", "_hedging", "_looks", "_second")

    def __init__(self, hedging: Hedging, exchange: Exchange) -> None:
        self._hedging = hedging
        self._exchange: Exchange | None = exchange
        self._looks = 0
        # When the first of two attempts began.
        self._began: float | None = None
        self._second: Leg | None = None
        self._budget: Budget | None = None

    @property
    def over(self) -> bool:
        return self._exchange is None or self._second is not None

    def due(self, now: float) -> None:
        """So much time has passed, and there is no answer: ask somebody else as well, if that may be."""
        exchange, after = self._exchange, self._hedging.after(now)
        if exchange is None or exchange.done or after is None:
            return
        plan, ticket, body = exchange.plan, exchange.ticket, exchange.body
        assert plan is not None
        if exchange.limit is not None and now >= exchange.limit.ends:
            return
        if ticket is None or not exchange.request_done or (body is not None and exchange.conn is None):
            # It stands in the queue, or pauses, or is still on its way: nobody has had it for long.
            exchange.plane.watches.add(now + after, self)
            return
        if now < ticket.started + after:
            exchange.plane.watches.add(ticket.started + after, self)
            return
        begun = exchange.conn is not None and exchange.conn.begun
        elsewhere = plan.selection.others((*exchange.tried, ticket.member))
        why = objection(bool(exchange.bound), begun, body is None or body.repeatable, elsewhere)
        if why:
            exchange.note(now, f"nobody else is asked: {why}")
            return
        if not plan.budget.take(plan.cluster.in_flight + plan.cluster.queued(), plan.cluster.requests, now):
            self._later(exchange, now, after, f"{plan.budget.active} retries are in flight, and that is enough")
            return
        second = plan.selection.acquire(exchange.key, (*exchange.tried, ticket.member), now)
        if isinstance(second, Refusal):
            plan.budget.give_back()
            self._later(exchange, now, after, second.detail)
            return
        self._budget = plan.budget
        self._race(exchange, plan, ticket, second, now)

    def _later(self, exchange: Exchange, now: float, after: float, why: str) -> None:
        """There is no room for a second attempt now."""
        self._looks += 1
        if self._looks < LOOKS:
            exchange.plane.watches.add(now + after, self)
            return
        assert exchange.plan is not None
        exchange.plan.traffic.hedges_denied += 1
        exchange.note(now, f"nobody else is asked: {why}")

    def _race(self, exchange: Exchange, plan: Plan, ticket: Ticket, other: Ticket, now: float) -> None:
        """Two attempts from here on."""
        self._began = ticket.started
        first, second = Leg(self, exchange, plan, ticket), Leg(self, exchange, plan, other)
        first.rival, second.rival = second, first
        self._second = second
        if exchange.conn is not None:
            first.conn = exchange.conn
            first.conn.exchange = first
        else:
            first.dial = exchange.dial
            first.dial.exchange = first
        exchange.attempts += 1
        plan.traffic.hedges += 1
        waited = f"{(now - ticket.started) * 1000.0:.0f} ms"
        who, whom = ticket.member.record.id, other.member.record.id
        exchange.note(now, f"{who} has not answered within {waited}: {whom} is asked as well")
        if exchange.limit is not None:
            exchange.written = exchange.limit.tell(exchange.written, now)
        pool = pool_of(exchange.plane, other.member, plan.spec)
        conn = pool.take(False)
        if conn is not None:
            second.attach(conn, now)
        else:
            second.dial = pool.connect(second)

    def decided(self, winner: Leg, now: float) -> None:
        """There is one attempt again: `winner` answers, or is the only one that is left."""
        exchange = winner.exchange
        exchange.conn, exchange.dial, exchange.ticket = winner.conn, winner.dial, winner.ticket
        self._give_back()

    def won(self, leg: Leg) -> None:
        """It has the head of an answer, while the other one has not."""
        rival = leg.apart()
        if rival is None:
            return
        exchange = leg.exchange
        now = exchange.plane.clock()
        self.decided(leg, now)
        if leg is self._second:
            leg.plan.traffic.hedges_won += 1
        exchange.note(now, f"{leg.ticket.member.record.id} answered first")
        rival.stop()
        rival.ticket.outrun(now)

    def answered(self) -> None:
        """The answer begins: nobody needs to look any more."""
        exchange, self._exchange = self._exchange, None
        if exchange is None or exchange.ticket is None:
            return
        now = exchange.plane.clock()
        # Of two attempts the first one counts, also if it lost: it took at least so long.
        began = self._began if self._began is not None else exchange.ticket.started
        self._hedging.observe(now - began, now)

    def end(self) -> None:
        """The exchange is over, or will not be answered on this way. Its own attempt is ended by itself."""
        exchange, self._exchange = self._exchange, None
        second = self._second
        if exchange is None or second is None:
            return
        rival = second.rival
        second.apart()
        if rival is not None:
            other = rival if exchange.ticket is second.ticket else second
            other.stop()
            other.ticket.release(Outcome.CANCELLED, exchange.plane.clock())
        self._give_back()

    def _give_back(self) -> None:
        budget, self._budget = self._budget, None
        if budget is not None:
            budget.give_back()


class Leg:
    """One of two attempts, to its connection: what an exchange is, as far as connections need one. The request is whole
    and has been sent whole. `rival` is the other attempt while it runs."""

    __slots__ = ("conn", "dial", "down", "exchange", "head", "hedge", "plan", "plane", "rival", "ticket")

    request_done = True
    switching = False

    def __init__(self, hedge: Hedge, exchange: Exchange, plan: Plan, ticket: Ticket) -> None:
        self.hedge = hedge
        self.exchange = exchange
        self.plan: Plan = plan
        self.plane = exchange.plane
        self.down: ClientSide = exchange.down
        self.head: RequestHead = exchange.head
        self.ticket = ticket
        self.conn: Upstream | None = None
        self.dial: Any = None
        self.rival: Leg | None = None

    @property
    def body(self) -> RequestBody | None:
        return self.exchange.body

    def apart(self) -> Leg | None:
        """There is no race any more; answers the one that it was with."""
        rival, self.rival = self.rival, None
        if rival is not None:
            rival.rival = None
        return rival

    def attach(self, conn: Upstream, now: float) -> None:
        """A connection to its instance is there."""
        exchange = self.exchange
        self.dial = None
        self.conn = conn
        if exchange.ticket is self.ticket:
            exchange.dial = None
            exchange.conn = conn
        conn.assign(self, now)
        body = exchange.body
        conn.transport.write(exchange.written if body is None else body.whole(exchange.written))

    def stop(self) -> None:
        """Nobody waits for it any more: its connection ends, one that is being made is kept for others."""
        dial, self.dial = self.dial, None
        if dial is not None:
            dial.forget()
        conn, self.conn = self.conn, None
        if conn is not None:
            conn.drop()

    # --- what its connection has to say

    def response_head(self, head: ResponseHead) -> bytes:
        self.hedge.won(self)
        return self.exchange.response_head(head)

    def interim(self, head: ResponseHead) -> bytes:
        """The client does not hear of it: it may be of the one who loses."""
        return b""

    def finished(self, now: float) -> None:
        self.exchange.finished(now)

    def settle(self) -> None:
        self.exchange.settle()

    def wants_another(self, whole: bool) -> bool:
        """An answer that is not hoped for is thrown away while somebody else may have a better one."""
        return self.rival is not None or wants_another(self.exchange, whole)

    def attempt_failed(
        self,
        outcome: Outcome,
        detail: str,
        sent: bool,
        stale: bool,
        *,
        hung: bool = False,
        retry_after: int = 0,
        own: LocalReply | None = None,
    ) -> None:
        """See `wmesh.proxy.retrying`. While the other attempt runs, the exchange goes on with that one alone."""
        exchange = self.exchange
        rival = self.apart()
        self.conn = self.dial = None
        if rival is None:
            attempt_failed(
                exchange, outcome, detail, sent, stale, hung=hung, retry_after=retry_after, own=own
            )
            return
        now = exchange.plane.clock()
        self.hedge.decided(rival, now)
        member = self.ticket.member
        if exchange.retrying is None:
            exchange.retrying = Retrying(exchange)
        exchange.retrying.noticed(outcome, sent, member, retry_after)
        exchange.reply = own or for_outcome(outcome, detail, self.plan.service, exchange.retrying.retry_after)
        if not stale:
            exchange.tried = (*exchange.tried, member)
        exchange.note(now, f"{member.record.id}: {outcome.name.lower()}: {detail}")
        self.ticket.release(Outcome.CANCELLED if stale else outcome, now)
