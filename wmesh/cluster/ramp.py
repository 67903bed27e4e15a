"""Slow start: who is new, or was out for a while, gets its share of the traffic little by little.

The factor grows linearly from a tenth to one over the window (Envoy's slow start with aggression 1.0 and
`min_weight_percent` 10). It is applied to the weight and to the instance's own limit of requests in flight, as HAProxy
does. Strategies are told in steps of a second or more, in shorter ones only where all of it takes a few seconds; in
between nothing changes.
"""

from __future__ import annotations

LEAST = 0.1
STEPS = 30
FEWEST = 5


class Ramp:
    """`factor(now)` is in [0.1, 1]. Not begun: 1."""

    __slots__ = ("since", "window")

    def __init__(self) -> None:
        self.since = 0.0
        self.window = 0.0

    def begin(self, window: float, now: float) -> None:
        """Start from the bottom, over `window` seconds; 0 means that there is nothing to grow through."""
        self.since = now
        self.window = window

    def factor(self, now: float) -> float:
        """The part of its weight that it gets at `now`."""
        if not self.window:
            return 1.0
        grown = (now - self.since) / self.window
        if grown >= 1.0:
            self.window = 0.0
            return 1.0
        return max(LEAST, grown)

    def next_step(self, now: float) -> float:
        """When the factor is worth looking at again."""
        if not self.window:
            return float("inf")
        return now + max(min(1.0, self.window / FEWEST), self.window / STEPS)
