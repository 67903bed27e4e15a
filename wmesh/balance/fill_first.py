"""Fill one member before the next, in the order of their ids, so that the others stay idle and can be stopped.

A member is full at its own limit, or at the service's `capacity` where it has none (at less while it ramps). Once all
are full by capacity, two are drawn at random and the less full one takes it.

`_edge` is the member being filled: those before it were full when last looked at. A pick looks again at all before the
edge where these are few, otherwise at eight of them in turn; so requests that end far below a high edge leave a gap
for a few picks, and with up to eight busy members the order is exact. The edge comes down past members that have become
idle. Pick: O(1), amortised over the picks that moved the edge; on a retry the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from wmesh.balance.draws import Draws
from wmesh.model import ServiceSpec

if TYPE_CHECKING:
    from wmesh.cluster.member import Member

LOOK = 8


class FillFirst:
    """Scores: the member's place in the order; the lowest that has room wins."""

    def __init__(self, spec: ServiceSpec, random: Random) -> None:
        self._draw = random.random
        self._capacity = spec.capacity
        self._members: tuple[Member, ...] = ()
        self._room: list[float] = []
        self._draws = Draws(random.random)
        self._edge = 0
        self._cursor = 0

    def rebuild(self, members: Sequence[Member]) -> None:
        self._members = members = tuple(sorted(members, key=lambda member: member.record.id))
        self._room = [member.limit or max(1.0, self._capacity * member.ramp) for member in members]
        self._draws = Draws(self._draw, members, self._room)
        self._edge = 0

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        members, room = self._members, self._room
        count = len(members)
        if not count:
            return None
        edge = min(self._edge, count - 1)
        for _ in range(LOOK):
            if not edge or members[edge].in_flight:
                break
            edge -= 1
        self._edge = edge
        for place in self._behind(edge):
            member = members[place]
            if member.in_flight < room[place] and member not in tried:
                return member
        for place in range(edge, count):
            member = members[place]
            if member.in_flight < room[place]:
                if member not in tried:
                    return member
            else:
                self._edge = place + 1
        return self._least_full(tried)

    def _behind(self, edge: int) -> Sequence[int]:
        """The places before the edge that are looked at again this time."""
        if edge <= LOOK:
            return range(edge)
        self._cursor = start = (self._cursor + LOOK) % edge
        return [(start + step) % edge for step in range(LOOK)]

    def _least_full(self, tried: Sequence[Member]) -> Member | None:
        pair = self._draws.two(tried)
        if pair is None:
            return None
        one, other = pair
        return min(one, other, key=lambda member: member.in_flight / (member.limit or self._capacity))

    def scores(self, key: bytes, now: float) -> Sequence[tuple[Member, float, str]]:
        return [
            (member, float(place), f"{member.in_flight} of {self._room[place]:g} in flight")
            for place, member in enumerate(self._members)
        ]
