"""Who stands out among its peers by what live traffic shows: errors and latency, judged for fleets of any size.

Strategy: an instance is compared with what all others together did in the same seconds, so that trouble which all have
(a dependency that is down) ejects nobody. Only where the others had too little traffic is it compared with its own
past. Envoy's success rate outliers need five hosts with a hundred requests each and so never fire in fleets of one to
four; its deviation from a mean is replaced here by a plain difference in percentage points.

A row of failures is no matter of comparison and is seen where it happens (`Cluster.failed`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from math import ceil
from statistics import median
from typing import TYPE_CHECKING

from wmesh.model import AdminState, Health

if TYPE_CHECKING:
    from wmesh.cluster.member import Member
    from wmesh.model import OutlierSpec

LEARNING = 0.01
"""How much of the present rate goes into what is usual for an instance, each time that it is looked at."""
LEAST_SECONDS = 0.25
"""Slower by less than this is not worth losing an instance for, whatever the factor."""


def outliers(members: Sequence[Member], spec: OutlierSpec, now: float) -> Iterator[tuple[Member, str]]:
    """Members to eject, each with the reason. Those without `min_calls` in their window are not judged."""
    judged = []
    calls = failures = 0.0
    for member in members:
        if member.breaker is None:
            continue
        window = member.breaker.window
        window.slide(now)
        if window.calls:
            calls += window.calls
            failures += window.failures
            judged.append(member)
    windows = [member.breaker.window for member in judged if member.breaker is not None]
    means = [window.mean for window in windows if window.calls >= spec.min_calls]
    # Without the slowest: of two, the other one is all that there is to compare with.
    middle = median(sorted(means)[:-1]) if len(means) > 1 else 0.0
    for member, window in zip(judged, windows, strict=True):
        if window.calls < spec.min_calls:
            continue
        rate = 100.0 * window.failures / window.calls
        others = calls - window.calls
        if others >= spec.min_calls:
            usual, whose = 100.0 * (failures - window.failures) / others, "of its peers'"
        else:
            usual, whose = member.ejection.usual, "usual here"
        if rate - usual >= spec.error_rate:
            yield member, f"{rate:.0f}% of {window.calls} calls failed, where {usual:.0f}% are {whose}"
            continue
        member.ejection.usual += (rate - member.ejection.usual) * LEARNING
        if (
            spec.latency_factor
            and middle
            and window.mean >= spec.latency_factor * middle
            and window.mean - middle >= LEAST_SECONDS
        ):
            yield member, f"answers take {window.mean:.2f} s, where {middle:.2f} s is the middle of its peers"


def spare(members: Collection[Member], spec: OutlierSpec, now: float) -> int:
    """How many of all `members` traffic may take out now without too few being left. Looks at each: O(n)."""
    eligible = known = 0
    for member in members:
        eligible += member.eligible(now)
        # Who is starting, or was taken out by the operator, is none of those that the share is meant of.
        known += member.health.state is not Health.UNKNOWN and member.admin is AdminState.READY
    return max(0, eligible - ceil(max(1.0, known * (1.0 - spec.max_ejected / 100.0))))
