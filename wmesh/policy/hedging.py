"""Shall a second instance be asked while the first is still to answer, and after how long?

A few slow answers are what makes the slowest of a hundred requests slow. Asked once more elsewhere, after a time in
which nearly all have their answer, they cost a few requests more and lose their length (Dean and Barroso, "The Tail at
Scale"). Two at once is doing a request twice, so the rules are those of a retry of what an instance may have seen
(`wmesh.policy.retry`), and the budget is the same. Envoy ties hedging to a time-out of an attempt, gRPC to a fixed
delay; here it may be a quantile of what the route's own requests took lately, which needs no number that is right for
this service and wrong for the next.

A quantile helps only against instances that are slow in a smaller part of all answers than it leaves above itself: with
one slow instance of five, at 95 percent the slow answer is the one that is waited for.
"""

from __future__ import annotations

from wmesh.model import HedgeSpec

LEAST_SAMPLES = 100
"""With fewer answers nothing is known of how long they take."""

SOONEST = 0.001
"""Seconds in which no second attempt is worth while, whatever the quantile."""

LOOKS = 3
"""How often a request that finds no room in the budget, or nobody to take it, looks again, each time after as long."""


def patience(spec: HedgeSpec, samples: int, quantile: float | None) -> float | None:
    """Seconds to wait for an answer before somebody else is asked as well; None: nobody is.

    `quantile` is how long (seconds) the share of answers took that the spec names, of `samples` of them.
    """
    if not spec.quantile:
        return spec.delay or None
    if samples < LEAST_SAMPLES or quantile is None:
        return spec.delay or None
    return max(quantile, spec.delay, SOONEST)


def objection(bound: bool, begun: bool, replayable: bool, elsewhere: bool) -> str:
    """Why nobody else is to be asked beside the instance that has the request; empty if somebody may be.

    The method is one that may be repeated. `bound`: by a cookie, to that instance. `begun`: bytes of an answer have
    come. `elsewhere`: there are instances that it was not tried at.
    """
    if begun:
        return "its answer has begun"
    if bound:
        return "its client is bound to that instance"
    if not replayable:
        return "its body is not held any more"
    return "" if elsewhere else "there is nobody else to ask"
