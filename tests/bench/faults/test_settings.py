"""What the proxies are told: their port, all instances, and the same figures; ours is a mesh.ini without a problem."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import TestCase

from bench.faults.__main__ import options
from bench.faults.scenarios import BAD, INSTANCES, SCENARIOS
from bench.faults.settings import PROXIES
from bench.peers.base import Site
from tests.bench.scratch import scratch
from wmesh.config.parse import load


class Settings(TestCase):
    def written(self, name: str) -> tuple[str, Path]:
        """All that it is told, and its directory."""
        ports = tuple(range(18001, 18001 + INSTANCES))
        site = Site(18000, ports, scratch(self), 4096, 8192)
        launch = PROXIES[name].launch("/somewhere/binary", site)
        self.assertIn("/somewhere/binary", launch.argv)
        return " ".join(launch.argv) + "".join(path.read_text() for path in site.directory.iterdir()), site.directory

    def test_everyone_hears_of_its_port_and_of_all_instances(self) -> None:
        for name in PROXIES:
            told, _ = self.written(name)
            for port in range(18000, 18001 + INSTANCES):
                self.assertIn(str(port), told, name)

    def test_everyone_checks_health(self) -> None:
        for name in PROXIES:
            self.assertIn("/health", self.written(name)[0], name)

    def test_ours_has_no_problem(self) -> None:
        [spec] = load(str(self.written("wmesh")[1] / "mesh.ini"), {}).config.services
        self.assertEqual(spec.strategy, "least_response_time")
        self.assertEqual((spec.check.interval, spec.check.fall, spec.check.rise), (1.0, 3, 2))

    def test_envoys_is_json(self) -> None:
        found = json.loads((self.written("envoy")[1] / "envoy.json").read_text())
        self.assertEqual(found["static_resources"]["clusters"][0]["outlier_detection"]["consecutive_5xx"], 5)


class Scenarios(TestCase):
    def test_names_are_keys(self) -> None:
        self.assertEqual([scenario.name for scenario in SCENARIOS.values()], list(SCENARIOS))

    def test_the_bad_one_is_what_differs(self) -> None:
        for scenario in SCENARIOS.values():
            self.assertTrue(not scenario.bad or set(scenario.during) == {BAD}, scenario.name)


class CommandLine(TestCase):
    def test_defaults(self) -> None:
        chosen = options().parse_args([])
        self.assertEqual((chosen.only, chosen.peers), (list(SCENARIOS), ["wmesh", "haproxy", "envoy"]))

    def test_lists(self) -> None:
        chosen = options().parse_args(["--only", "hang,cold", "--peers", "envoy", "--seconds", "3"])
        self.assertEqual((chosen.only, chosen.peers, chosen.seconds), (["hang", "cold"], ["envoy"], 3))
