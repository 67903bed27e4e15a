"""Tests of wmesh.balance.typical."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import members
from wmesh.balance.typical import SAMPLE, Typical
from wmesh.cluster.member import Member


def busy(member: Member, now: float) -> float | None:
    return None if member.in_flight < 0 else float(member.in_flight)


class TypicalTests(SynchronousTestCase):
    def test_the_median_of_those_known(self) -> None:
        """It is the fleet's own median, without those of whom nothing is known; not that of one or two of them."""
        fleet = members([1] * 5)
        for member, level in zip(fleet, (1, 9, -1, 2, 100), strict=True):
            member.in_flight = level
        typical = Typical(Random(1).random, busy, 7.0)
        typical.rebuild(fleet)
        self.assertEqual((typical.peek(0.0), typical.level(0.0)), (5.5, 5.5))
        typical.rebuild([])
        self.assertEqual(typical.level(0.0), 7.0)

    def test_at_most_a_second_old(self) -> None:
        """What changes is seen within a second, and not looked for more often."""
        (member,) = members([1])
        typical = Typical(Random(1).random, busy, 7.0)
        typical.rebuild([member])
        self.assertEqual(typical.level(10.0), 0.0)
        member.in_flight = 3
        self.assertEqual(typical.level(10.9), 0.0)
        self.assertEqual(typical.level(11.0), 3.0)

    def test_many_are_sampled(self) -> None:
        """Of thousands a hundred are looked at, and the figure is near the real one."""
        fleet = members([1] * 5000)
        for place, member in enumerate(fleet):
            member.in_flight = place
        looked = []
        typical = Typical(Random(1).random, lambda member, now: looked.append(member) or busy(member, now), 0.0)  # type: ignore[func-returns-value]
        typical.rebuild(fleet)
        self.assertTrue(1750 < typical.level(0.0) < 3250)
        self.assertEqual(len(looked), SAMPLE)
