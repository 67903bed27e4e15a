"""Tests of wmesh.balance.rendezvous; its stability is held by tests.properties.test_balance."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import a_member, members
from wmesh.balance import rendezvous
from wmesh.balance.rendezvous import FEW, LONGEST, REMEMBERED, Circle, Rendezvous, rounded
from wmesh.cluster.member import Member

PROGRAM = """
from tests.cluster.samples import members
from wmesh.balance.rendezvous import Rendezvous
ranks = Rendezvous()
ranks.rebuild(members([1, 2, 3]))
print("".join(ranks.best(b"10.0.0.%d" % number).record.id[1] for number in range(200)))
"""


def keys(count: int) -> list[bytes]:
    return [b"10.%d.%d.%d" % (number >> 16, number >> 8 & 255, number & 255) for number in range(count)]


def a_circle(fleet: list[Member]) -> Circle:
    circle = Circle()
    circle.change(fleet)
    return circle


class RendezvousTests(SynchronousTestCase):
    def ranks(self, fleet: list[Member]) -> Rendezvous:
        ranks = Rendezvous()
        ranks.rebuild(fleet)
        return ranks

    def test_every_process_agrees(self) -> None:
        """Two gateways, and one before and after a restart, send a client to the same instance."""
        runs = {
            subprocess.run(
                [sys.executable, "-c", PROGRAM],
                env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
                capture_output=True,
                check=True,
            ).stdout
            for seed in ("1", "2")
        }
        self.assertEqual(len(runs), 1)
        self.assertEqual(len(set(runs.pop().strip())), 3)

    def test_keys_are_spread_by_share(self) -> None:
        """Nobody gets much more than its part, with equal weights, other ones, and a slow start."""
        for shares in ([1] * 2, [1] * 10, [1] * 100, [1, 2], [1, 2, 5], [1, 10], [0.1, 1, 1, 1]):
            fleet = members(shares)
            ranks = self.ranks(fleet)
            counts = Counter(ranks.best(key) for key in keys(20_000))
            for member in fleet:
                part = counts[member] / 20_000 / member.share * sum(shares)
                self.assertTrue(0.6 < part < 1.35, (shares, member.record.id, part))

    def test_the_score_is_what_counts(self) -> None:
        """Best, second best and so on are those of the lowest scores, whatever circles they are on."""
        fleet = members([1, 1, 2, 3, 3, 0.5])
        ranks = self.ranks(fleet)
        for key in keys(50):
            scores = ranks.scores(key)
            order = sorted(fleet, key=scores.__getitem__)
            found: list[Member] = []
            while (member := ranks.best(key, found)) is not None:
                found.append(member)
            self.assertEqual(found, order)
            self.assertIs(ranks.best(key), order[0])

    def test_how_it_came_about_does_not_matter(self) -> None:
        """A gateway that saw members come and go one by one, and one that saw all at once, have the same circle."""
        fleet = sorted(members([1] * 60), key=lambda member: member.record.id)
        changed = a_circle(fleet[:40])
        for step in (fleet[5:45], fleet[5:60], fleet[:60], fleet[10:50]):
            self.assertLessEqual(len(set(changed.members) ^ set(step)), 2 * FEW)
            changed.change(step)
            fresh = a_circle(step)
            self.assertEqual((changed.points, changed.owners), (fresh.points, fresh.owners))

    def test_equal_points_go_by_id(self) -> None:
        """Where two members have the same point, all gateways give it to the same one, in whatever order they came."""
        self.patch(rendezvous, "places", lambda name: [10, 20, 30, 40, 50, 60, 70, 80])
        one, other = a_member("a"), a_member("b")
        for first, second in ((one, other), (other, one)):
            circle = a_circle([first])
            circle.change([first, second])
            self.assertEqual(circle.owners, [one, other] * 8)
            circle.change([second])
            self.assertEqual(circle.owners, [second] * 8)

    def test_keys_that_are_remembered_are_bounded(self) -> None:
        """A million clients do not fill the memory, and who comes back is answered the same."""
        ranks = self.ranks(members([1, 1]))
        some = keys(REMEMBERED + 100)
        first = [ranks.best(key) for key in some]
        self.assertEqual(len(ranks._known), REMEMBERED)
        self.assertEqual([ranks.best(key) for key in some], first)
        large = bytes(LONGEST + 1)
        self.assertIsNotNone(ranks.best(large))
        self.assertNotIn(large, ranks._known)

    def test_weights_have_few_circles(self) -> None:
        """Small whole weights are exact, others within a sixteenth; a thousand weights make no thousand circles."""
        small = [float(weight) for weight in range(1, 17)]
        self.assertEqual([rounded(weight) for weight in small], small)
        weights = [number / 10 for number in range(1, 10_001)]
        self.assertTrue(all(abs(rounded(weight) - weight) <= weight / 16 for weight in weights))
        self.assertLess(len({rounded(weight) for weight in weights}), 120)

    def test_nobody(self) -> None:
        """Without members no key belongs anywhere."""
        ranks = self.ranks([])
        self.assertIsNone(ranks.best(b"x"))
        self.assertIsNone(ranks.best(b"x", members([1])))
