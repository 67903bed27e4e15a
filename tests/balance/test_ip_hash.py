"""Tests of wmesh.balance.ip_hash; where keys go is tested with wmesh.balance.rendezvous."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import SPEC, members
from wmesh.balance.ip_hash import IpHash


class IpHashTests(SynchronousTestCase):
    def test_a_client_stays(self) -> None:
        """A client comes back to its instance, whatever the load; its retry always goes to the same second one."""
        fleet = members([1] * 5)
        strategy = IpHash(SPEC, Random(1))
        strategy.rebuild(fleet)
        for client in (b"10.0.0.1", b"2001:db8::1", b"unix"):
            home = strategy.pick(client, (), 0.0)
            assert home is not None
            home.in_flight = 1000
            second = strategy.pick(client, [home], 0.0)
            for _ in range(3):
                self.assertIs(strategy.pick(client, (), 0.0), home)
                self.assertIs(strategy.pick(client, [home], 0.0), second)
            strategy.rebuild([member for member in fleet if member is not home])
            self.assertIs(strategy.pick(client, (), 0.0), second)
            strategy.rebuild(fleet)
            self.assertIs(strategy.pick(client, (), 0.0), home)

    def test_scores_say_whose_a_client_is(self) -> None:
        """The lowest score is the pick, and the words tell everybody's part."""
        fleet = members([1, 3])
        strategy = IpHash(SPEC, Random(1))
        strategy.rebuild(fleet)
        scores = strategy.scores(b"10.0.0.1", 0.0)
        self.assertIs(min(scores, key=lambda entry: entry[1])[0], strategy.pick(b"10.0.0.1", (), 0.0))
        self.assertIn("75.0% of all clients", scores[1][2])
