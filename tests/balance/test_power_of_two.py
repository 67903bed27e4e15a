"""Tests of wmesh.balance.power_of_two; that it never prefers the busier is held by tests.properties.test_balance."""

from __future__ import annotations

from collections import Counter
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import SPEC, a_member, members, picked
from wmesh.balance.power_of_two import PowerOfTwo


class PowerOfTwoTests(SynchronousTestCase):
    def test_of_two_the_idle_one(self) -> None:
        """With two instances both are always drawn, so the less busy one always wins."""
        strategy = PowerOfTwo(SPEC, Random(1))
        busy, idle = a_member("busy", in_flight=1), a_member("idle")
        strategy.rebuild([busy, idle])
        self.assertEqual({strategy.pick(b"", (), 0.0) for _ in range(50)}, {idle})

    def test_everybody_is_drawn_alike(self) -> None:
        """Without load all instances get about the same."""
        strategy = PowerOfTwo(SPEC, Random(1))
        strategy.rebuild(members([1] * 10))
        counts = Counter(picked(strategy).record.id for _ in range(5000))
        self.assertEqual(len(counts), 10)
        self.assertTrue(all(400 < count < 600 for count in counts.values()), counts)

    def test_one_left(self) -> None:
        """A retry finds the only instance that is left; after it there is none."""
        strategy = PowerOfTwo(SPEC, Random(1))
        one, other = all_members = members([1, 1])
        strategy.rebuild(all_members)
        self.assertIs(strategy.pick(b"", [one], 0.0), other)
        self.assertIsNone(strategy.pick(b"", all_members, 0.0))
