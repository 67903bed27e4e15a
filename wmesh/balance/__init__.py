"""How an instance is chosen: one strategy a file, and the table of their names.

A strategy sees only members that may take a request (the cluster hands them over when that set changes) and picks one.
Chance comes in as a `random.Random`. To add one: write a file, name it in STRATEGIES, test it, bench it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from wmesh.balance.least_connections import LeastConnections
from wmesh.balance.least_response_time import LeastResponseTime
from wmesh.balance.power_of_two import PowerOfTwo
from wmesh.balance.random_choice import RandomChoice
from wmesh.balance.round_robin import RoundRobin
from wmesh.balance.weighted_round_robin import WeightedRoundRobin
from wmesh.interfaces import Strategy

STRATEGIES: Mapping[str, Callable[[Random], Strategy]] = {
    "round_robin": RoundRobin,
    "weighted_round_robin": WeightedRoundRobin,
    "least_connections": LeastConnections,
    "least_response_time": LeastResponseTime,
    "random": RandomChoice,
    "power_of_two": PowerOfTwo,
}
