"""Tests of wmesh.balance.round_robin."""

from __future__ import annotations

from collections import Counter
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import SPEC, members, picked
from wmesh.balance.round_robin import RoundRobin


class RoundRobinTests(SynchronousTestCase):
    def strategy(self, count: int, seed: int = 1) -> RoundRobin:
        self.members = members([1] * count)
        strategy = RoundRobin(SPEC, Random(seed))
        strategy.rebuild(self.members)
        return strategy

    def test_each_in_turn(self) -> None:
        """Requests go round the instances in one fixed order."""
        strategy = self.strategy(3)
        first = [strategy.pick(b"", (), 0.0) for _ in range(3)]
        self.assertEqual([strategy.pick(b"", (), 0.0) for _ in range(6)], first * 2)
        self.assertEqual(len(set(map(id, first))), 3)

    def test_gateways_begin_at_different_places(self) -> None:
        """Ten gateways that start together do not all send their first request to the same instance."""
        firsts = {picked(self.strategy(4, seed)).record.id for seed in range(10)}
        self.assertGreater(len(firsts), 1)

    def test_a_retry_takes_nobodys_turn(self) -> None:
        """With a broken instance of two, every other first attempt meets it, not every one; retries reach the rest."""
        strategy = self.strategy(3)
        broken = self.members[0]
        firsts: Counter[str] = Counter()
        retries: Counter[str] = Counter()
        for _ in range(300):
            first = picked(strategy)
            firsts[first.record.id] += 1
            if first is broken:
                retries[picked(strategy, [first]).record.id] += 1
        self.assertEqual(firsts, {"m0": 100, "m1": 100, "m2": 100})
        self.assertEqual(set(retries), {"m1", "m2"})
        self.assertGreater(min(retries.values()), 30)

    def test_turns_go_on_after_a_change(self) -> None:
        """Whoever comes or goes, the next turn is that of the one behind the last: changes favour nobody."""
        strategy = self.strategy(4)
        while picked(strategy) is not self.members[1]:
            pass
        strategy.rebuild(self.members[:1] + self.members[2:])
        self.assertIs(picked(strategy), self.members[2])
        strategy.rebuild(self.members)
        self.assertIs(picked(strategy), self.members[3])
        strategy.rebuild(())
        strategy.rebuild(self.members)
        self.assertEqual({picked(strategy) for _ in range(4)}, set(self.members))

    def test_weights_are_ignored_and_ramps_are_not(self) -> None:
        """A heavy instance gets what the others get; one that warms up gets less until its ramp is over."""
        strategy = RoundRobin(SPEC, Random(1))
        _, _, new = fleet = members([5, 1, 0.5])
        for ramp, turns in ((0.5, 100), (1.0, 200)):
            new.ramp = ramp
            strategy.rebuild(fleet)
            counts = Counter(picked(strategy).record.id for _ in range(500 if ramp < 1 else 600))
            self.assertEqual(counts, {"m0": 200, "m1": 200, "m2": turns})
            self.assertEqual([member for member, _, _ in strategy.scores(b"", 0.0)], fleet)

    def test_ramps_are_heeded_across_changes(self) -> None:
        """The fleet changes with every pick, as it may in a large one: everybody has his part to within a turn."""
        strategy = RoundRobin(SPEC, Random(1))
        fleet = members([1] * 6)
        for member, ramp in zip(fleet, (1.0, 1.0, 0.75, 0.5, 0.25, 0.1), strict=True):
            member.ramp = ramp
        counts: Counter[str] = Counter()
        for _ in range(360):
            strategy.rebuild(fleet)
            counts[picked(strategy).record.id] += 1
        for member in fleet:
            self.assertAlmostEqual(counts[member.record.id], 100 * member.ramp, delta=1.0)

    def test_a_whole_fleet_that_ramps(self) -> None:
        """A thousand that all came together are served from the first request on, and none of them twice in a row."""
        strategy = RoundRobin(SPEC, Random(1))
        fleet = members([1] * 1000)
        for member in fleet:
            member.ramp = 0.1
        strategy.rebuild(fleet)
        counts = Counter(picked(strategy).record.id for _ in range(1000))
        self.assertEqual(set(counts.values()), {1})

    def test_scores_of_who_ramps(self) -> None:
        """The lowest is who is next, whoever ramps, and about when each has its turn is told."""
        strategy = RoundRobin(SPEC, Random(3))
        fleet = members([1] * 4)
        fleet[1].ramp, fleet[2].ramp = 0.3, 0.1
        strategy.rebuild(fleet)
        for _ in range(50):
            scores = strategy.scores(b"", 0.0)
            self.assertIs(min(scores, key=lambda entry: entry[1])[0], picked(strategy))
            self.assertIn("/ ramp 10%", scores[2][2])

    def test_scores_tell_the_order(self) -> None:
        """The explain view shows who is next, and looking does not take a turn."""
        strategy = self.strategy(3)
        for _ in range(5):
            best = min(strategy.scores(b"", 0.0), key=lambda entry: entry[1])
            self.assertIs(best[0], picked(strategy))

    def test_nobody_there(self) -> None:
        """A service without instances is no error."""
        self.assertIsNone(self.strategy(0).pick(b"", (), 0.0))
