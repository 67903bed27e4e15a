"""Tests of wmesh.metrics.traffic."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from wmesh.metrics.traffic import Traffic, merged


class TrafficTests(SynchronousTestCase):
    def test_what_clients_got(self) -> None:
        """Answers by class, the share that no server is to blame for, and how long they took; plain JSON values."""
        traffic = Traffic()
        for status in (200, 201, 304, 404, 502):
            traffic.observe(status, 0.010)
        traffic.retries += 3
        traffic.retries_denied += 5
        traffic.queued += 4
        traffic.refused += 1
        traffic.expired += 6
        traffic.fallbacks += 7
        traffic.hedges, traffic.hedges_won, traffic.hedges_denied = 8, 6, 9
        traffic.aborted += 2
        described = traffic.describe()
        self.assertEqual(json.loads(json.dumps(described)), described)
        latency = described.pop("latency_ms")
        self.assertEqual(
            described,
            {
                "requests_total": 7,
                "successes": 4,
                "failures": 1,
                "success_rate": 0.8,
                "responses": {"1xx": 0, "2xx": 2, "3xx": 1, "4xx": 1, "5xx": 1},
                "retries": 3,
                "retries_denied": 5,
                "queued": 4,
                "refused": 1,
                "expired": 6,
                "fallbacks": 7,
                "hedges": 8,
                "hedges_won": 6,
                "hedges_denied": 9,
                "aborted": 2,
            },
        )
        self.assertEqual(set(latency), {"p50", "p90", "p95", "p99", "mean"})
        self.assertEqual(latency["mean"], 10.0)
        self.assertTrue(8.0 <= latency["p50"] <= latency["p99"] <= 10.0, latency)

    def test_before_the_first_request(self) -> None:
        """Nothing happened yet is told as zero where it is counted, and as unknown where it is measured."""
        described = Traffic().describe()
        self.assertEqual((described["requests_total"], described["success_rate"]), (0, None))
        self.assertEqual(set(described["latency_ms"].values()), {None})

    def test_any_three_digits_can_be_counted(self) -> None:
        """An instance that invents statuses does not stop the gateway."""
        traffic = Traffic()
        for status in (0, 99, 100, 599, 600, 999):
            traffic.observe(status, 0.001)
        self.assertEqual(traffic.requests, 6)

    def test_services_add_up(self) -> None:
        """The totals of the mesh are those of its services, which stay as they are."""
        one, other = Traffic(), Traffic()
        one.observe(200, 0.1)
        other.observe(503, 0.3)
        other.refused = 1
        one.hedges = other.hedges_won = 3
        one.hedges_denied = 5
        one.retries_denied = other.retries_denied = one.expired = other.fallbacks = 2
        whole = merged([one, other])
        self.assertEqual((whole.requests, whole.refused, whole.success_rate), (2, 1, 0.5))
        self.assertEqual((whole.retries_denied, whole.expired, whole.fallbacks), (4, 2, 2))
        self.assertEqual((whole.hedges, whole.hedges_won, whole.hedges_denied), (3, 3, 5))
        self.assertAlmostEqual(whole.latency.mean, 0.2)
        self.assertEqual((one.requests, one.refused), (1, 0))
