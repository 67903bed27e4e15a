"""Tests of wmesh.cluster.outlier: who stands out, in fleets of one and of many, and how many can be spared."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import a_member
from wmesh.cluster.member import Member
from wmesh.cluster.outlier import outliers, spare
from wmesh.model import AdminState, Health, OutlierSpec

SPEC = OutlierSpec(min_calls=10, error_rate=30.0, latency_factor=10)


def seen(id: str, calls: int, failures: int = 0, seconds: float = 0.01, now: float = 0.0) -> Member:
    """A member of which so much was seen."""
    member = a_member(id)
    assert member.breaker is not None
    for number in range(calls):
        member.breaker.window.add(number < failures, False, seconds, now)
    return member


class OutlierTests(SynchronousTestCase):
    def found(self, *members: Member, spec: OutlierSpec = SPEC, now: float = 1.0) -> dict[str, str]:
        return {member.record.id: reason for member, reason in outliers(members, spec, now)}

    def test_worse_than_its_peers(self) -> None:
        """In a fleet of two as well as in one of fifty, the one that fails where others do not stands out."""
        for count in (1, 49):
            good = [seen(f"g{number}", 20) for number in range(count)]
            found = self.found(*good, seen("bad", 20, 8))
            self.assertEqual(found, {"bad": "40% of 20 calls failed, where 0% are of its peers'"})

    def test_trouble_that_all_have(self) -> None:
        """A dependency that is down makes everybody fail, and takes nobody out."""
        self.assertEqual(self.found(*(seen(f"m{n}", 20, 18) for n in range(5))), {})

    def test_the_margin_is_in_percentage_points(self) -> None:
        """29 points above the others is not yet enough; 30 are."""
        good = seen("good", 100, 10)
        self.assertEqual(self.found(good, seen("m", 100, 39)), {})
        self.assertEqual(list(self.found(good, seen("m", 100, 40))), ["m"])

    def test_too_little_was_seen(self) -> None:
        """Nine calls prove nothing, however they ended; nor do those that have left the window."""
        good = seen("good", 100)
        self.assertEqual(self.found(good, seen("m", 9, 9)), {})
        self.assertEqual(self.found(good, seen("m", 20, 20), now=30.0), {})

    def test_alone_it_is_compared_with_its_own_past(self) -> None:
        """A lone instance that always failed a third is as usual; one that was well until now stands out."""
        lone = seen("lone", 20, 9)
        lone.ejection.usual = 33.0
        self.assertEqual(self.found(lone), {})
        lone.ejection.usual = 0.0
        self.assertEqual(self.found(lone), {"lone": "45% of 20 calls failed, where 0% are usual here"})

    def test_what_is_usual_is_learnt_slowly(self) -> None:
        """A rate that is borne becomes usual with time, but not by one look."""
        lone = seen("lone", 20, 4)
        self.found(lone)
        self.assertAlmostEqual(lone.ejection.usual, 0.2)
        for _ in range(1000):
            self.found(lone)
        self.assertGreater(lone.ejection.usual, 19.0)

    def test_slower_than_its_peers(self) -> None:
        """Ten times the middle, and slower by what anybody would notice."""
        quick = [seen(f"q{number}", 20, seconds=0.05) for number in range(3)]
        for peers in (quick, quick[:1]):
            found = self.found(*peers, seen("slow", 20, seconds=0.51))
            self.assertEqual(found, {"slow": "answers take 0.51 s, where 0.05 s is the middle of its peers"})
        self.assertEqual(self.found(*quick, seen("slow", 20, seconds=0.49)), {})
        faster = [seen(f"f{number}", 20, seconds=0.001) for number in range(3)]
        self.assertEqual(self.found(*faster, seen("slow", 20, seconds=0.2)), {}, "0.2 s is no harm")
        off = OutlierSpec(min_calls=10, latency_factor=0)
        self.assertEqual(self.found(*quick, seen("slow", 20, seconds=5.0), spec=off), {})

    def test_alone_nobody_is_slow(self) -> None:
        """Latency has no meaning without somebody to compare with."""
        self.assertEqual(self.found(seen("lone", 20, seconds=30.0)), {})


class SpareTests(SynchronousTestCase):
    def left(self, *members: Member, most: float = 50.0) -> int:
        return spare(members, OutlierSpec(max_ejected=most), 0.0)

    def test_the_floor(self) -> None:
        """Half may go, and one always stays, whatever the share says."""
        for count, most, left in (
            (1, 50.0, 0), (1, 100.0, 0), (2, 50.0, 1), (3, 50.0, 1), (5, 50.0, 2), (10, 50.0, 5),
            (10, 100.0, 9), (10, 0.0, 0), (3, 10.0, 0), (500, 10.0, 50), (0, 50.0, 0),
        ):  # fmt: skip
            self.assertEqual(self.left(*(a_member(f"m{n}") for n in range(count)), most=most), left, (count, most))

    def test_who_is_out_already_counts(self) -> None:
        """Those whom checks took out are missing as much as those whom traffic did."""
        well = [a_member(f"m{number}") for number in range(4)]
        sick = [a_member(f"s{number}", health=Health.UNHEALTHY) for number in range(4)]
        self.assertEqual(self.left(*well, *sick), 0)
        self.assertEqual(self.left(*well, *sick[:2]), 1)

    def test_who_is_starting_or_drained_does_not(self) -> None:
        """An old fleet that is drained beside the new one does not protect the new one's bad instances."""
        well = [a_member(f"m{number}") for number in range(4)]
        drained = [a_member(f"d{number}") for number in range(9)]
        for member in drained:
            member.admin = AdminState.DRAIN
        starting = [a_member(f"u{number}", health=Health.UNKNOWN) for number in range(9)]
        self.assertEqual(self.left(*well, *drained, *starting), 2)
