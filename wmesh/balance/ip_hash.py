"""The same client to the same member, by the client's address; nothing to remember, nothing to agree upon.

`wmesh.balance.rendezvous` says how: when an instance leaves only its own clients move, and each gets its share of them.
The whole address counts, not a network: behind one big NAT all clients are one client here, and then only a cookie
tells them apart. Pick: O(log n) with equal shares, O(c log n) with c different ones, O(1) for an address seen since the
last change; on a retry the client's second choice, at the same cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from wmesh.balance.rendezvous import Rendezvous
from wmesh.model import ServiceSpec

if TYPE_CHECKING:
    from wmesh.cluster.member import Member


class IpHash:
    """Scores: the key's distance to the member for its share; low wins, and the second lowest is the second choice."""

    def __init__(self, spec: ServiceSpec, random: Random) -> None:
        self._members: tuple[Member, ...] = ()
        self._ranks = Rendezvous()

    def rebuild(self, members: Sequence[Member]) -> None:
        self._members = tuple(members)
        self._ranks.rebuild(members)

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        return self._ranks.best(key, tried)

    def scores(self, key: bytes, now: float) -> Sequence[tuple[Member, float, str]]:
        scores = self._ranks.scores(key)
        whole = sum(member.share for member in self._members)
        return [
            (member, scores[member], f"hash distance {scores[member]:.4f}, {member.share / whole:.1%} of all clients")
            for member in self._members
        ]
