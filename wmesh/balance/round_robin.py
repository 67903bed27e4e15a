"""Each in turn, weights ignored; only who ramps (slow start, a breaker that closed) gets fewer turns for a while.

While somebody ramps, turns are those of `wmesh.balance.turns` over the ramps. A retry is drawn at random and takes
nobody's turn: with two instances, one of them broken, it would otherwise take the good one's each time, and every first
attempt would meet the broken one. Pick: O(1), O(log n) while somebody ramps; on a retry O(1).
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from wmesh.balance.draws import Draws
from wmesh.balance.turns import Turns
from wmesh.model import ServiceSpec

if TYPE_CHECKING:
    from wmesh.cluster.member import Member


class RoundRobin:
    """Starts at a random place, so that many gateways do not all send their first request to the same instance.

    Scores: how many turns come before the member's own; low wins.
    """

    def __init__(self, spec: ServiceSpec, random: Random) -> None:
        self._random = random
        self._members: tuple[Member, ...] = ()
        self._last = random.randrange(1 << 16)
        self._turns: Turns | None = None
        self._draws = Draws(random.random)

    def rebuild(self, members: Sequence[Member]) -> None:
        if self._members:
            # Turns go on behind the one that had the last, so that frequent changes favour nobody. Sorted by id.
            last = self._members[self._last % len(self._members)].record.id
            self._last = bisect(members, last, key=lambda member: member.record.id) - 1
        self._members = tuple(members)
        ramps = [member.ramp for member in members]
        self._draws = Draws(self._random.random, members, ramps)
        if all(ramp == 1.0 for ramp in ramps):
            self._turns = None
        else:
            self._turns = self._turns or Turns(self._random)
            self._turns.change(members, ramps)

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        if tried:
            return self._draws.one(tried)
        if self._turns is not None:
            return self._turns.next()
        members = self._members
        if not members:
            return None
        self._last = place = (self._last + 1) % len(members)
        return members[place]

    def scores(self, key: bytes, now: float) -> Sequence[tuple[Member, float, str]]:
        if self._turns is not None:
            dues = self._turns.dues()
            return [
                (member, dues[member], f"due within {max(1.0, dues[member]):.0f} requests / ramp {member.ramp:.0%}")
                for member in self._members
            ]
        count = len(self._members)
        found = []
        for place, member in enumerate(self._members):
            ahead = (place - self._last - 1) % count
            found.append((member, float(ahead), f"{ahead} turns before its own"))
        return found
