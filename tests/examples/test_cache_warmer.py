"""Rounds: jittered, never two at once, errors written down."""

from random import Random

from cache_warmer import AT_ONCE, FIRST_SECONDS, JITTER, CacheWarmer, Rounds
from mesh_client import Answer
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from tests.examples.support import Exchange, TableMesh, get

SKUS = ("1", "2", "3", "4")


class CacheWarmerTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.mesh = TableMesh({f"/walmart-pricing/api/price/{sku}": {} for sku in SKUS})
        self.rounds = Rounds(self.mesh, self.clock, Random(1), 10.0, SKUS, self.clock.seconds)
        self.service = CacheWarmer(self.rounds)
        self.api = self.service.api

    def test_rounds(self):
        """The first round comes soon, the next ones after the interval, give or take the jitter."""
        self.service.start()
        self.clock.advance(FIRST_SECONDS * (1 + JITTER))
        self.assertEqual((self.rounds.count, len(self.mesh.asked)), (1, 4))
        self.clock.advance(10 * (1 - JITTER) - 0.1)
        self.assertEqual(self.rounds.count, 1)
        self.clock.advance(10 * 2 * JITTER + 0.1)
        self.assertEqual(self.rounds.count, 2)

    def test_few_at_once_and_one_round_at_a_time(self):
        """Slow answers hold the next questions back, and a round asked for meanwhile is the one that runs."""
        slow = Deferred()
        for sku in SKUS:
            self.mesh.table[f"/walmart-pricing/api/price/{sku}"] = slow
        self.assertEqual(Exchange(self.api, "POST", "/api/warm").json, {"round": 1, "begun": True})
        self.assertEqual(len(self.mesh.asked), AT_ONCE)
        answer = Exchange(self.api, "POST", "/api/warm")
        self.assertEqual((answer.status, answer.json), (202, {"round": 1, "begun": False}))

    def test_report(self):
        """Each price shows its last status, age and latency, and what the cache said of it."""
        waiting = Deferred()
        self.mesh.table["/walmart-pricing/api/price/1"] = waiting
        Exchange(self.api, "POST", "/api/warm")
        self.clock.advance(0.25)
        waiting.callback(Answer({}, Headers({"Cache-Status": ["wmesh; hit"]})))
        self.clock.advance(3.0)
        report = get(self.api, "/api/warmed").json
        one = report["prices"]["1"]
        self.assertEqual((one["status"], one["age_seconds"], one["latency_ms"]), (200, 3.0, 250.0))
        self.assertEqual((one["cache"], one["warmed"], one["errors"]), ("wmesh; hit", 1, 0))
        self.assertEqual((report["round"], report["running"]), (1, False))

    def test_errors(self):
        """A price that cannot be had is counted with its reason, keeps its age, and spares the others."""
        Exchange(self.api, "POST", "/api/warm")
        del self.mesh.table["/walmart-pricing/api/price/2"]
        self.clock.advance(1.0)
        Exchange(self.api, "POST", "/api/warm")
        prices = get(self.api, "/api/warmed").json["prices"]
        self.assertEqual((prices["2"]["status"], prices["2"]["errors"], prices["2"]["age_seconds"]), (503, 1, 1.0))
        self.assertIn("nobody there", prices["2"]["last_error"])
        self.assertEqual((prices["3"]["status"], prices["3"]["warmed"]), (200, 2))

    def test_stop(self):
        """After the stop nothing is planned, also not by a round that ends later."""
        self.service.start()
        self.rounds.round()
        self.successResultOf(self.service.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.rounds.round())
