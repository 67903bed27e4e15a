"""What clients saw of a play, in numbers. Pure."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from bench.faults.crowd import failures
from bench.faults.play import Play
from bench.faults.scenarios import INSTANCES

WINDOW = 0.5
STEP = 0.1
FAIR = 0.6
"""The share of its fair share from which on an instance counts as back."""


@dataclass(frozen=True, slots=True)
class Figures:
    """`asked` are the requests from the beginning of the fault on, `failed` those of them that failed, by kind, `slow`
    the good ones that took too long. Latencies are milliseconds over all requests of the fault, failed ones included.

    `troubled` is the time from the beginning of the fault to the last failed or slow request that was sent in it,
    `aftermath` that from its end to the last one sent after it, `back` that from its end until the bad instance has
    its share again (None: not while we watched). Seconds; 0 when there were none. `share` is the part of the requests
    during the fault that reached a bad instance (None where that cannot be said); a fair share would be `fair`.
    """

    asked: int
    failed: dict[str, int]
    slow: int
    p50: float
    p99: float
    troubled: float
    aftermath: float
    share: float | None
    fair: float
    back: float | None
    lag: float

    @property
    def failures(self) -> int:
        return sum(self.failed.values())


def figures(play: Play) -> Figures:
    scenario = play.scenario
    requests = [request for request in play.requests if request.due >= play.began]
    during = [request for request in requests if request.due < play.ended]
    troubles = [request.due for request in requests if not request.good or request.latency > scenario.slow]
    split = bisect.bisect_left(troubles, play.ended)
    latencies = sorted(request.latency * 1000 for request in during)
    return Figures(
        asked=len(requests),
        failed=dict(failures(requests).most_common()),
        slow=sum(request.good and request.latency > scenario.slow for request in requests),
        p50=quantile(latencies, 0.5),
        p99=quantile(latencies, 0.99),
        troubled=troubles[split - 1] - play.began if split else 0.0,
        aftermath=troubles[-1] - play.ended if split < len(troubles) else 0.0,
        share=_share(play),
        fair=len(scenario.bad) / INSTANCES,
        back=_back(play),
        lag=play.lag * 1000,
    )


def quantile(ordered: Sequence[float], part: float) -> float:
    """The smallest figure that `part` of all are not above; 0 of none."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def _share(play: Play) -> float | None:
    """Of what reached instances. Connections that were refused reached none, so of those nothing can be said."""
    bad = play.scenario.bad
    if not bad or any(play.scenario.during[index].fault == "refuse" for index in bad):
        return None
    reached = [index for when, index in play.arrivals if play.began <= when < play.ended]
    return sum(index in bad for index in reached) / len(reached) if reached else 0.0


def _back(play: Play) -> float | None:
    """Until the beginning of the first window in which the bad instances have near their fair share."""
    bad = play.scenario.bad
    if not bad:
        return 0.0
    after = [(when - play.ended, index in bad) for when, index in play.arrivals if when >= play.ended]
    start = 0.0
    while start + WINDOW <= play.over - play.ended:
        window = [ours for when, ours in after if start <= when < start + WINDOW]
        if window and sum(window) / len(window) >= FAIR * len(bad) / INSTANCES:
            return start
        start += STEP
    return None
