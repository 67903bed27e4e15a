"""The proxies as they are set up for the benchmark of speed, and as strict besides as their manuals say they can be.

- wmesh: a breaker that does not open, no checks. The instance gives one bad answer after another, and what is asked is
  how each of them is read; the others have neither breaker nor checks in their settings.
- HAProxy: strict by default (`option accept-invalid-http-request` would relax it), and told to drop fields whose names
  have signs that gateway interfaces confuse (`option http-restrict-req-hdr-names delete`).
- nginx: told to pass on the client's Host, and given a name for requests without one; it drops bad field names by
  default, those with underscores among them.
- Envoy: its list for the edge ("Configuring Envoy as an edge proxy"), where it concerns what is read: the client's
  address is its own finding, names with underscores dropped, paths put in order.
- Traefik puts paths in order by default. Neither it nor Caddy can be told to be stricter with what the vectors ask.
"""

from __future__ import annotations

from bench.peers.base import Peer, Site
from bench.peers.caddy import Caddy
from bench.peers.envoy import Envoy, config
from bench.peers.haproxy import CONFIG as HAPROXY
from bench.peers.haproxy import HAProxy
from bench.peers.nginx import Nginx
from bench.peers.traefik import Traefik
from bench.peers.wmesh import CONFIG, Wmesh, gateway
from bench.process import Launch

PASS_HOST = "            proxy_set_header Host $host$is_request_port$request_port;"
"""Without it, nginx tells instances the name of its own upstream block."""
NAMED = "        server_name bench.test;"
"""What `$host` is where the client named nobody."""

PATIENT = """\
health_check_enabled = no
circuit_breaker_failures = 1000000
"""


class WmeshForConformance(Wmesh):
    def launch(self, binary: str, site: Site) -> Launch:
        text = CONFIG.format(port=site.port, instances=", ".join(site.addresses())) + PATIENT
        return gateway(binary, site.write("mesh.ini", text))


class HAProxyForConformance(HAProxy):
    config = HAPROXY.replace(
        "    default_backend", "    option http-restrict-req-hdr-names delete\n    default_backend"
    )


class EnvoyForConformance(Envoy):
    remark = ""

    def config(self, site: Site) -> dict[str, object]:
        return config(
            site,
            {
                "use_remote_address": True,
                "normalize_path": True,
                "merge_slashes": True,
                "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
                "common_http_protocol_options": {"headers_with_underscores_action": "DROP_HEADER"},
            },
        )


_ALL: tuple[Peer, ...] = (
    WmeshForConformance(),
    HAProxyForConformance(),
    Nginx("nginx", "", PASS_HOST, NAMED),
    EnvoyForConformance(),
    Traefik(),
    Caddy(),
)

PROXIES = {peer.name: peer for peer in _ALL}
