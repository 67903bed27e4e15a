"""Two members drawn at random by share, the less busy one for its share wins.

Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001): nearly as even as comparing all, at a cost
that does not grow. Drawing by share and comparing in_flight / share keeps that true where shares differ (Wieder,
"Balanced allocations with heterogeneous bins", 2007); equally busy ones get the first draw, so that also idle fleets
are served by share. Pick: O(1), O(log n) with unequal shares; on a retry the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from wmesh.balance.draws import Draws
from wmesh.model import ServiceSpec

if TYPE_CHECKING:
    from wmesh.cluster.member import Member


class PowerOfTwo:
    """Scores: requests in flight for each unit of share; of two that are drawn the lower wins."""

    def __init__(self, spec: ServiceSpec, random: Random) -> None:
        self._draw = random.random
        self._draws = Draws(random.random)

    def rebuild(self, members: Sequence[Member]) -> None:
        self._draws = Draws(self._draw, members)

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        pair = self._draws.two(tried)
        if pair is None:
            return None
        one, other = pair
        return other if other.in_flight * one.share < one.in_flight * other.share else one

    def scores(self, key: bytes, now: float) -> Sequence[tuple[Member, float, str]]:
        draws = self._draws
        return [
            (
                member,
                member.in_flight / member.share,
                f"{member.in_flight} in flight / share {member.share:g}, drawn with {draws.chance(place):.1%}",
            )
            for place, member in enumerate(draws.members)
        ]
