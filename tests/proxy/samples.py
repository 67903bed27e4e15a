"""Routes as tests of single parts of the proxy need them: compiled, of the service that `a_spec` makes.

Whole planes, with sockets and instances, are in `support.py`.
"""

from __future__ import annotations

from typing import Any

from tests.cluster.samples import FirstUntried, a_spec
from wmesh.cluster.cluster import Cluster
from wmesh.metrics.traffic import Traffic
from wmesh.model import RouteSpec
from wmesh.proxy.plan import Plan


def plan(prefix: str, **changes: Any) -> Plan:
    spec = a_spec(**changes)
    return Plan(spec, RouteSpec("", prefix), Cluster(spec, lambda spec: FirstUntried()), Traffic(), None)
