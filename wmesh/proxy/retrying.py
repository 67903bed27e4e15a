"""What becomes of a request after a failed attempt: another one, now or after a pause, or the end.

`Retrying` is made at the first failure, so that a request that meets none pays nothing. The rules are those of
`wmesh.policy.retry`; here they meet the clock, the cluster and the budget. `end` has to be called when the exchange is
over, whoever ends it: it stops the pause and gives back the budget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wmesh.cluster.member import Member
from wmesh.cluster.outcome import Outcome
from wmesh.policy.retry import PATIENCE, STALE, STATUS, again_there, objection, pause
from wmesh.proxy.fallback import fall_back
from wmesh.proxy.local_reply import LocalReply, for_outcome
from wmesh.proxy.plan import Plan
from wmesh.wire.request import IDEMPOTENT

if TYPE_CHECKING:
    from wmesh.proxy.exchange import Exchange


class Retrying:
    """`retry_after` is the longest wait, in seconds, that an instance asked for. `sorry` are the members that answered,
    though not what was hoped for: this request does not go to them again. `sent`: an instance may have seen it."""

    __slots__ = ("_exchange", "_free", "_looks", "_plan", "_spends", "_timer", "retry_after", "sent", "sorry")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._plan: Plan | None = None
        self._timer: Any = None
        self._free = False
        self._looks = 0
        self._spends = False
        self.retry_after = 0
        self.sent = False
        self.sorry: tuple[Member, ...] = ()

    def after(self, outcome: Outcome, sent: bool, stale: bool, hung: bool, member: Member, now: float) -> None:
        """An attempt failed, with no answer begun. `member` is whose it was; see `attempt_failed`."""
        self.end()
        exchange = self._exchange
        plan = self._plan = exchange.plan
        assert plan is not None
        self.sent = self.sent or sent
        word = STALE if stale else outcome.name.lower()
        if outcome is Outcome.SERVER_ERROR:
            self.sorry = (*self.sorry, member)
        why = _may_not(exchange, plan, word, sent)
        elsewhere = plan.selection.others(exchange.tried)
        if not why and not elsewhere and not again_there(word, hung):
            why = "there is nobody else to ask"
        wait = 0.0 if stale or why else pause(plan.retry, exchange.attempts, elsewhere, exchange.plane.chance())
        if why:
            _give_up(exchange, now, f"not tried again: {why}")
            return
        self._free = stale or not sent
        self._looks = 0
        self._wait(wait)

    def noticed(self, outcome: Outcome, sent: bool, member: Member, retry_after: int) -> None:
        """An attempt failed while another one goes on; see `attempt_failed`."""
        self.sent = self.sent or sent
        self.retry_after = max(self.retry_after, retry_after)
        if outcome is Outcome.SERVER_ERROR:
            self.sorry = (*self.sorry, member)

    def _wait(self, seconds: float) -> None:
        limit = self._exchange.limit
        now = self._exchange.plane.clock()
        if limit is not None and now + seconds >= limit.ends:
            _give_up(self._exchange, now, "not tried again: no time is left for it")
        elif seconds > 0.0:
            self._timer = self._exchange.plane.reactor.callLater(seconds, self._go)
        else:
            self._go()

    def _go(self) -> None:
        self._timer = None
        exchange, plan = self._exchange, self._plan
        assert plan is not None
        now = exchange.plane.clock()
        if not self._free:
            # The failed attempt's own ticket is back already, but its request still counts.
            if not plan.budget.take(plan.cluster.in_flight + plan.cluster.queued() + 1, plan.cluster.requests, now):
                self._full(plan, now)
                return
            self._spends = True
        plan.traffic.retries += 1
        if not plan.selection.others(exchange.tried):
            exchange.tried = self.sorry
        exchange.attempt(now)

    def _full(self, plan: Plan, now: float) -> None:
        """Too many retries are in flight: look again a little later, and not for ever."""
        exchange = self._exchange
        self._looks += 1
        if self._looks > PATIENCE:
            plan.traffic.retries_denied += 1
            _give_up(exchange, now, "not tried again: there were enough retries")
            return
        self._wait(pause(plan.retry, self._looks, False, exchange.plane.chance()))

    def end(self) -> None:
        """The attempt that this led to is over, or will not be. A second call does nothing."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if self._spends:
            self._spends = False
            assert self._plan is not None
            self._plan.budget.give_back()


def attempt_failed(
    exchange: Exchange,
    outcome: Outcome,
    detail: str,
    sent: bool,
    stale: bool,
    *,
    hung: bool = False,
    retry_after: int = 0,
    own: LocalReply | None = None,
) -> None:
    """The running attempt is over without a whole answer; its connection, if any, is already closed.

    `sent`: the instance may have seen some of the request. `stale`: it was a kept connection that the instance
    closed before any byte of an answer; that says nothing against the instance, which may be tried again.
    `hung`: it met a deadline. `retry_after`: seconds that the instance asked for. `own`: what it answered.
    """
    if exchange.body is not None and exchange.body.producing:
        exchange.body.stop()
    exchange.conn = None
    exchange.dial = None
    now = exchange.plane.clock()
    ticket, exchange.ticket = exchange.ticket, None
    plan = exchange.plan
    assert plan is not None
    if ticket is not None:
        ticket.release(Outcome.CANCELLED if stale else outcome, now)
        if not stale:
            exchange.tried = (*exchange.tried, ticket.member)
    if exchange.done:
        return
    if ticket is not None:
        kept = ", on a kept connection" if stale else ""
        exchange.note(now, f"{ticket.member.record.id}: {outcome.name.lower()}{kept}: {detail}")
    if exchange.head_sent:
        exchange.over(now, 0, ticket.member if ticket is not None else None)
        exchange.settle()
        exchange.down.abort()
        return
    retrying = exchange.retrying
    if retrying is None:
        retrying = exchange.retrying = Retrying(exchange)
    retrying.retry_after = max(retrying.retry_after, retry_after)
    exchange.reply = own or for_outcome(outcome, detail, plan.service, retrying.retry_after)
    assert ticket is not None
    retrying.after(outcome, sent, stale, hung, ticket.member, now)


def wants_another(exchange: Exchange, whole: bool) -> bool:
    """May an answer with one of `retry_statuses` be thrown away, and somebody else be asked? One that is `whole`
    can be kept, for the case that there is nobody after all.
    """
    plan, ticket = exchange.plan, exchange.ticket
    assert plan is not None
    if ticket is None or exchange.switching or not exchange.request_done:
        return False
    if plan.fallback is not None and plan.fallback.hides(exchange):
        return True
    if _may_not(exchange, plan, STATUS, True) or not plan.selection.others((*exchange.tried, ticket.member)):
        return False
    cluster, now = plan.cluster, exchange.plane.clock()
    if not whole and not plan.budget.free(cluster.in_flight + cluster.queued(), cluster.requests, now):
        plan.traffic.retries_denied += 1
        exchange.note(now, "its answer passes on: there were enough retries")
        return False
    return True


def _give_up(exchange: Exchange, now: float, why: str) -> None:
    """No instance will be asked any more: the client hears of the last failure."""
    exchange.note(now, why)
    assert exchange.reply is not None
    fall_back(exchange, exchange.reply, now)


def _may_not(exchange: Exchange, plan: Plan, outcome: str, sent: bool) -> str:
    """Why the exchange may not be repeated after this; empty if it may be. (Not: whether there is anybody to ask.)"""
    idempotent = exchange.head.method in IDEMPOTENT
    replayable = exchange.body is None or exchange.body.repeatable
    return objection(plan.retry, exchange.attempts, outcome, sent, idempotent, replayable)
