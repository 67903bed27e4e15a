"""What each feature's service is told, and the page."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.features import FEATURES, Pair, Results, Row, mesh_ini, page
from wmesh.balance import STRATEGIES
from wmesh.config.parse import parse
from wmesh.model import ServiceSpec


class ConfigurationTests(SynchronousTestCase):
    def specs(self) -> dict[str, ServiceSpec]:
        loaded = parse(mesh_ini(18000, (18001, 18002), FEATURES, 0), "mesh.ini", {})
        return {spec.name: spec for spec in loaded.config.services}

    def test_plain_is_without_everything(self) -> None:
        plain = self.specs()["plain"]
        self.assertEqual((plain.retry.attempts, plain.queue.length, plain.max_connections), (0, 0, 0))
        self.assertEqual((plain.breaker.enabled, plain.outlier.enabled, plain.check.enabled), (False, False, False))

    def test_each_feature_is_there_alone(self) -> None:
        specs = self.specs()
        self.assertEqual(specs["retries"].retry.attempts, 2)
        self.assertFalse(specs["retries"].breaker.enabled)
        self.assertTrue(specs["breaker"].breaker.enabled)
        self.assertEqual(specs["breaker"].retry.attempts, 0)
        self.assertTrue(specs["sticky"].sticky.enabled)
        self.assertEqual(specs["timeout-varied"].timeout_request, 10.0)

    def test_default_is_what_comes(self) -> None:
        spec = self.specs()["default"]
        usual = ServiceSpec("default")
        self.assertEqual(
            (spec.retry, spec.breaker, spec.outlier, spec.queue, spec.max_connections),
            (usual.retry, usual.breaker, usual.outlier, usual.queue, usual.max_connections),
        )

    def test_every_strategy_is_there(self) -> None:
        self.assertEqual({spec.strategy for spec in self.specs().values()}, set(STRATEGIES))


class PageTests(SynchronousTestCase):
    def test_added_is_by_the_median_ratio(self) -> None:
        row = Row("x", "", [20.0, 40.0, 20.0], [22.0, 44.0, 40.0])
        self.assertEqual(round(row.added, 6), 2.0)

    def test_page(self) -> None:
        rows = [Row("nothing", "none"), Row("x", "it")]
        for pair, row in ((Pair(20, 19, 0.03), rows[0]), (Pair(20, 21, 0.01), rows[0]), (Pair(20, 24, 0.01), rows[1])):
            row.add(pair)
        text = page(Results("today", 2, 1, 0.5, rows))
        self.assertIn("+4.00", text)
        self.assertIn("1.200", text)
        self.assertIn("others took 1.0% of the gateway's core in the median pair, 3.0% in the worst", text)
