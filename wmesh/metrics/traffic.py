"""What clients got from one service: answers by class, how long they took, and what went on behind them.

The data plane calls `observe` once per answered request and adds one to the plain counters where the thing happens; all
else is derived in `describe`. Requests in flight are not here: `wmesh.cluster.cluster.Cluster.in_flight` knows them.
Attempts at instances are counted there too; this is the client's view, in which a request that needed two attempts is
one answer and one retry.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

from wmesh.metrics.histogram import BOUNDS, Histogram

PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}


class Traffic:
    """One service's answers since the start.

    `responses[n]` counts statuses of class n; it has room for any three digits, because an instance may send them.
    `retries` counts attempts beyond the first, `retries_denied` those that the budget had no room for, `queued`
    requests that had to wait for an instance, `refused` requests for which no instance could be had (their answer, a
    503, is observed too), `expired` requests that took all the time they may, `fallbacks` how often another service or
    a fixed answer stood in, `hedges` how often a second instance was asked beside one that took long, `hedges_won` how
    often that one answered first, `hedges_denied` how often there was no room for it, `aborted` exchanges that ended
    without a whole answer, whoever broke off.
    """

    __slots__ = (
        "aborted",
        "expired",
        "fallbacks",
        "hedges",
        "hedges_denied",
        "hedges_won",
        "latency",
        "queued",
        "refused",
        "responses",
        "retries",
        "retries_denied",
    )

    def __init__(self) -> None:
        self.responses = [0] * 10
        self.latency = Histogram()
        self.retries = 0
        self.retries_denied = 0
        self.queued = 0
        self.refused = 0
        self.expired = 0
        self.fallbacks = 0
        self.hedges = 0
        self.hedges_won = 0
        self.hedges_denied = 0
        self.aborted = 0

    def observe(self, status: int, seconds: float) -> None:
        """One answer went out whole: its status (0 to 999), and the time from the request's head to its last byte."""
        self.responses[status // 100] += 1
        # WHY not `latency.observe(seconds)`: the call would cost as much as all the rest (bench: micro).
        latency = self.latency
        latency.counts[bisect_left(BOUNDS, seconds)] += 1
        latency.total += seconds

    @property
    def requests(self) -> int:
        """Answers of any status, and exchanges that got none."""
        return sum(self.responses) + self.aborted

    @property
    def success_rate(self) -> float | None:
        """The share of answers that no server is to blame for (no 5xx); None before the first answer."""
        answers = sum(self.responses)
        return (answers - self.responses[5]) / answers if answers else None

    def describe(self) -> dict[str, Any]:
        """Plain JSON values. Latencies are milliseconds; what is not known yet is null."""
        responses = self.responses
        rate = self.success_rate
        return {
            "requests_total": self.requests,
            "successes": sum(responses) - responses[5],
            "failures": responses[5],
            "success_rate": None if rate is None else round(rate, 6),
            "responses": {f"{number}xx": responses[number] for number in range(1, 6)},
            "retries": self.retries,
            "retries_denied": self.retries_denied,
            "queued": self.queued,
            "refused": self.refused,
            "expired": self.expired,
            "fallbacks": self.fallbacks,
            "hedges": self.hedges,
            "hedges_won": self.hedges_won,
            "hedges_denied": self.hedges_denied,
            "aborted": self.aborted,
            "latency_ms": {
                **{name: _milliseconds(self.latency.percentile(q)) for name, q in PERCENTILES.items()},
                "mean": _milliseconds(self.latency.mean),
            },
        }


def merged(traffics: Iterable[Traffic]) -> Traffic:
    """The traffic of several services together; they stay as they are."""
    whole = Traffic()
    for traffic in traffics:
        whole.responses = [mine + theirs for mine, theirs in zip(whole.responses, traffic.responses, strict=True)]
        whole.latency.add(traffic.latency)
        whole.retries += traffic.retries
        whole.retries_denied += traffic.retries_denied
        whole.queued += traffic.queued
        whole.refused += traffic.refused
        whole.expired += traffic.expired
        whole.fallbacks += traffic.fallbacks
        whole.hedges += traffic.hedges
        whole.hedges_won += traffic.hedges_won
        whole.hedges_denied += traffic.hedges_denied
        whole.aborted += traffic.aborted
    return whole


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000.0, 3)
