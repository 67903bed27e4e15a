"""Plans for those who name the service instead of asking the routes: programs with a mesh in themselves.

A mount is a place in somebody's paths below which one service is found. It is no route of the configuration, so its
plan is made when it is first asked for, and kept for the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from wmesh.model import RouteSpec
from wmesh.proxy.plan import Plan, Plans


class Mounts:
    """`names` are the services that can be named; `plans` makes theirs."""

    LIMIT = 256
    """Plans that are kept: where a program mounts a service may be for its clients to choose."""

    def __init__(self, plans: Plans, names: Iterable[str]) -> None:
        self._plans = plans
        self._specs = {name: replace(plans.specs[name], strip_prefix=True) for name in names}
        self._made: dict[tuple[str, str], Plan] = {}

    def plan(self, service: str, prefix: str = "") -> Plan:
        """`prefix` (ASCII) is where the service is mounted: it is taken off the path. KeyError: no such service."""
        plan = self._made.get((service, prefix))
        if plan is None:
            if len(self._made) >= self.LIMIT:
                self._made.clear()
            # A mounted service lives below its mount, whatever its own routes do.
            plan = self._made[service, prefix] = self._plans.plan(self._specs[service], RouteSpec("", prefix or "/"))
        return plan
