"""Each in proportion to its weight, evenly spread: never five in a row for weight five.

The picks are slots 0, 1, 2, …; with weights adding up to W, a member of weight w is owed one slot in every W/w. Its
turn k may be taken from slot floor(k·W/w) on and is due before slot (k+1)·W/w; of all turns that may be taken the one
due first is. So at every moment each member has had its share to within one request (Baruah and others, "Proportionate
progress", 1996). Deadlines alone, without the "not before", let equal light members all come due at the same time.
Pick: O(log n), or O(tried · log n) on a retry.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wmesh.cluster.member import Member

Turn = tuple[float, int, int, int, "Member"]
"""When it is due (or, while it waits, from when it may be taken); rank; number of the turn; weight; whose it is."""

SLOTS = 10_000
"""About how many picks are counted before counting starts over."""


class WeightedRoundRobin:
    """`_ready` holds the turns that may be taken, `_waiting` the others: one for each member, in either.

    Ties go by a random rank, so that many gateways do not all begin with the same instance.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._slot = 0
        self._whole = 0
        self._rounds = 1
        self._ready: list[Turn] = []
        self._waiting: list[Turn] = []

    def rebuild(self, members: Sequence[Member]) -> None:
        ranks = self._random.sample(range(len(members)), len(members))
        self._slot = 0
        self._whole = whole = sum(member.weight for member in members)
        self._rounds = SLOTS // whole + 1 if whole else 1
        self._ready = [(whole / m.weight, rank, 0, m.weight, m) for rank, m in zip(ranks, members, strict=True)]
        self._waiting = []
        heapify(self._ready)

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        ready, waiting, whole = self._ready, self._waiting, self._whole
        # Without `tried` there is always a turn ready: members owed less than a slot cannot have had all slots so far.
        taken = heappop(ready) if ready and not tried else self._pass_over(tried)
        if taken is None:
            return None
        _, rank, turn, weight, member = taken
        turn += 1
        slot = self._slot + 1
        heappush(waiting, (turn * whole / weight, rank, turn, weight, member))
        while waiting and waiting[0][0] < slot + 1:
            _, rank, turn, weight, freed = heappop(waiting)
            heappush(ready, ((turn + 1) * whole / weight, rank, turn, weight, freed))
        self._slot = slot
        if slot == whole * self._rounds:
            self._start_over()
        return member

    def _pass_over(self, tried: Sequence[Member]) -> Turn | None:
        """The turn of the first member that was not tried, early if it must be. Those passed over keep their turns."""
        for turns in (self._ready, self._waiting):
            passed = []
            found = None
            while turns and found is None:
                turn = heappop(turns)
                if turn[4] in tried:
                    passed.append(turn)
                else:
                    found = turn
            for turn in passed:
                heappush(turns, turn)
            if found is not None:
                return found
        return None

    def _start_over(self) -> None:
        """Count slots and turns from zero again, so that numbers stay small and their quotients exact."""
        rounds, self._slot = self._rounds, 0
        slots = self._whole * rounds
        for turns in (self._ready, self._waiting):
            turns[:] = [
                (at - slots, rank, turn - weight * rounds, weight, member) for at, rank, turn, weight, member in turns
            ]
            heapify(turns)
