"""walmart-memory-monitor: how much memory and CPU every instance takes, as the mesh reports it, and for how long.

It asks the mesh's own statistics, through the gateway like any client, and keeps the latest readings of each instance
in a ring of fixed length. An alert is raised only when `IN_A_ROW` readings in a row are above the threshold, and ends
with the first that is not: one high reading is a garbage collection, three are a leak.

What it reads belongs to somebody else and may change: a piece that is missing or odd is left out, never an error.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

import app
from mesh_client import Mesh, MeshError
from rest import Call, Problem, Reply

HISTORY = 120
IN_A_ROW = 3
FORGET_SECONDS = 600.0
MAX_INSTANCES = 500
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reading:
    """One instance at one moment, as the mesh told it; None is what it did not tell."""

    service: str
    instance: str
    address: str | None
    cpu_percent: float | None
    memory_bytes: int | None


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None


def _members(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def readings(document: dict[str, Any]) -> Iterator[Reading]:
    """All that can be read from `{"services": {name: {"instances": [{"id", "address", "load": {…}}]}}}`."""
    for service, about in _members(document.get("services")).items():
        instances = _members(about).get("instances")
        for each in instances if isinstance(instances, list) else ():
            instance = _members(each).get("id")
            if not isinstance(instance, str):
                continue
            address = each.get("address")
            load = _members(each.get("load"))
            memory = _number(load.get("memory_bytes"))
            yield Reading(
                service,
                instance,
                address if isinstance(address, str) else None,
                _number(load.get("cpu_percent")),
                None if memory is None else int(memory),
            )


@dataclass(slots=True)
class Track:
    """The readings of one instance, the latest last; `seen` is monotonic, the times in `history` are Unix seconds."""

    latest: Reading
    seen: float
    history: deque[tuple[float, Reading]] = field(default_factory=lambda: deque(maxlen=HISTORY))

    def alerts(self, memory_limit: float, cpu_limit: float) -> list[str]:
        recent = [reading for _, reading in list(self.history)[-IN_A_ROW:]]
        if len(recent) < IN_A_ROW:
            return []
        found = []
        if all((reading.memory_bytes or 0) > memory_limit for reading in recent):
            found.append(f"memory above {memory_limit / MEBIBYTE:g} MiB")
        if all((reading.cpu_percent or 0.0) > cpu_limit for reading in recent):
            found.append(f"cpu above {cpu_limit:g} %")
        return found


class Monitor:
    """Asks every `interval` seconds. `clock` is monotonic, `now` is wall time for people to read."""

    log = Logger()

    def __init__(
        self,
        mesh: Mesh,
        memory_limit: float,
        cpu_limit: float,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.tracks: dict[tuple[str, str], Track] = {}
        self.memory_limit = memory_limit
        self.cpu_limit = cpu_limit
        self.error: str | None = "the mesh has not been asked yet"
        self._mesh = mesh
        self._clock = clock
        self._now = now
        self._answered: float | None = None

    def ask(self) -> Deferred[None]:
        asked = Deferred.fromCoroutine(self._ask())
        return asked.addErrback(lambda failure: self.log.failure("a reading failed", failure=failure))

    async def _ask(self) -> None:
        try:
            answer = await self._mesh.get("/service-mesh/stats")
        except MeshError as error:
            self.error = error.reason
            return
        self.error = None
        self.observe(answer.document)

    def observe(self, document: dict[str, Any]) -> None:
        now = self._answered = self._clock()
        for reading in readings(document):
            key = (reading.service, reading.instance)
            track = self.tracks.get(key)
            if track is None:
                if len(self.tracks) >= MAX_INSTANCES:
                    continue
                track = self.tracks[key] = Track(reading, now)
            track.latest, track.seen = reading, now
            track.history.append((self._now(), reading))
        for key, track in list(self.tracks.items()):
            if now - track.seen > FORGET_SECONDS:
                del self.tracks[key]

    def report(self, only: str | None = None) -> dict[str, Any]:
        """All services, or the one with its history. `gone` marks an instance that the mesh no longer names."""
        services: dict[str, dict[str, Any]] = {}
        for (service, _), track in sorted(self.tracks.items()):
            if only is not None and service != only:
                continue
            about = services.setdefault(service, {"memory_bytes": 0, "cpu_percent": 0.0, "instances": []})
            gone = track.seen != self._answered
            shown = self._shown(track, gone)
            if only is not None:
                shown["history"] = [
                    {"time": round(at, 1), "memory_bytes": each.memory_bytes, "cpu_percent": each.cpu_percent}
                    for at, each in track.history
                ]
            about["instances"].append(shown)
            if not gone:
                about["memory_bytes"] += track.latest.memory_bytes or 0
                about["cpu_percent"] = round(about["cpu_percent"] + (track.latest.cpu_percent or 0.0), 2)
        return {"mesh": self._mesh_state(), "services": services}

    def _mesh_state(self) -> dict[str, object]:
        age = None if self._answered is None else round(self._clock() - self._answered, 1)
        return {"answers": self.error is None, "error": self.error, "age_seconds": age}

    def _shown(self, track: Track, gone: bool) -> dict[str, Any]:
        memories = [each.memory_bytes for _, each in track.history if each.memory_bytes is not None]
        return {
            "id": track.latest.instance,
            "address": track.latest.address,
            "memory_bytes": track.latest.memory_bytes,
            "peak_memory_bytes": max(memories, default=None),
            "cpu_percent": track.latest.cpu_percent,
            "gone": gone,
            "alerts": [] if gone else track.alerts(self.memory_limit, self.cpu_limit),
        }


class MemoryMonitor(app.Program):
    def __init__(self, monitor: Monitor, clock: IReactorTime, interval: float) -> None:
        super().__init__("walmart-memory-monitor")
        self._monitor = monitor
        self._interval = interval
        self._asking = LoopingCall(monitor.ask)
        self._asking.clock = clock
        self.api.route("GET", "/api/memory", self.memory)
        self.api.route("GET", "/api/memory/<service>", self.memory_of)
        self.api.route("GET", "/api/health", self.health)

    def start(self) -> None:
        self._asking.start(self._interval)

    def stop(self) -> Deferred[None]:
        if self._asking.running:
            self._asking.stop()
        return super().stop()

    def memory(self, call: Call) -> Reply:
        report = self._monitor.report()
        services = report["services"]
        alerts = [
            {"service": service, "instance": each["id"], "alert": alert}
            for service, about in services.items()
            for each in about["instances"]
            for alert in each["alerts"]
        ]
        total = sum(about["memory_bytes"] for about in services.values())
        return Reply({**report, "total_memory_bytes": total, "alerts": alerts})

    def memory_of(self, call: Call) -> Reply:
        service = call.path["service"]
        report = self._monitor.report(service)
        if service not in report["services"]:
            raise Problem(404, "unknown_service", f"the mesh has reported no instance of {service!r}")
        return Reply({"service": service, "mesh": report["mesh"], **report["services"][service]})


def build(options: Namespace, reactor: Any) -> MemoryMonitor:
    mesh = Mesh(options.gateway, "walmart-memory-monitor", reactor)
    return MemoryMonitor(Monitor(mesh, options.memory_alert * MEBIBYTE, options.cpu_alert), reactor, options.interval)


if __name__ == "__main__":
    parser = app.arguments("walmart-memory-monitor", 3009, __doc__)
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between readings (default %(default)s)")
    parser.add_argument("--memory-alert", type=float, default=256.0, help="MiB for one instance (default %(default)s)")
    parser.add_argument("--cpu-alert", type=float, default=80.0, help="percent of a core (default %(default)s)")
    app.run(parser, build)
