"""A whole control plane in memory, for the tests of deployment and slot.

Registry (in memory), directory and prober are the real ones; launcher and probe are the test kit's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from wmesh.balance.round_robin import RoundRobin
from wmesh.cluster.directory import Directory
from wmesh.control.deployment import Deployed, Deployment
from wmesh.control.prober import Prober
from wmesh.control.registry.memory import MemoryRegistry
from wmesh.events import Event
from wmesh.model import Address, CheckSpec, InstanceRecord, ScalingSpec, ServiceSpec
from wmesh.testing import FakeLauncher, ScriptedProbe

CHECK = CheckSpec(path="/health")


def service(name: str, *dependencies: str, port: int = 0, least: int = 1, most: int = 3, **more: Any) -> ServiceSpec:
    return ServiceSpec(
        name,
        port=port or 3000 + sum(name.encode()) % 900,
        command=("run", name),
        check=CHECK,
        dependencies=dependencies,
        scaling=ScalingSpec(least, most),
        **{"start_timeout": 30.0, "stop_timeout": 10.0, **more},
    )


class DeploymentCase(SynchronousTestCase):
    """`lines` is what was announced, `warned` those of it that warn, `events` what the Directory told, and `taken` the
    ports that strangers hold."""

    def scene(self, *specs: ServiceSpec, reserved: tuple[int, ...] = ()) -> None:
        self.clock = Clock()
        self.launcher = FakeLauncher()
        self.probe = ScriptedProbe()
        self.lines: list[str] = []
        self.warned: list[str] = []
        self.taken: set[int] = set()
        self.registry = MemoryRegistry(self.clock, lease=1e9)
        self.registry_trouble: list[Exception] = []
        self.directory = Directory(specs, lambda spec: RoundRobin(spec, Random(1)), self.clock.seconds)
        self.prober = Prober(self.directory, self.clock, Random(2), lambda spec: self.probe)
        self.events: list[Event] = []
        self.directory.subscribe(self.events.append)
        self.registry.start(self.directory.apply)
        self.prober.start()
        self.deployment = Deployment(
            specs,
            self.launcher,
            self.register,
            self.registry.deregister,
            self.directory,
            self.clock,
            Random(3),
            self.lines.append,
            self.warn,
            reserved=reserved,
            free=lambda host, port: port not in self.taken,
        )

    def warn(self, line: str) -> None:
        self.lines.append(line)
        self.warned.append(line)

    def register(self, record: InstanceRecord) -> Deferred[None]:
        return fail(self.registry_trouble[0]) if self.registry_trouble else self.registry.register(record)

    def deploy(self) -> Deferred[Deployed]:
        done = self.deployment.deploy_all()
        self.pass_time(0.1)
        return done

    def pass_time(self, seconds: float, step: float = 0.05) -> None:
        """In small steps, beginning with what is due already."""
        self.clock.pump([0, 0])
        for _ in range(max(1, round(seconds / step))):
            self.clock.advance(step)

    def scale(self, name: str, instances: int) -> Mapping[str, Any]:
        return self.successResultOf(Deferred.fromCoroutine(self.deployment.scale(name, instances)))

    def sick(self, name: str, reason: str = "status 503") -> None:
        """Every instance of this service fails its checks."""
        for port in range(self.port(name), self.port(name) + 5):
            self.probe.says(False, reason, Address("127.0.0.1", port))

    def well(self, name: str) -> None:
        for port in range(self.port(name), self.port(name) + 5):
            self.probe.says(True, "", Address("127.0.0.1", port))

    def port(self, name: str) -> int:
        return self.directory.clusters[name].spec.port or 0

    def state(self, name: str) -> Mapping[str, Any]:
        described = self.deployment.describe()
        json.dumps(described)
        return described[name]
