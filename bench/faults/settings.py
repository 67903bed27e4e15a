"""The proxies, set up as their own manuals advise for instances that fail. One setting for all scenarios.

The same for all: checks of /health every second, 500 ms patience, three failures out, two successes in (Envoy takes an
instance out at the first unexpected status: that cannot be told otherwise); quicker checks while the state changes,
where there are any; 500 ms to connect, 1 s to the first byte of an answer; GET is tried at most four times in all
(wmesh: three), elsewhere each time; at most eight requests at once to one instance, the others wait in line for at
most 500 ms, where there is a line; the least loaded instance is chosen among all; an instance that joins or comes back
gets its share over 1 s, where that can be had and does good (to HAProxy it makes no difference, nor do 4 s: of idle
instances its `leastconn` takes each in turn, whatever their weights).

wmesh takes an instance out by its traffic for 1 s each time. Envoy does so for 2 s, and longer each time: with 1 s, it
came back no sooner where it mattered, and twice as many requests failed in `reset`.

Envoy has a slow start and is not told to use it: with it, a slow or hanging instance got three times as many requests,
which cost its clients more in `slow` and `hang` than it saved them in `cold`.
"""

from __future__ import annotations

from bench.faults.scenarios import INSTANCES
from bench.peers.base import Peer, Site
from bench.peers.envoy import Envoy
from bench.peers.haproxy import HAProxy
from bench.peers.wmesh import Wmesh, gateway
from bench.process import Launch

AT_ONCE = 8

WMESH = """\
[gateway]
listen = tcp:{port}:backlog=1024:interface=127.0.0.1
admin_listen =

[registry]
url = memory:

[service:instances]
instances = {instances}
routes = /
strip_prefix = no
load_balancing_strategy = least_response_time
health_endpoint = /health
health_check_interval = 1s
health_check_fast_interval = 250ms
health_check_timeout = 500ms
health_check_retries = 3
health_check_rise = 2
instance_max_connections = {at_once}
queue_length = 1000
queue_timeout = 500ms
slow_start = 1s
circuit_breaker_ramp = 1s
outlier_consecutive = 3
outlier_ejection_time = 1s
outlier_max_ejection_time = 1s
retry_statuses = 500-599
timeout_connect = 500ms
timeout_first_byte = 1s
"""

HAPROXY = """\
global
    nbthread 1
    maxconn 4096
    no insecure-fork-wanted

defaults
    mode http
    timeout connect 500ms
    timeout client 30s
    timeout server 1s
    timeout queue 500ms
    timeout check 500ms
    timeout http-keep-alive 60s
    http-reuse always
    retries 3
    # On every retry, not only on the last.
    option redispatch 1
    retry-on all-retryable-errors
    option abortonclose

frontend public
    bind 127.0.0.1:{port} backlog 1024
    # HAProxy has no panic threshold; its manual has nbsrv() for this.
    use_backend unchecked if {{ nbsrv(instances) eq 0 }}
    default_backend instances

backend instances
    balance leastconn
    option httpchk GET /health
    http-check expect status 200
    default-server check inter 1s fastinter 250ms fall 3 rise 2
    default-server observe layer7 error-limit 5 on-error mark-down on-marked-down shutdown-sessions
    default-server slowstart 1s maxconn {at_once}
{servers}

backend unchecked
    balance leastconn
    default-server maxconn {at_once}
{servers}
"""


class WmeshForFaults(Wmesh):
    def launch(self, binary: str, site: Site) -> Launch:
        text = WMESH.format(port=site.port, instances=", ".join(site.addresses()), at_once=AT_ONCE)
        return gateway(binary, site.write("mesh.ini", text))


class HAProxyForFaults(HAProxy):
    def launch(self, binary: str, site: Site) -> Launch:
        servers = "\n".join(f"    server i{number} {address}" for number, address in enumerate(site.addresses()))
        text = HAPROXY.format(port=site.port, servers=servers, at_once=AT_ONCE)
        return Launch((binary, "-db", "-f", site.write("haproxy.cfg", text)))


class EnvoyForFaults(Envoy):
    remark = ""

    def config(self, site: Site) -> dict[str, object]:
        return envoy(site)


def envoy(site: Site) -> dict[str, object]:
    """The bootstrap configuration (JSON is YAML)."""
    extensions = "type.googleapis.com/envoy.extensions"
    retries = {
        "retry_on": "5xx,reset,connect-failure,refused-stream",
        "num_retries": 3,
        "per_try_timeout": "1s",
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": f"{extensions}.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
            }
        ],
        "host_selection_retry_max_attempts": 5,
    }
    route = {"cluster": "instances", "timeout": "3s", "retry_policy": retries}
    connection = {
        "@type": f"{extensions}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "public",
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]},
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{extensions}.filters.http.router.v3.Router"},
            }
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": connection}]
    cluster = {
        "name": "instances",
        "type": "STATIC",
        "connect_timeout": "0.5s",
        "load_balancing_policy": {
            "policies": [
                {
                    "typed_extension_config": {
                        "name": "envoy.load_balancing_policies.least_request",
                        "typed_config": {
                            "@type": f"{extensions}.load_balancing_policies.least_request.v3.LeastRequest",
                            "selection_method": "FULL_SCAN",
                        },
                    }
                }
            ]
        },
        "health_checks": [
            {
                "timeout": "0.5s",
                "interval": "1s",
                "no_traffic_interval": "1s",
                "unhealthy_threshold": 3,
                "healthy_threshold": 2,
                "http_health_check": {"path": "/health"},
            }
        ],
        "outlier_detection": {
            "consecutive_5xx": 5,
            "consecutive_gateway_failure": 5,
            "enforcing_consecutive_gateway_failure": 100,
            "interval": "1s",
            "base_ejection_time": "2s",
            "max_ejection_time": "30s",
            "max_ejection_percent": 50,
            "failure_percentage_threshold": 50,
            "enforcing_failure_percentage": 100,
            "failure_percentage_minimum_hosts": 3,
            "failure_percentage_request_volume": 10,
            # Or a health endpoint that says OK would call back an instance whose requests fail.
            "successful_active_health_check_uneject_host": False,
        },
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": 1024,
                    "max_pending_requests": 60,
                    "max_requests": INSTANCES * AT_ONCE,
                    "retry_budget": {"budget_percent": {"value": 50.0}, "min_retry_concurrency": 10},
                }
            ],
            "per_host_thresholds": [{"max_connections": AT_ONCE}],
        },
        "load_assignment": {
            "cluster_name": "instances",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}} for port in site.instances]}],
        },
    }
    listener = {"name": "public", "address": _address(site.port), "filter_chains": [{"filters": filters}]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


_ALL: tuple[Peer, ...] = (WmeshForFaults(), HAProxyForFaults(), EnvoyForFaults())

PROXIES = {peer.name: peer for peer in _ALL}
