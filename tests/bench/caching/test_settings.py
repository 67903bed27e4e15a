"""The proxies are told to keep answers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.caching.settings import PROXIES
from bench.peers.base import Site
from tests.bench.scratch import scratch


class SettingsTests(SynchronousTestCase):
    def test_each_has_a_cache(self) -> None:
        """But the one that is there to be compared with."""
        for name, (file, words) in {
            "wmesh": ("mesh.ini", ["proxy_caching_enabled = yes"]),
            "nginx-cache": ("nginx.conf", ["proxy_cache_path", "proxy_cache kept;"]),
            "haproxy": ("haproxy.cfg", ["cache-use kept", "cache kept\n"]),
        }.items():
            directory = scratch(self)
            PROXIES[name].launch("binary", Site(8000, (8001,), directory, 10, 100))
            text = (directory / file).read_text()
            for word in words:
                self.assertIn(word, text, name)
        directory = scratch(self)
        PROXIES["nginx"].launch("binary", Site(8000, (8001,), directory, 10, 100))
        self.assertNotIn("proxy_cache", (directory / "nginx.conf").read_text())
