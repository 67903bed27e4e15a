"""Tests of wmesh.balance.random_choice."""

from __future__ import annotations

from collections import Counter
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import SPEC, members, picked
from wmesh.balance.random_choice import RandomChoice


class AlmostOne(Random):
    def random(self) -> float:
        return 1.0 - 2.0**-53


class RandomChoiceTests(SynchronousTestCase):
    def test_chance_in_proportion_to_weight(self) -> None:
        """An instance of weight three gets about three times what one of weight one gets."""
        strategy = RandomChoice(SPEC, Random(1))
        strategy.rebuild(members([1, 3]))
        counts = Counter(picked(strategy).record.id for _ in range(4000))
        self.assertTrue(2850 < counts["m1"] < 3150, counts)

    def test_the_others_share_what_a_failed_one_had(self) -> None:
        """On a retry the instances that are left keep their proportions."""
        strategy = RandomChoice(SPEC, Random(1))
        all_members = members([5, 1, 3])
        strategy.rebuild(all_members)
        counts = Counter(picked(strategy, all_members[:1]).record.id for _ in range(4000))
        self.assertEqual(set(counts), {"m1", "m2"})
        self.assertTrue(2850 < counts["m2"] < 3150, counts)

    def test_the_largest_draw_is_still_a_member(self) -> None:
        """Rounding never points beyond the last instance, whatever the weights add up to."""
        strategy = RandomChoice(SPEC, AlmostOne())
        for weight in (1, 3, 7, 1000, 999):
            all_members = members([1, weight])
            strategy.rebuild(all_members)
            self.assertIs(strategy.pick(b"", (), 0.0), all_members[1])
