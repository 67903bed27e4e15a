"""Peak EWMA: a latency average that jumps up at once and comes down with time.

After Finagle's and Linkerd's peak EWMA: a sample above the average replaces it; a lower one is blended in with weight
`1 - exp(-dt / decay)`. Time, not the number of samples, is what makes old evidence fade, so an instance that got no
traffic for a while is forgiven: `value(now)` decays towards zero by the same law.
"""

from __future__ import annotations

from math import exp


class PeakEwma:
    """`level` is seconds; None until the first sample."""

    __slots__ = ("decay", "level", "stamp")

    def __init__(self, decay: float = 10.0) -> None:
        self.decay = decay
        self.level: float | None = None
        self.stamp = 0.0

    def observe(self, seconds: float, now: float) -> None:
        level = self.level
        if level is None or seconds >= level:
            self.level = seconds
        else:
            weight = exp((self.stamp - now) / self.decay)
            self.level = level * weight + seconds * (1.0 - weight)
        self.stamp = now

    def value(self, now: float) -> float | None:
        """The average as of `now`, faded by the time since the last sample."""
        if self.level is None:
            return None
        return self.level * exp((self.stamp - now) / self.decay)
