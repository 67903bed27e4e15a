"""Turns in proportion to shares, evenly spread: never five in a row for share five.

Picks are slots 0, 1, 2, …; with weights adding up to W, a member of weight w is owed one slot in every W/w. Its turn k
may be taken from slot floor(k·W/w) on and is due before slot (k+1)·W/w; of all turns that may be taken the one due
first is. So at every moment since the last change each member has had its share to within one request (Baruah and
others, "Proportionate progress", 1996), and in any stretch of requests to within two; to promise one in every stretch
is impossible for most weights (Fraenkel's conjecture on balanced sequences). Deadlines alone, without the "not before",
let equal light members all come due at the same time.

A change of the fleet or of the shares starts a new count, into which everybody who stays takes what it is owed or had
too much (its lag; Stoica and others, "Earliest eligible virtual deadline first", 1995): so a fleet that changes every
second, as it does while somebody ramps, is served as fairly as one that never changes. Next: O(log n); change: O(n).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wmesh.cluster.member import Member

Turn = tuple[float, int, int, int, float, "Member"]
"""When it is due (or, while it waits, from when it may be taken); rank; number of the turn; weight; the slot at which
turn 0 began, which is not 0 for who brought a lag; whose it is."""

SLOTS = 10_000
"""About how many picks are counted before counting starts over."""
SCALE = 1000
"""Shares that are not whole numbers are counted in thousandths: whole weights make quotients that do not drift."""


class Turns:
    """`_ready` holds the turns that may be taken, `_waiting` the others: one for each member, in either.

    Ties go by a random rank, so that many gateways do not all begin with the same instance.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._ranks = 0
        self._slot = 0
        self._whole = 1
        self._rounds = 1
        self._ready: list[Turn] = []
        self._waiting: list[Turn] = []

    def change(self, members: Sequence[Member], shares: Sequence[float]) -> None:
        """From now on turns go to these."""
        weights = _weights(shares)
        whole = sum(weights) or 1
        before = {turn[5]: (turn[1], self._lag(turn)) for turn in self._turns()}
        stay = [weight for member, weight in zip(members, weights, strict=True) if member in before]
        # Who left took its lag along; those who stay bear it together, so that all lags add up to nothing.
        excess = sum(before[member][1] for member in members if member in before) / (sum(stay) or 1)
        self._slot = 0
        self._whole = whole
        self._rounds = SLOTS // whole + 1
        self._ready, self._waiting = [], []
        for member, weight in zip(members, weights, strict=True):
            if member in before:
                rank, lag = before[member]
                start = -max(-1.0, min(1.0, lag - excess * weight)) * whole / weight
            else:
                rank, start = self._rank(), 0.0
            if start < 1.0:
                self._ready.append((whole / weight + start, rank, 0, weight, start, member))
            else:
                self._waiting.append((start, rank, 0, weight, start, member))
        heapify(self._ready)
        heapify(self._waiting)

    def next(self) -> Member | None:
        """Whose turn it is; None where nobody is there."""
        ready, waiting, whole = self._ready, self._waiting, self._whole
        if ready:
            _, rank, turn, weight, start, member = heappop(ready)
        elif waiting:
            # Only lags that were cut can leave a slot that nobody may take yet.
            _, rank, turn, weight, start, member = heappop(waiting)
        else:
            return None
        turn += 1
        slot = self._slot + 1
        heappush(waiting, (turn * whole / weight + start, rank, turn, weight, start, member))
        while waiting and waiting[0][0] < slot + 1:
            _, rank, turn, weight, start, freed = heappop(waiting)
            heappush(ready, ((turn + 1) * whole / weight + start, rank, turn, weight, start, freed))
        self._slot = slot
        if slot == whole * self._rounds:
            self._start_over()
        return member

    def dues(self) -> dict[Member, float]:
        """Within how many requests each member's next turn is due."""
        whole = self._whole
        return {
            member: (turn + 1) * whole / weight + start - self._slot
            for _, _, turn, weight, start, member in self._turns()
        }

    def _turns(self) -> Iterator[Turn]:
        yield from self._ready
        yield from self._waiting

    def _lag(self, turn: Turn) -> float:
        """How many requests more than it had its owner is owed."""
        _, _, had, weight, start, _ = turn
        return (self._slot - start) * weight / self._whole - had

    def _rank(self) -> int:
        # Random above, counted below: no two are equal.
        self._ranks += 1
        return self._random.getrandbits(30) << 32 | self._ranks

    def _start_over(self) -> None:
        """Count slots and turns from zero again, so that numbers stay small and their quotients exact."""
        rounds, self._slot = self._rounds, 0
        slots = self._whole * rounds
        for turns in (self._ready, self._waiting):
            turns[:] = [
                (at - slots, rank, turn - weight * rounds, weight, start, member)
                for at, rank, turn, weight, start, member in turns
            ]
            heapify(turns)


def _weights(shares: Sequence[float]) -> list[int]:
    weights = [int(share) for share in shares]
    if all(weight == share for weight, share in zip(weights, shares, strict=True)):
        return weights
    return [max(1, round(share * SCALE)) for share in shares]
