"""Peak EWMA: a latency average that jumps up at once and comes down with time.

After Finagle's and Linkerd's peak EWMA: a sample above the average replaces it; a lower one is blended in with weight
`1 - exp(-dt / decay)`. Time, not the number of samples, is what makes old evidence fade, so an instance that got no
traffic for a while is forgiven: `value(now)` decays towards zero by the same law.

That takes long: who was thirty times slower than its peers needs 34 s with a decay of 10 s, however good its answers
are by now. Whoever sends it fewer requests because of its level says so (`question`), with the bar that an answer has
to take; then ENOUGH of them in a row overrule what was before.
"""

from __future__ import annotations

from math import exp

ENOUGH = 5
"""So many good answers in a row are no luck any more."""


class PeakEwma:
    """`level` is seconds; None until the first sample. What began before `since` is of another life, and no peak.

    `better` counts the latest answers in a row that took no longer than `bar` seconds (0: nobody asked).
    """

    __slots__ = ("bar", "better", "decay", "level", "since", "stamp")

    def __init__(self, decay: float = 10.0, since: float = float("-inf")) -> None:
        self.decay = decay
        self.since = since
        self.level: float | None = None
        self.stamp = 0.0
        self.bar = 0.0
        self.better = 0

    def observe(self, seconds: float, now: float) -> None:
        level = self.level
        if level is None or seconds >= level:
            if now - seconds >= self.since:
                self.charge(seconds, now)
            return
        weight = exp((self.stamp - now) / self.decay)
        self.level = level * weight + seconds * (1.0 - weight)
        self.stamp = now
        if self.bar:
            self._reconsider(seconds)

    def charge(self, seconds: float, now: float) -> None:
        """It counts as if the last answer had taken that long, or as long as it counts now if that is longer."""
        self.level = max(seconds, self.value(now) or 0.0)
        self.stamp = now
        self.better = 0

    def question(self, bar: float) -> None:
        """Its level keeps requests from it: from now on, answers that take no longer than `bar` speak for it."""
        self.bar = bar

    def _reconsider(self, seconds: float) -> None:
        if seconds > self.bar:
            self.better = 0
            return
        self.better += 1
        if self.better >= ENOUGH:
            assert self.level is not None
            self.level = min(self.level, self.bar)
            self.bar = 0.0
            self.better = 0

    def value(self, now: float) -> float | None:
        """The average as of `now`, faded by the time since the last sample."""
        if self.level is None:
            return None
        return self.level * exp((self.stamp - now) / self.decay)
