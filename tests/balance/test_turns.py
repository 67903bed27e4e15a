"""Tests of wmesh.balance.turns; that they are fair at every moment is held by tests.properties.test_balance."""

from __future__ import annotations

from collections import Counter
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import members
from wmesh.balance.turns import Turns
from wmesh.cluster.member import Member


def take(turns: Turns, count: int) -> Counter[str]:
    found = [turns.next() for _ in range(count)]
    return Counter(member.record.id for member in found if member is not None)


class TurnsTests(SynchronousTestCase):
    def test_shares_need_not_be_whole(self) -> None:
        """A share of a tenth is a turn in ten of those of a whole one."""
        fleet = members([0.1, 1, 1.5])
        turns = Turns(Random(1))
        turns.change(fleet, [member.share for member in fleet])
        self.assertEqual(take(turns, 2600), {"m0": 100, "m1": 1000, "m2": 1500})

    def test_a_change_forgets_nobodys_turn(self) -> None:
        """Changes after every other request, as a flapping instance makes them, leave the shares as they are."""
        fleet = members([5, 3, 1])
        flapping = members([1, 1, 1, 1])[3]
        turns = Turns(Random(1))
        counts: Counter[str] = Counter()
        for step in range(900):
            some: list[Member] = fleet + [flapping] * (step % 2)
            turns.change(some, [5.0, 3.0, 1.0, 0.001][: len(some)])
            counts += take(turns, 1 + step % 3)
        whole = counts.total() - counts["m3"]
        for name, share in (("m0", 5), ("m1", 3), ("m2", 1)):
            self.assertLess(abs(counts[name] - whole * share / 9), 3)

    def test_who_leaves_takes_its_lag_along(self) -> None:
        """When all that were owed a turn leave, the others do not wait for those turns: a newcomer gets no burst."""
        fleet = members([1] * 10)
        turns = Turns(Random(1))
        turns.change(fleet, [1.0] * 10)
        served = [turns.next() for _ in range(5)]
        new = members([5])[0]
        turns.change([member for member in served if member is not None] + [new], [1.0] * 5 + [5.0])
        order = [turns.next() is new for _ in range(10)]
        self.assertEqual(sum(order), 5)
        self.assertNotIn((True, True, True), list(zip(order, order[1:], order[2:], strict=False)))

    def test_dues_tell_who_is_next(self) -> None:
        """The one due first is next, and asking changes nothing."""
        fleet = members([1, 1, 1])
        turns = Turns(Random(3))
        turns.change(fleet, [1.0, 1.0, 1.0])
        first = turns.next()
        second, third = (member for member in fleet if member is not first)
        dues = turns.dues()
        assert first is not None
        self.assertEqual(dues, turns.dues())
        self.assertLess(dues[second], dues[first])
        self.assertLess(dues[third], dues[first])

    def test_nobody(self) -> None:
        """Where nobody is there is no turn, and everybody may go at once and come back."""
        turns = Turns(Random(1))
        self.assertIsNone(turns.next())
        fleet = members([1, 2])
        turns.change(fleet, [1.0, 2.0])
        turns.change([], [])
        self.assertIsNone(turns.next())
        turns.change(fleet, [1.0, 2.0])
        self.assertEqual(take(turns, 30), {"m0": 10, "m1": 20})
