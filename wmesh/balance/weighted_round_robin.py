"""Each in proportion to its share, evenly spread: never five in a row for weight five.

`wmesh.balance.turns` says how, and how even. A retry is drawn at random by share and takes nobody's turn: if it did, a
broken instance could meet every first attempt while the retries eat the turns of the good ones. Pick: O(log n); on a
retry O(log n) as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from wmesh.balance.draws import Draws
from wmesh.balance.turns import Turns
from wmesh.model import ServiceSpec

if TYPE_CHECKING:
    from wmesh.cluster.member import Member


class WeightedRoundRobin:
    """Scores: within how many requests the member's turn is due; the lowest of those that may be taken wins."""

    def __init__(self, spec: ServiceSpec, random: Random) -> None:
        self._draw = random.random
        self._turns = Turns(random)
        self._draws = Draws(random.random)

    def rebuild(self, members: Sequence[Member]) -> None:
        self._draws = Draws(self._draw, members)
        self._turns.change(members, [member.share for member in members])

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        return self._draws.one(tried) if tried else self._turns.next()

    def scores(self, key: bytes, now: float) -> Sequence[tuple[Member, float, str]]:
        dues = self._turns.dues()
        return [
            (member, dues[member], f"due within {max(1.0, dues[member]):.0f} requests / share {member.share:g}")
            for member in self._draws.members
        ]
