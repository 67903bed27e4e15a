"""What wmesh promises about its cost, and whether a run shows it.

A goal is a ratio of CPU per request to a peer of the same run, or a figure of its own. A goal that a run did not
measure (a peer or a case was left out) is told as such, not as met.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.records import Results, middle

OURS = "wmesh"


@dataclass(frozen=True, slots=True)
class Goal:
    """`figure` takes a run and answers what was reached, None where that was not measured. At most `limit` is good."""

    text: str
    limit: float
    figure: Callable[[Results], float | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    text: str
    limit: float
    reached: float | None

    @property
    def met(self) -> bool | None:
        return None if self.reached is None else self.reached <= self.limit


def _ratio(case: str, peer: str, limit: float) -> Goal:
    return Goal(f"{case}: CPU per request to {peer}'s", limit, lambda results: results.ratio(OURS, peer, case))


def _resident(results: Results) -> float | None:
    size = middle(results.of(OURS, "small"), lambda sample: sample.rss)
    return None if size is None else size / 1e6


def _idle(results: Results) -> float | None:
    size = middle(results.idle_of(OURS), lambda sample: sample.rss_each)
    return None if size is None else size / 1e3


GOALS = (
    _ratio("small", "envoy", 0.8),
    _ratio("small", "nginx", 1.2),
    _ratio("varied", "envoy", 0.8),
    _ratio("varied", "nginx", 1.2),
    _ratio("64k", "nginx", 1.0),
    _ratio("10m", "nginx", 1.0),
    _ratio("connect", "traefik", 1.0),
    _ratio("connect", "caddy", 1.0),
    Goal("small: resident memory afterwards, MB", 70.0, _resident),
    Goal("idle: memory per connection, KB", 4.0, _idle),
)


def judge(results: Results) -> list[Verdict]:
    return [Verdict(goal.text, goal.limit, goal.figure(results)) for goal in GOALS]
