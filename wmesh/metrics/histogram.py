"""How long things took: counts in fixed buckets, from which any percentile can be told within a tenth or so.

The bounds are the preferred numbers of ISO 3 (series R10: each is about 1.26 times the one before, and all are round)
from half a millisecond to a minute. Fixed bounds cost 52 integers and nothing else: histograms of several services or
workers are added up bucket by bucket, which cannot be done with percentiles. An observation is one bisection and one
increment; a list of samples would be more exact, and grow.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

_R10 = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)

BOUNDS: tuple[float, ...] = (
    *(0.0005, 0.00063, 0.0008),
    *(round(step * scale, 6) for scale in (0.001, 0.01, 0.1, 1.0) for step in _R10),
    *(10.0, 12.5, 16.0, 20.0, 25.0, 31.5, 40.0, 50.0, 60.0),
)
"""Upper bounds in seconds, inclusive; what took longer than the last is in one more bucket without a bound."""


class Histogram:
    """`counts[i]` is how many took at most `BOUNDS[i]` and more than the bound before; `total` is their sum, seconds.

    WHY public fields: `wmesh.metrics.traffic` writes them without a second call (bench: micro).
    """

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    @property
    def count(self) -> int:
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """Seconds; None before the first observation."""
        count = self.count
        return self.total / count if count else None

    def percentile(self, q: float) -> float | None:
        """The seconds within which a share `q` (0 to 1) was done, straight lines drawn inside a bucket; None if empty.

        What took longer than the last bound is told as the last bound: "a minute or more".
        """
        if not 0.0 <= q <= 1.0:
            raise ValueError(f"a percentile is asked for as a share from 0 to 1, not {q!r}")
        running = list(accumulate(self.counts))
        if not running[-1]:
            return None
        rank = q * running[-1]
        # The first bucket that reaches the rank and is not empty; at q = 0 that is where the fastest one is.
        index = bisect_left(running, max(rank, 1e-12))
        if index >= len(BOUNDS):
            return BOUNDS[-1]
        lower = BOUNDS[index - 1] if index else 0.0
        before = running[index - 1] if index else 0
        return lower + (BOUNDS[index] - lower) * (rank - before) / self.counts[index]

    def add(self, other: Histogram) -> None:
        """Take in everything that another one has seen."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """One that has seen what all of these have seen; they stay as they are."""
    whole = Histogram()
    for histogram in histograms:
        whole.add(histogram)
    return whole
