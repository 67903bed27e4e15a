"""The proxies, as they are set up for the benchmark of speed; wmesh with a breaker that does not open.

The instance gives one bad answer after another, and what is asked is how each of them is read. The others have neither
breaker nor checks in their settings.
"""

from __future__ import annotations

import sys

from bench.peers.base import Peer, Site
from bench.peers.caddy import Caddy
from bench.peers.envoy import Envoy
from bench.peers.haproxy import HAProxy
from bench.peers.nginx import Nginx
from bench.peers.traefik import Traefik
from bench.peers.wmesh import CONFIG, ROOT, Wmesh
from bench.process import Launch

PASS_HOST = "            proxy_set_header Host $host$is_request_port$request_port;"
"""Without it, nginx tells instances the name of its own upstream block."""

PATIENT = """\
health_check_enabled = no
circuit_breaker_failures = 1000000
"""


class WmeshForConformance(Wmesh):
    def launch(self, binary: str, site: Site) -> Launch:
        text = CONFIG.format(port=site.port, instances=", ".join(site.addresses())) + PATIENT
        argv = (sys.executable, binary, "-n", "--pidfile=", "wmesh", "--config", site.write("mesh.ini", text))
        return Launch(argv, {"PYTHONPATH": str(ROOT)})


_ALL: tuple[Peer, ...] = (WmeshForConformance(), HAProxy(), Nginx("nginx", "", PASS_HOST), Envoy(), Traefik(), Caddy())

PROXIES = {peer.name: peer for peer in _ALL}
