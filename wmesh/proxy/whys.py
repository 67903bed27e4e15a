"""Answers to "where would this request go, and why?" and "what became of that one?", for the admin side.

Nothing is sent anywhere: the request is put together, read as any client's would be, and led up to the pick.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wmesh.cluster.directory import Directory
from wmesh.cluster.explain import explain
from wmesh.errors import ControlError, WireError
from wmesh.model import ServiceSpec
from wmesh.proxy.decisions import find, recent
from wmesh.proxy.plan import UNKEYED, Plan
from wmesh.proxy.plane import DataPlane
from wmesh.wire.forwarded import Peers
from wmesh.wire.request import RequestHead, read_request


class Whys:
    """`wall` answers seconds since 1970, `effective` the options that a route may have, as they are in a service."""

    def __init__(
        self,
        plane: DataPlane,
        directory: Directory,
        wall: Callable[[], float] = time.time,
        effective: Callable[[ServiceSpec], Mapping[str, str]] = lambda spec: {},
    ) -> None:
        self._effective = effective
        self._plane = plane
        self._directory = directory
        self._wall = wall
        spec = plane.spec
        self._peers = Peers(spec.trusted_proxies, b"http", spec.forwarded_header)

    def service(self, name: str, client: str) -> dict[str, Any]:
        """What a pick would be now, by the client's address alone. Fails with ControlError for an unknown service."""
        cluster = self._directory.clusters.get(name)
        if cluster is None:
            raise ControlError(f"there is no service {name!r}", 404)
        key = b"" if cluster.spec.strategy in UNKEYED else client.encode("ascii", "replace")
        return explain(cluster.whole, key, self._plane.clock())

    def request(
        self, method: str, path: str, host: str, client: str, fields: Sequence[tuple[str, str]]
    ) -> dict[str, Any]:
        """The route of such a request, and what would be picked for it. ControlError: it is no good request (422)."""
        head = self._head(method, path, host, fields)
        plan = self._plane.router.match(head.host_name, head.target)
        asked = {"method": method, "path": path, "host": host or None, "client": client}
        if plan is None:
            return {"request": asked, "route": None, "service": None, "why": f"no_route: no route takes {path}"}
        peer = self._peers(client)
        key = b""
        if plan.keyed:
            key = (plan.key_of(head) if plan.key_of is not None else b"") or self._peers.client(peer, head)
        bound = plan.sticky.bound(head.lines, plan.cluster.members) if plan.sticky is not None else ""
        options, usual = self._effective(plan.spec), self._effective(plan.cluster.spec)
        return {
            "request": asked,
            "route": str(plan.route),
            "section": f"route:{plan.route.name}" if plan.route.name else None,
            "options": dict(options),
            "hedging": _hedging(plan, self._plane.clock()),
            "overridden": [name for name, value in options.items() if value != usual[name]],
            "target": plan.target(head.target).decode("ascii", "replace"),
            "bound": bound or None,
            **explain(plan.selection, key, self._plane.clock(), bound),
        }

    def decision(self, request_id: str) -> Mapping[str, Any]:
        """Fails with ControlError (404) where nothing is remembered of it."""
        found = find(self._plane.decisions, request_id, self._plane.clock(), self._wall())
        if found is None:
            kept = self._plane.decisions.maxlen
            raise ControlError(f"nothing is remembered of a request {request_id[:100]!r}; the last {kept} are", 404)
        return found

    def recent(self, count: int) -> Sequence[Mapping[str, Any]]:
        return recent(self._plane.decisions, count, self._plane.clock(), self._wall())

    def _head(self, method: str, path: str, host: str, fields: Sequence[tuple[str, str]]) -> RequestHead:
        named = (("Host", host or "wmesh"), *fields)
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named)]
        if any("\r" in line or "\n" in line for line in lines):
            raise ControlError("a line break is no part of a request", 422)
        try:
            block = "".join(f"{line}\r\n" for line in lines)
            return read_request(block.encode("latin-1", "replace"), self._plane.limits)
        except WireError as error:
            raise ControlError(f"that is not a request: {error}", 422) from error


def _hedging(plan: Plan, now: float) -> dict[str, Any] | None:
    """After how long another instance would be asked as well (null: not yet known), and from how many answers that is
    told (null: it is fixed)."""
    if plan.hedging is None:
        return None
    after = plan.hedging.after(now)
    milliseconds = None if after is None else round(after * 1000.0, 3)
    samples = plan.hedging.samples(now) if plan.hedging.spec.quantile else None
    return {"after_ms": milliseconds, "samples": samples}
