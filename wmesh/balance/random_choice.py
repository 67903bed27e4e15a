"""A member at random, in proportion to its share. Pick: O(log n), O(1) with equal shares; on a retry the same."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from wmesh.balance.draws import Draws
from wmesh.model import ServiceSpec

if TYPE_CHECKING:
    from wmesh.cluster.member import Member


class RandomChoice:
    """Scores: the chance of being drawn, 0 to 1; high wins, that often."""

    def __init__(self, spec: ServiceSpec, random: Random) -> None:
        self._draw = random.random
        self._draws = Draws(random.random)

    def rebuild(self, members: Sequence[Member]) -> None:
        self._draws = Draws(self._draw, members)

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        return self._draws.one(tried)

    def scores(self, key: bytes, now: float) -> Sequence[tuple[Member, float, str]]:
        draws = self._draws
        return [
            (member, draws.chance(place), f"drawn with {draws.chance(place):.1%}")
            for place, member in enumerate(draws.members)
        ]
