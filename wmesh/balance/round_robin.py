"""Each in turn, weights ignored; only who ramps (slow start, a breaker that closed) gets fewer turns for a while.

Strategy: one fixed order that is gone round. Who ramps saves up that part of a turn each time it is passed, and takes
one when it has a whole one; so it gets its part to within one turn, and a change of the fleet or of a ramp costs no
more than a new list. It begins with a random part of a turn saved: of many that ramp, some are always about to have
one. A retry is drawn at random and takes nobody's turn: with two instances, one of them broken, it would otherwise
take the good one's each time, and every first attempt would meet the broken one. Pick: O(1); where all have just begun
to ramp, ten are passed. On a retry O(1), O(log n) while somebody ramps.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from math import ceil
from random import Random
from typing import TYPE_CHECKING

from wmesh.balance.draws import Draws
from wmesh.model import ServiceSpec

if TYPE_CHECKING:
    from wmesh.cluster.member import Member


class RoundRobin:
    """Starts at a random place, so that many gateways do not all send their first request to the same instance.

    Scores: how many turns come before the member's own, about, while somebody ramps; low wins.
    """

    def __init__(self, spec: ServiceSpec, random: Random) -> None:
        self._random = random
        self._members: tuple[Member, ...] = ()
        self._last = random.randrange(1 << 16)
        # What part of a turn each of those has saved who ramp.
        self._saved: dict[Member, float] = {}
        self._draws: Draws | None = None

    def rebuild(self, members: Sequence[Member]) -> None:
        if self._members:
            # Turns go on behind the one that had the last, so that frequent changes favour nobody. Sorted by id.
            last = self._members[self._last % len(self._members)].record.id
            self._last = bisect(members, last, key=lambda member: member.record.id) - 1
        self._members = tuple(members)
        saved, draw = self._saved, self._random.random
        ramping = [member for member in members if member.ramp < 1.0]
        self._saved = {member: saved[member] if member in saved else draw() for member in ramping}
        self._draws = None

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        members = self._members
        if tried:
            draws = self._draws
            if draws is None:
                draws = self._draws = Draws(self._random.random, members, [member.ramp for member in members])
            return draws.one(tried)
        if not members:
            return None
        self._last = place = (self._last + 1) % len(members)
        return members[place] if not self._saved else self._next(place)

    def _next(self, place: int) -> Member:
        """Whose turn it is from `place` on, where some ramp."""
        members, saved = self._members, self._saved
        while True:
            member = members[place]
            part = saved.get(member)
            if part is None:
                break
            saved[member] = part = part + member.ramp
            if part >= 1.0:
                saved[member] = part - 1.0
                break
            place = (place + 1) % len(members)
        self._last = place
        return member

    def scores(self, key: bytes, now: float) -> Sequence[tuple[Member, float, str]]:
        members, saved = self._members, self._saved
        count = len(members)
        # So many turns are taken each time the whole order is gone round.
        turns = sum(member.ramp for member in members)
        found = []
        for place, member in enumerate(members):
            ahead = float((place - self._last - 1) % count)
            if not saved:
                found.append((member, ahead, f"{ahead:.0f} turns before its own"))
                continue
            part = saved.get(member)
            passed = 0 if part is None else max(0, ceil((1.0 - part) / member.ramp) - 1)
            ahead = (passed + ahead / count) * turns
            found.append((member, ahead, f"about {ahead:.0f} turns before its own / ramp {member.ramp:.0%}"))
        return found
