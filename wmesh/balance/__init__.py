"""How an instance is chosen: one strategy a file, and the table of their names.

A strategy sees only members that may take a request (the cluster hands them over when that set changes) and picks one.
Chance comes in as a `random.Random`, options as the service's `ServiceSpec`. To add one here: write a file, name it in
STRATEGIES, test it (tests/balance, and tests/properties for all of them), bench it. Anybody else adds one as a package
of his own: docs/strategies.rst.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from wmesh.balance.consistent_hash import ConsistentHash
from wmesh.balance.fill_first import FillFirst
from wmesh.balance.ip_hash import IpHash
from wmesh.balance.least_connections import LeastConnections
from wmesh.balance.least_response_time import LeastResponseTime
from wmesh.balance.power_of_two import PowerOfTwo
from wmesh.balance.random_choice import RandomChoice
from wmesh.balance.resource_based import ResourceBased
from wmesh.balance.round_robin import RoundRobin
from wmesh.balance.weighted_round_robin import WeightedRoundRobin
from wmesh.interfaces import Strategy
from wmesh.model import ServiceSpec

MakeStrategy = Callable[[ServiceSpec, Random], Strategy]
"""Makes the strategy of one service; called once for each."""

STRATEGIES: Mapping[str, MakeStrategy] = {
    "round_robin": RoundRobin,
    "weighted_round_robin": WeightedRoundRobin,
    "least_connections": LeastConnections,
    "least_response_time": LeastResponseTime,
    "random": RandomChoice,
    "power_of_two": PowerOfTwo,
    "ip_hash": IpHash,
    "consistent_hash": ConsistentHash,
    "resource_based": ResourceBased,
    "first": FillFirst,
}
