"""Better, equal or worse: two proxies in the same scenario. Pure.

Compared are, in this order: failed requests; answers that came too late; p99 during the fault; the time until the bad
instance has its share again. The first that differs by more than chance decides, and is named: a proxy that fails
fewer requests is better, however the others compare.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.faults.figures import Figures
from bench.faults.play import AFTER


@dataclass(frozen=True, slots=True)
class Verdict:
    """`word`: better, equal or worse (ours than theirs). `why` names the figure that decided, ours first."""

    word: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Criterion:
    """What is more than `least`, and more than this `part` of the greater of the two, is no chance."""

    name: str
    figure: Callable[[Figures], float]
    least: float
    part: float


CRITERIA = (
    Criterion("failed", lambda figures: float(figures.failures), 3.0, 0.1),
    Criterion("slow", lambda figures: float(figures.slow), 10.0, 0.25),
    Criterion("p99 ms", lambda figures: figures.p99, 15.0, 0.3),
    Criterion("back after s", lambda figures: AFTER if figures.back is None else figures.back, 1.5, 0.3),
)


def compare(ours: Figures, theirs: Figures) -> Verdict:
    for criterion in CRITERIA:
        mine, other = criterion.figure(ours), criterion.figure(theirs)
        if abs(mine - other) > max(criterion.least, criterion.part * max(mine, other)):
            word = "better" if mine < other else "worse"
            return Verdict(word, f"{criterion.name} {mine:.3g} to {other:.3g}")
    return Verdict("equal")
