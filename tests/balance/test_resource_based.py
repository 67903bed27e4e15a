"""Tests of wmesh.balance.resource_based."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import SPEC, members, picked
from wmesh.balance import resource_based
from wmesh.balance.resource_based import BLACKOUT, EXPIRY, ResourceBased
from wmesh.cluster.member import Member
from wmesh.model import LoadSample

BEAT = 5.0


class ResourceBasedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 100.0

    def strategy(self, fleet: list[Member]) -> ResourceBased:
        strategy = ResourceBased(SPEC, Random(1))
        strategy.rebuild(fleet)
        return strategy

    def report(self, fleet: list[Member], cpus: Sequence[float | None], memories: Sequence[int] = ()) -> None:
        for place, member in enumerate(fleet):
            member.load = LoadSample(cpus[place], memories[place] << 20 if memories else None)
            member.load_since = self.now

    def counts(self, strategy: ResourceBased, count: int = 3000) -> Counter[str]:
        return Counter(picked(strategy, now=self.now).record.id for _ in range(count))

    def test_use_becomes_even_whatever_each_can_do(self) -> None:
        """An instance of half the speed ends with about half the requests, and shares neither swing nor run away."""
        fleet = members([1, 1, 1])
        strategy = self.strategy(fleet)
        costs = {"m0": 0.02, "m1": 0.02, "m2": 0.04}
        history = []
        for _ in range(40):
            counts = self.counts(strategy)
            history.append(counts["m2"] / 3000)
            self.now += BEAT
            self.report(fleet, [counts[member.record.id] * costs[member.record.id] + 2.0 for member in fleet])
        for part in history[10:]:
            self.assertTrue(0.16 < part < 0.28, history)

    def test_a_neighbour_is_seen(self) -> None:
        """An instance whose machine is busy with other things gets fewer requests, but still some."""
        fleet = members([1, 1, 1])
        strategy = self.strategy(fleet)
        for _ in range(12):
            self.now += BEAT
            self.report(fleet, [20.0, 20.0, 95.0])
            counts = self.counts(strategy)
        self.assertTrue(20 < counts["m2"] < 350, counts)

    def test_idle_noise_weighs_nothing(self) -> None:
        """Next to no CPU and still less are the same."""
        fleet = members([1, 1])
        strategy = self.strategy(fleet)
        for _ in range(12):
            self.now += BEAT
            self.report(fleet, [0.1, 0.4])
            counts = self.counts(strategy)
        self.assertGreater(counts["m1"], 1000)

    def test_memory(self) -> None:
        """Twice the usual memory is half the requests; less than usual is no advantage."""
        fleet = members([1, 1, 1, 1])
        strategy = self.strategy(fleet)
        self.report(fleet, [None] * 4, [100, 100, 10, 200])
        scores = {member.record.id: words for member, _, words in strategy.scores(b"", self.now)}
        self.assertIn("× 0.50 (CPU unknown, 200 MiB", scores["m3"])
        self.assertIn("× 1.00", scores["m2"])
        counts = self.counts(strategy)
        self.assertLess(counts["m3"], 0.7 * counts["m0"])

    def test_errors_count_as_use(self) -> None:
        """An instance that fails half of what it gets looks idle, and does not get more for it."""
        fleet = members([1, 1])
        strategy = self.strategy(fleet)
        counts = Counter({"m0": 0, "m1": 0})
        for _ in range(12):
            self.now += BEAT
            fleet[0].picks += 1000
            fleet[1].picks += 1000
            fleet[1].failures += 500
            self.report(fleet, [30.0, 20.0])
            counts = self.counts(strategy)
        self.assertLess(counts["m1"], 500, counts)

    def test_requests_in_flight_count_too(self) -> None:
        """Between two reports it is the requests under way that tell who is busy."""
        fleet = members([1, 1])
        strategy = self.strategy(fleet)
        self.report(fleet, [20.0, 20.0])
        fleet[0].in_flight = 5
        self.assertEqual(self.counts(strategy, 100), {"m1": 100})

    def test_old_reports_and_those_of_a_start_do_not_count(self) -> None:
        """What is older than three minutes says nothing, nor what an instance used while it started."""
        fleet = members([1, 1, 1])
        strategy = self.strategy(fleet)
        for _ in range(5):
            self.now += BEAT
            self.report(fleet, [10.0, 10.0, 95.0])
            self.counts(strategy, 100)
        self.now += EXPIRY
        counts = self.counts(strategy)
        self.assertGreater(counts["m2"], 850)
        self.assertTrue(all("no report" in words for _, _, words in strategy.scores(b"", self.now)))
        fleet[2].since = self.now
        self.now += BLACKOUT - 1.0
        self.report(fleet, [10.0, 10.0, 95.0])
        self.assertGreater(self.counts(strategy)["m2"], 850)

    def test_scores_look_at_each_once(self) -> None:
        """The median is found once for all, also before the first pick: requests wait while somebody asks why."""
        fleet = members([1] * 50)
        self.report(fleet, [20.0] * 50, [100] * 50)
        looks: list[Member] = []
        memory = resource_based._memory

        def looked(member: Member, now: float) -> float | None:
            looks.append(member)
            return memory(member, now)

        self.patch(resource_based, "_memory", looked)
        self.strategy(fleet).scores(b"", self.now)
        self.assertEqual(len(looks), 50)

    def test_scores_change_nothing(self) -> None:
        """Looking is free: a report is taken in by picks alone."""
        fleet = members([1, 1])
        looked, plain = self.strategy(fleet), self.strategy(fleet)
        self.report(fleet, [20.0, 90.0])
        for _ in range(5):
            looked.scores(b"", self.now)
        self.assertEqual(self.counts(looked), self.counts(plain))
