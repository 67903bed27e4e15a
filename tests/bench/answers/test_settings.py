"""What the proxies are told: their port, both instances, patience; ours is a mesh.ini without a problem."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import TestCase

from bench.answers.__main__ import GROUPS, options
from bench.answers.settings import PROXIES
from bench.peers.base import Site
from tests.bench.scratch import scratch
from wmesh.config.parse import load


class Settings(TestCase):
    def written(self, name: str) -> tuple[str, Path]:
        site = Site(18000, (18001, 18002), scratch(self), 64, 256)
        launch = PROXIES[name].launch("/somewhere/binary", site)
        return " ".join(launch.argv) + "".join(path.read_text() for path in site.directory.iterdir()), site.directory

    def test_everyone_hears_of_all_ports_and_of_patience(self) -> None:
        for name in PROXIES:
            told, _ = self.written(name)
            for word in ("18000", "18001", "18002", "0.3s" if name == "envoy" else "300ms"):
                self.assertIn(word, told, name)

    def test_ours_has_no_problem(self) -> None:
        [spec] = load(str(self.written("wmesh")[1] / "mesh.ini"), {}).config.services
        self.assertFalse(spec.check.enabled)

    def test_nobody_repeats_a_post_that_was_sent(self) -> None:
        self.assertIn("disable-l7-retry if METH_POST", self.written("haproxy")[0])
        self.assertNotIn("non_idempotent", self.written("nginx")[0])
        found = json.loads((self.written("envoy")[1] / "envoy.json").read_text())
        manager = found["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        [posts, others] = manager["route_config"]["virtual_hosts"][0]["routes"]
        self.assertEqual(posts["match"]["headers"][0]["string_match"], {"exact": "POST"})
        self.assertNotIn(",reset,", f",{posts['route']['retry_policy']['retry_on']},")
        self.assertIn(",reset,", f",{others['route']['retry_policy']['retry_on']},")

    def test_nginx_keeps_asking_the_bad_one(self) -> None:
        self.assertEqual(self.written("nginx")[0].count("max_fails=0"), 2)


class CommandLine(TestCase):
    def test_defaults(self) -> None:
        chosen = options().parse_args([])
        self.assertEqual((chosen.only, chosen.peers), (list(GROUPS), ["wmesh", "nginx", "haproxy", "envoy"]))
