"""Tests of wmesh.balance.least_response_time."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import SPEC, members, picked
from wmesh.balance.least_response_time import EXPLORE, SHUNNED, LeastResponseTime
from wmesh.cluster.ewma import ENOUGH
from wmesh.cluster.member import Member


class LeastResponseTimeTests(SynchronousTestCase):
    def counts(self, all_members: list[Member], count: int = 4000, now: float = 0.0) -> Counter[str]:
        strategy = LeastResponseTime(SPEC, Random(1))
        strategy.rebuild(all_members)
        return Counter(picked(strategy, now=now).record.id for _ in range(count))

    def test_the_fast_one_is_preferred(self) -> None:
        """The instance that answers sooner gets all requests but the few that look how the other one is doing."""
        fast, slow = all_members = members([1, 1])
        fast.latency.observe(0.010, 0.0)
        slow.latency.observe(0.100, 0.0)
        counts = self.counts(all_members)
        self.assertGreater(counts["m1"], 0)
        self.assertLess(counts["m1"], 4000 * EXPLORE)

    def test_waiting_requests_count(self) -> None:
        """A fast instance with a queue is slower than a slow one without."""
        fast, slow = all_members = members([1, 1])
        fast.latency.observe(0.010, 0.0)
        fast.in_flight = 20
        slow.latency.observe(0.100, 0.0)
        self.assertGreater(self.counts(all_members)["m1"], 3800)

    def test_newcomers_are_not_stampeded(self) -> None:
        """An instance nobody knows yet counts as average: it is neither flooded nor starved."""
        fast, slow, _ = all_members = members([1, 1, 1])
        fast.latency.observe(0.010, 0.0)
        slow.latency.observe(0.100, 0.0)
        self.assertLess(self.counts(all_members)["m2"], 200)
        # With some load on the fast one, the newcomer's turn comes before the slow one's.
        fast.in_flight = 8
        self.assertGreater(self.counts(all_members)["m2"], 3800)

    def test_old_slowness_is_forgiven(self) -> None:
        """An instance that was slow a minute ago is tried again: its evidence has faded."""
        steady, recovered = all_members = members([1, 1])
        recovered.latency.observe(1.0, 0.0)
        steady.latency.observe(0.010, 60.0)
        self.assertGreater(self.counts(all_members, now=60.0)["m1"], 3800)

    def test_rest_is_no_merit(self) -> None:
        """After a quiet night the instance that rested longest does not get everything until its first answer."""
        fleet = members([1, 1, 1])
        for place, member in enumerate(fleet):
            member.latency.observe(0.010, 60.0 * place)
        strategy = LeastResponseTime(SPEC, Random(1))
        strategy.rebuild(fleet)
        for now in (200.0, 200_000.0):
            for member in fleet:
                member.in_flight = 0
            for _ in range(60):
                picked(strategy, now=now).in_flight += 1
            self.assertLess(max(member.in_flight for member in fleet), 35)

    def test_equals_share(self) -> None:
        """At the start, when nobody has a measurement, all get about the same; with many instances too."""
        few = self.counts(members([1] * 4))
        self.assertTrue(all(850 < count < 1150 for count in few.values()), few)
        many = self.counts(members([1] * 50), count=20000)
        self.assertEqual(len(many), 50)
        self.assertTrue(all(300 < count < 500 for count in many.values()), many)

    def fleet(self, slow: float) -> tuple[LeastResponseTime, list[Member]]:
        """Five at 10 ms, but the last one, which took `slow` seconds."""
        all_members = members([1] * 5)
        for member in all_members:
            member.latency.observe(0.010, 0.0)
        all_members[-1].latency.observe(slow, 0.0)
        strategy = LeastResponseTime(SPEC, Random(1))
        strategy.rebuild(all_members)
        return strategy, all_members

    def asked(self, strategy: LeastResponseTime, fleet: list[Member], seconds: float, count: int = 2000) -> list[int]:
        """The numbers of the requests, 5 ms after each other, that the last one got; it answers in `seconds`."""
        found = []
        for number in range(count):
            now = number * 0.005
            member = picked(strategy, now=now)
            if member is fleet[-1]:
                found.append(number)
            member.latency.observe(seconds if member is fleet[-1] else 0.010, now)
        return found

    def test_slowness_that_is_over_is_soon_forgiven(self) -> None:
        """The first good answer is followed up at once, and a few more make it one of them again: not 46 seconds, but
        as long as it takes until it is its turn to be looked at."""
        strategy, fleet = self.fleet(1.0)
        first, *more = self.asked(strategy, fleet, 0.009)
        self.assertLess(first, 2.0 * 5 / EXPLORE)
        self.assertEqual(more[: ENOUGH - 1], list(range(first + 1, first + ENOUGH)))
        self.assertGreater(len(more), 100)

    def test_slowness_that_lasts_is_not(self) -> None:
        """Who is slow still is asked by the exploration floor, and never twice for that."""
        strategy, fleet = self.fleet(1.0)
        found = self.asked(strategy, fleet, 0.2)
        self.assertGreater(len(found), 2)
        self.assertLess(len(found), 2.0 * 2000 * EXPLORE / 5)

    def test_one_at_a_time(self) -> None:
        """While it is asked again, others wait for no second proof; and no retry is spent on it."""
        strategy, fleet = self.fleet(1.0)
        last = fleet[-1]
        picked(strategy)
        last.latency.observe(0.009, 0.0)
        self.assertIs(picked(strategy), last)
        self.assertIsNot(picked(strategy, tried=fleet[:1]), last)
        last.in_flight = 1
        self.assertNotIn(last, [picked(strategy) for _ in range(int(0.4 / EXPLORE))])

    def test_a_little_slower_is_not_asked_again(self) -> None:
        """Up to twice the median there is nothing to forgive: it gets requests when the others have some."""
        strategy, fleet = self.fleet(0.010 * SHUNNED)
        picked(strategy)
        self.assertEqual(fleet[-1].latency.bar, 0.0)

    def test_everybody_is_looked_at(self) -> None:
        """The floor reaches each of a few in turn: nobody waits for luck."""
        strategy, _ = self.fleet(1.0)
        turns = [number for number in range(round(20 * 5 / EXPLORE)) if picked(strategy).record.id == "m4"]
        gaps = [after - before for before, after in pairwise(turns)]
        self.assertGreater(len(gaps), 14)
        self.assertTrue(all(0.5 <= gap * EXPLORE / 5 <= 1.5 for gap in gaps), gaps)
