"""What becomes of a request after a failed attempt: another one, now or after a pause, or the end.

Made at the first failure, so that a request that meets none pays nothing. The rules are those of `wmesh.policy.retry`;
here they meet the clock, the cluster and the budget. `end` has to be called when the exchange is over, whoever ends it:
it stops the pause and gives back the budget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wmesh.cluster.member import Member
from wmesh.cluster.outcome import Outcome
from wmesh.policy.retry import PATIENCE, STALE, again_there, objection, pause
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
        """An attempt failed, with no answer begun. `member` is whose it was; see `Exchange.attempt_failed`."""
        self.end()
        exchange = self._exchange
        plan = self._plan = exchange.plan
        assert plan is not None
        self.sent = self.sent or sent
        word = STALE if stale else outcome.name.lower()
        if outcome is Outcome.SERVER_ERROR:
            self.sorry = (*self.sorry, member)
        why = may_not(exchange, plan, word, sent)
        elsewhere = plan.selection.others(exchange.tried)
        if not why and not elsewhere and not again_there(word, hung):
            why = "there is nobody else to ask"
        wait = 0.0 if stale or why else pause(plan.retry, exchange.attempts, elsewhere, exchange.plane.chance())
        if why:
            exchange.give_up(now, f"not tried again: {why}")
            return
        self._free = stale or not sent
        self._looks = 0
        self._wait(wait)

    def _wait(self, seconds: float) -> None:
        limit = self._exchange.limit
        now = self._exchange.plane.clock()
        if limit is not None and now + seconds >= limit.ends:
            self._exchange.give_up(now, "not tried again: no time is left for it")
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
            if not plan.budget.take(plan.cluster.in_flight + plan.cluster.queued() + 1):
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
            exchange.give_up(now, f"not tried again: {plan.budget.active} retries are in flight, and that is enough")
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


def may_not(exchange: Exchange, plan: Plan, outcome: str, sent: bool) -> str:
    """Why the exchange may not be repeated after this; empty if it may be. (Not: whether there is anybody to ask.)"""
    idempotent = exchange.head.method in IDEMPOTENT
    replayable = exchange.body is None or exchange.body.repeatable
    return objection(plan.retry, exchange.attempts, outcome, sent, idempotent, replayable)
