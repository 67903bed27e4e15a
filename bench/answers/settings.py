"""The proxies, set up as their own manuals advise for answers that fail. The same for all faults.

The same for all: 300 ms to connect, to the first byte of an answer and between two; at most four attempts (wmesh:
three), each at another instance while there is one; retried are refused and lost connections, timeouts, answers that
are no HTTP, and 502 to 504; no breakers, no checks. A POST that an instance may have seen is not sent again: nginx and
wmesh hold this by default, HAProxy is told `http-request disable-l7-retry if METH_POST`, and Envoy has a route of its
own for POST, which retries only what was not sent.
"""

from __future__ import annotations

from bench.peers.base import Peer, Site
from bench.peers.envoy import Envoy
from bench.peers.envoy import config as plain_envoy
from bench.peers.haproxy import HAProxy
from bench.peers.nginx import Nginx
from bench.peers.wmesh import CONFIG as WMESH
from bench.peers.wmesh import Wmesh, gateway
from bench.process import Launch

PATIENCE_MS = 300

OURS = f"""\
health_check_enabled = no
circuit_breaker_failures = 1000000
outlier_detection = no
retry_budget_min = 1000
timeout_connect = {PATIENCE_MS}ms
timeout_first_byte = {PATIENCE_MS}ms
timeout_idle = {PATIENCE_MS}ms
"""

HAPROXY = f"""\
global
    nbthread 1
    maxconn {{connections}}
    no insecure-fork-wanted

defaults
    mode http
    timeout connect {PATIENCE_MS}ms
    timeout client 30s
    timeout server {PATIENCE_MS}ms
    timeout http-keep-alive 60s
    http-reuse safe
    retries 3
    # On every retry, not only on the last.
    option redispatch 1
    retry-on all-retryable-errors

frontend public
    bind 127.0.0.1:{{port}} backlog 1024
    http-request disable-l7-retry if METH_POST
    default_backend instances

backend instances
    balance roundrobin
{{servers}}
"""

NGINX_MORE = f"""\
            proxy_connect_timeout {PATIENCE_MS}ms;
            proxy_send_timeout {PATIENCE_MS}ms;
            proxy_read_timeout {PATIENCE_MS}ms;
            proxy_request_buffering off;
            proxy_next_upstream error timeout invalid_header http_502 http_503 http_504;
            proxy_next_upstream_tries 4;"""


class WmeshForAnswers(Wmesh):
    def launch(self, binary: str, site: Site) -> Launch:
        text = WMESH.format(port=site.port, instances=", ".join(site.addresses())) + OURS
        return gateway(binary, site.write("mesh.ini", text))


class HAProxyForAnswers(HAProxy):
    config = HAPROXY


class NginxForAnswers(Nginx):
    # Or the first failure would put the bad instance away for ten seconds, and nothing would be asked of it.
    server_line = "        server {address} max_fails=0;"

    def __init__(self) -> None:
        super().__init__("nginx", "", NGINX_MORE)


class EnvoyForAnswers(Envoy):
    remark = ""

    def config(self, site: Site) -> dict[str, object]:
        seconds = f"{PATIENCE_MS / 1000}s"
        unsent = "connect-failure,refused-stream,reset-before-request"
        routes = [
            {
                "match": {"prefix": "/", "headers": [{"name": ":method", "string_match": {"exact": "POST"}}]},
                "route": _route(unsent, seconds),
            },
            {"match": {"prefix": "/"}, "route": _route(f"{unsent},gateway-error,reset", seconds)},
        ]
        more = {"route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}}
        return plain_envoy(site, more, connect_timeout=seconds)


def _route(retry_on: str, seconds: str) -> dict[str, object]:
    extensions = "type.googleapis.com/envoy.extensions"
    previous = {
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {"@type": f"{extensions}.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
    }
    retries = {
        "retry_on": retry_on,
        "num_retries": 3,
        "per_try_timeout": seconds,
        "per_try_idle_timeout": seconds,
        "retry_host_predicate": [previous],
        "host_selection_retry_max_attempts": 5,
    }
    return {"cluster": "instances", "timeout": "3s", "idle_timeout": "1s", "retry_policy": retries}


_ALL: tuple[Peer, ...] = (WmeshForAnswers(), NginxForAnswers(), HAProxyForAnswers(), EnvoyForAnswers())

PROXIES = {peer.name: peer for peer in _ALL}
