"""Tests of wmesh.balance.draws."""

from __future__ import annotations

from collections import Counter
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import a_member, members
from wmesh.balance.draws import Draws
from wmesh.cluster.member import Member


class DrawsTests(SynchronousTestCase):
    def counts(self, draws: Draws, tried: list[Member], times: int = 6000) -> Counter[str]:
        found = [draws.one(tried) for _ in range(times)]
        return Counter(member.record.id for member in found if member is not None)

    def test_by_share_also_round_those_tried(self) -> None:
        """Whoever was tried, the others are drawn in proportion to what they have."""
        for shares in ([1, 1, 1, 1], [0.5, 2, 1, 4]):
            fleet = members(shares)
            draws = Draws(Random(1).random, fleet)
            for tried in ([], fleet[1:2], [fleet[3], fleet[0]], [fleet[2], a_member("gone"), fleet[2]]):
                left = [member for member in fleet if member not in tried]
                whole = sum(member.share for member in left)
                counts = self.counts(draws, tried)
                self.assertEqual(set(counts), {member.record.id for member in left})
                for member in left:
                    self.assertLess(abs(counts[member.record.id] / 6000 - member.share / whole), 0.03)

    def test_two_are_two(self) -> None:
        """A pair has two members, unless there is only one; the first is drawn by share."""
        for shares in ([1, 1, 1], [1, 2, 5], [1000, 0.001]):
            fleet = members(shares)
            draws = Draws(Random(1).random, fleet)
            firsts: Counter[str] = Counter()
            for _ in range(4000):
                pair = draws.two()
                assert pair is not None
                self.assertIsNot(*pair)
                firsts[pair[0].record.id] += 1
            for place, member in enumerate(fleet):
                self.assertLess(abs(firsts[member.record.id] / 4000 - draws.chance(place)), 0.03)
            self.assertEqual(draws.two(fleet[1:]), (fleet[0], fleet[0]))
            self.assertIsNone(draws.two(fleet))

    def test_the_second_is_by_share_too(self) -> None:
        """Whoever is first, the second is drawn from the others in proportion to what they have."""
        shares = [1.0, 2.0, 5.0, 0.5]
        draws = Draws(Random(1).random, members(shares))
        pairs = Counter(draws.two() for _ in range(20_000))
        for one, share in zip(draws.members, shares, strict=True):
            for other in draws.members:
                if other is not one:
                    chance = share / 8.5 * other.share / (8.5 - share)
                    self.assertLess(abs(pairs[one, other] / 20_000 - chance), 0.015)

    def test_rounding_never_leaves_the_fleet(self) -> None:
        """The largest and the smallest draw there is point at a member, and never at one that was tried."""
        for draw in (0.0, 1.0 - 2.0**-53):
            for shares in ([1, 3, 7], [1000, 0.001, 999, 0.1], [0.1] * 7):
                fleet = members(shares)
                draws = Draws(lambda draw=draw: draw, fleet)  # type: ignore[misc]
                for tried in ([], fleet[:1], fleet[-1:], fleet[:-1], fleet[1:], fleet[1:-1]):
                    self.assertIn(draws.one(tried), fleet)
                    self.assertNotIn(draws.one(tried), tried)
                    pair = draws.two(tried)
                    assert pair is not None
                    self.assertTrue(set(pair).isdisjoint(tried))

    def test_nobody(self) -> None:
        """Of an empty fleet nobody is drawn."""
        draws = Draws(Random(1).random)
        self.assertIsNone(draws.one())
        self.assertIsNone(draws.two())
        self.assertIsNone(draws.one([a_member()]))
