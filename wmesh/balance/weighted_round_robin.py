"""Each in proportion to its weight, evenly spread: never five in a row for weight five.

Earliest deadline first: each member is due every 1/weight, and whoever is due first is picked (the scheduler that Envoy
uses for weighted round robin). Over any run of picks each member is within one request of its share. Pick: O(log n).
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heapreplace
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wmesh.cluster.member import Member


class WeightedRoundRobin:
    """Deadlines start at half a period, which centres each member's turns; ties go by a random rank."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._heap: list[tuple[float, float, float, Member]] = []

    def rebuild(self, members: Sequence[Member]) -> None:
        rank = self._random.random
        self._heap = [(0.5 / member.weight, rank(), 1.0 / member.weight, member) for member in members]
        heapify(self._heap)

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        heap = self._heap
        for _ in range(len(heap) + len(tried)):
            due, rank, period, member = heap[0]
            if member in tried:
                # It keeps its turn as far as it can: it is moved just behind the next one due, not a whole period on.
                if len(heap) == 1:
                    return None
                heapreplace(heap, (min(entry[0] for entry in heap[1:3]) + 1e-9, rank, period, member))
                continue
            heapreplace(heap, (due + period, rank, period, member))
            return member
        return None
