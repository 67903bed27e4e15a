"""The same key to the same member, but never too much to one: consistent hashing with bounded loads.

A key is whatever the service is told to hash (a header, a cookie, a part of the path). Its first choice is that of
`wmesh.balance.rendezvous`. No member takes more than `hash_balance_factor` percent of its part of the requests in
flight (rounded up): above that the key goes to its second choice, and so on (Mirrokni, Thorup and Zadimoghaddam,
"Consistent Hashing with Bounded Loads", 2016). So one hot key cannot sink its member, and comes back to it as soon as
there is room. With 0 there is no bound.

The number in flight is counted over all members only every n/8 picks (and once a second), and in between each pick
counts one more; so with many members the bound may for a moment be an eighth of a request too wide on average. Pick:
as `ip_hash`, times the choices that are full, at most sixteen; then, of two at random the less busy one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from random import Random
from typing import TYPE_CHECKING

from wmesh.balance.draws import Draws
from wmesh.balance.rendezvous import Rendezvous
from wmesh.model import ServiceSpec

if TYPE_CHECKING:
    from wmesh.cluster.member import Member

CHOICES = 16
"""How many members are asked for room in the key's own order."""


class ConsistentHash:
    """Scores: the key's distance to the member for its share; low wins among those below their bound."""

    def __init__(self, spec: ServiceSpec, random: Random) -> None:
        self._factor = spec.hash_balance_factor / 100.0
        self._draw = random.random
        self._draws = Draws(random.random)
        self._ranks = Rendezvous()
        self._total = 0
        self._picks_left = 0
        self._counted = 0.0

    def rebuild(self, members: Sequence[Member]) -> None:
        self._draws = Draws(self._draw, members)
        self._ranks.rebuild(members)
        self._picks_left = 0

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        best = first = self._ranks.best(key, tried)
        if first is None or not self._factor:
            return first
        if self._picks_left <= 0 or not self._counted <= now < self._counted + 1.0:
            self._count(now)
        self._total += 1
        self._picks_left -= 1
        # For each unit of share, and with the request that is to be placed.
        room = self._factor * self._total / self._draws.whole
        passed = list(tried)
        while best is not None and best.in_flight >= ceil(room * best.share):
            passed.append(best)
            if len(passed) - len(tried) >= CHOICES:
                pair = self._draws.two(tried)
                return first if pair is None else min(pair, key=lambda member: member.in_flight / member.share)
            best = self._ranks.best(key, passed)
        # None left below the bound: those that are were tried, so the first choice is as good as any.
        return best or first

    def _count(self, now: float) -> None:
        members = self._draws.members
        self._total = sum([member.in_flight for member in members])
        self._picks_left = len(members) // 8
        self._counted = now

    def scores(self, key: bytes, now: float) -> Sequence[tuple[Member, float, str]]:
        members = self._draws.members
        scores = self._ranks.scores(key)
        total = sum(member.in_flight for member in members) + 1
        found = []
        for member in members:
            words = f"hash distance {scores[member]:.4f}, {member.share / self._draws.whole:.1%} of all keys"
            if self._factor:
                bound = ceil(self._factor * total * member.share / self._draws.whole)
                words += f", {member.in_flight} in flight of at most {bound}"
            found.append((member, scores[member], words))
        return found
