"""Which member a key belongs to: the same one in every gateway, after every restart, as long as it is there.

Weighted rendezvous hashing: each (key, member) has a score and the lowest wins. So when a member leaves only its own
keys move, to all the others in proportion; when one comes or gains weight it only takes, when one loses weight it only
gives. To find the lowest without looking at all members, the score is a distance (multi-probe consistent hashing,
Appleton and O'Reilly, 2015): every member has 8 points on a circle, every key 8 probes, and the score is the shortest
way from a probe up to a point, divided by the member's weight. Among members of equal weight the shortest way leads to
the next point, which a binary search finds; so there is one sorted circle for each weight. Weights are rounded to eight
steps per doubling, which bounds the number of circles. Measured: nobody gets more than a fifth above its part where
weights are equal, or a third where they differ.

Best: O(c log n) with c different weights; for a key that came before, O(1). Change: O(changed · n) in C for a few, else
O(n log n) (10,000 members: see bench/micro/balance.py). Points and probes are BLAKE2b, since `hash()` differs between
processes and a checksum is too regular; the score needs the id, the weight and the key, and nothing else.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from hashlib import blake2b
from math import frexp
from operator import attrgetter
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wmesh.cluster.member import Member

POINTS = 8
"""Points of a member, and probes of a key."""
CIRCLE = 1 << 30
"""Places on the circle. WHY: Python compares whole numbers below this in one step, which halves the time to sort."""
FEW = 16
"""Up to so many members that come or go are put in and taken out one by one."""
REMEMBERED = 4096
"""Keys whose member is remembered until the next change. WHY: clients come back (bench: balance, beside "new key")."""
LONGEST = 128
"""Bytes of a key that is remembered: a client that sends large ones must not fill the memory."""

_unpack = Struct(f">{POINTS}I").unpack
_by_id = attrgetter("record.id")


def places(name: bytes) -> list[int]:
    """Where on the circle the points of a member, or the probes of a key, are."""
    return [number >> 2 for number in _unpack(blake2b(name, digest_size=4 * POINTS).digest())]


def rounded(share: float) -> float:
    """The nearest weight that has a circle; whole numbers up to 16 are their own."""
    mantissa, exponent = frexp(share)
    return round(mantissa * 16) / 16 * 2.0**exponent


class Circle:
    """The points of members of one weight, sorted, and whose each is. Of equal points the lower id's comes first."""

    __slots__ = ("members", "owners", "points")

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.points: list[int] = []
        self.owners: list[Member] = []

    def change(self, members: Sequence[Member]) -> None:
        members = sorted(members, key=_by_id)
        if members == self.members:
            return
        gone = set(self.members).difference(members)
        come = set(members).difference(self.members)
        self.members = members
        if len(gone) + len(come) > FEW:
            self._build()
            return
        for member in gone:
            for point in places(member.record.id.encode()):
                place = bisect_left(self.points, point)
                while self.owners[place] is not member:
                    place += 1
                del self.points[place], self.owners[place]
        for member in come:
            for point in places(member.record.id.encode()):
                place = bisect_left(self.points, point)
                while self.points[place : place + 1] == [point] and _by_id(self.owners[place]) < _by_id(member):
                    place += 1
                self.points.insert(place, point)
                self.owners.insert(place, member)

    def _build(self) -> None:
        points = [point for member in self.members for point in places(member.record.id.encode())]
        order = sorted(range(len(points)), key=points.__getitem__)
        self.points = [points[place] for place in order]
        self.owners = [self.members[place // POINTS] for place in order]

    def ahead(self, probe: int, without: Collection[Member]) -> tuple[int, Member] | None:
        """The way to the next point whose owner is not in `without`, and the owner. O(log n + those passed over)."""
        points, owners = self.points, self.owners
        count = len(points)
        start = bisect_right(points, probe)
        for place in range(start, start + min(count, POINTS * len(without) + 1)):
            owner = owners[place % count]
            if owner not in without:
                return (points[place % count] - probe) % CIRCLE, owner
        return None


class Rendezvous:
    """Ranks the members last given to `rebuild` for any key."""

    def __init__(self) -> None:
        self._circles: dict[float, Circle] = {}
        self._ordered: list[tuple[float, Circle]] = []
        self._known: dict[bytes, Member] = {}

    def rebuild(self, members: Sequence[Member]) -> None:
        groups: dict[float, list[Member]] = {}
        for member in members:
            groups.setdefault(rounded(member.share), []).append(member)
        before = self._circles
        self._circles = {weight: before.get(weight) or Circle() for weight in groups}
        for weight, group in groups.items():
            self._circles[weight].change(group)
        self._ordered = [(1.0 / weight, self._circles[weight]) for weight in sorted(groups)]
        self._known = {}

    def best(self, key: bytes, without: Collection[Member] = ()) -> Member | None:
        """Whose the key is; or who comes next where those in `without` may not have it. None when none is left."""
        known = self._known
        best = None if without else known.get(key)
        if best is not None:
            return best
        least = float("inf")
        for probe in places(key):
            for inverse, circle in self._ordered:
                points = circle.points
                place = bisect_right(points, probe)
                if place == len(points):
                    place = 0
                    score = (points[0] + CIRCLE - probe) * inverse
                else:
                    score = (points[place] - probe) * inverse
                if score < least:
                    owner = circle.owners[place]
                    if owner in without:
                        found = circle.ahead(probe, without)
                        if found is None or found[0] * inverse >= least:
                            continue
                        score = found[0] * inverse
                        owner = found[1]
                    least = score
                    best = owner
        if best is not None and not without and len(key) <= LONGEST:
            if len(known) >= REMEMBERED:
                del known[next(iter(known))]
            known[key] = best
        return best

    def scores(self, key: bytes) -> dict[Member, float]:
        """The score of every member, 0 to 1 for weight 1. Cold: O(n)."""
        probes = places(key)
        return {
            member: min((point - probe) % CIRCLE for point in places(member.record.id.encode()) for probe in probes)
            * inverse
            / CIRCLE
            for inverse, circle in self._ordered
            for member in circle.members
        }
