"""Tests of wmesh.control.controls: what operators are told, and what they may ask for."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import wmesh
from tests.cluster.samples import BAD, GOOD, FirstUntried, a_record, a_spec
from wmesh.cluster.directory import Directory
from wmesh.cluster.outcome import Outcome
from wmesh.cluster.ticket import Ticket
from wmesh.control.controls import MeshControls, Phase, listener_label
from wmesh.control.registry.memory import MemoryRegistry
from wmesh.control.wills import Wills
from wmesh.errors import ControlError, RegistryError
from wmesh.events import InstanceAdded, InstanceRemoved, LoadReported, SuspicionChanged
from wmesh.interfaces import UNSET, Unset
from wmesh.metrics.traffic import Traffic
from wmesh.model import (
    GatewaySpec,
    LoadSample,
    MeshConfig,
    MeshSpec,
    RegistrySpec,
    ScalingSpec,
    ServiceSpec,
)


class KnownCaches:
    """Remembers what was purged."""

    def __init__(self) -> None:
        self.purged: list[tuple[str, str, str, str]] = []

    def describe(self) -> dict[str, Any]:
        return {"objects": 7}

    def purge(self, service: str, *, url: str, prefix: str, tag: str) -> int:
        self.purged.append((service, url, prefix, tag))
        return 2


class Launching:
    """A deployment that remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.answer: Deferred[Mapping[str, Any]] = succeed({"service": "pricing", "before": 1, "target": 2})

    def scale(self, service: str, instances: int) -> Deferred[Mapping[str, Any]]:
        self.asked.append((service, instances))
        return self.answer

    def describe(self) -> Mapping[str, Any]:
        return {"phase": "running"}


PRICING = a_spec(command=("pricing",), scaling=ScalingSpec(1, 3), strategy="weighted_round_robin")
API = a_spec("api")


class ControlsTestCase(SynchronousTestCase):
    def make(self, *specs: ServiceSpec, deployment: Launching | None = None) -> None:
        self.clock = Clock()
        self.directory = Directory([*specs, a_spec("wmesh-admin")], lambda spec: FirstUntried(), self.clock.seconds)
        self.traffic = {spec.name: Traffic() for spec in (*specs, a_spec("wmesh-admin"))}
        self.registry = MemoryRegistry(self.clock)
        self.config = MeshConfig(
            MeshSpec("grocery"),
            GatewaySpec(listen=("tcp:8000", r"ssl:8443:privateKey=/etc/key.pem:interface=\:\:1")),
            RegistrySpec(url="redis://:s3cret@redis:6379/0"),
            specs,
            ("services x and y share a port",),
        )
        self.caches = KnownCaches()
        self.wills = Wills(self.directory, self.registry, self.directory.apply, self.clock, None, here="gw-1")
        self.controls = MeshControls(
            self.config,
            self.directory,
            self.registry,
            deployment,
            self.traffic,
            self.wills,
            self.clock.seconds,
            0.0,
            sources=lambda: [{"source": "dns:web.test:80"}],
            caches=self.caches,
        )
        self.successResultOf(self.registry.start(self.wills.take))
        self.controls.phase = Phase.RUNNING

    def add(self, service: str, id: str, *, healthy: bool = True) -> None:
        self.directory.apply(InstanceAdded(a_record(id, service)))
        if healthy:
            self.observe(service, id, True)

    def observe(self, service: str, id: str, ok: bool, times: int = 1) -> None:
        member = self.directory.member(service, id)
        assert member is not None
        for _ in range(times):
            self.directory.observe(member, GOOD if ok else BAD)


class HealthTests(ControlsTestCase):
    def test_all_is_well(self) -> None:
        """With every service healthy the gateway says so, in one short answer."""
        self.make(PRICING, API)
        self.add("pricing", "p1")
        self.add("api", "a1")
        self.assertEqual(
            self.controls.health(),
            {
                "status": "healthy",
                "serving": True,
                "registry": "connected",
                "services": {"pricing": "healthy", "api": "healthy"},
            },
        )

    def test_one_service_down_is_degraded_but_serving(self) -> None:
        """The gateway goes on for the others: it is not taken out for one bad service."""
        self.make(PRICING, API)
        self.add("pricing", "p1")
        self.add("api", "a1")
        self.observe("api", "a1", False, times=3)
        health = self.controls.health()
        self.assertEqual((health["status"], health["serving"]), ("degraded", True))
        self.assertEqual(health["services"], {"pricing": "healthy", "api": "unhealthy"})

    def test_starting_and_draining_are_not_for_clients(self) -> None:
        """Before it is up and while it goes down, the gateway asks for no traffic."""
        self.make(API)
        self.add("api", "a1")
        for phase in (Phase.STARTING, Phase.DRAINING):
            self.controls.phase = phase
            health = self.controls.health()
            self.assertEqual((health["status"], health["serving"]), (phase.value, False))

    def test_a_service_that_may_be_empty_is_not_missed(self) -> None:
        """With min_instances = 0 no instance is a fine number of instances."""
        self.make(a_spec(command=("pricing",), scaling=ScalingSpec(0, 1)))
        self.assertEqual(self.controls.health()["status"], "healthy")
        self.make(PRICING)
        self.assertEqual(self.controls.health()["status"], "degraded")

    def test_a_lost_registry_is_told(self) -> None:
        """The mesh goes on with what it knows, but no news reach it: somebody should look."""
        self.make(API)
        self.add("api", "a1")
        self.successResultOf(self.registry.stop())
        health = self.controls.health()
        self.assertEqual((health["status"], health["registry"]), ("degraded", "disconnected"))


class StatusTests(ControlsTestCase):
    def test_what_this_process_is(self) -> None:
        """Name, version, age, listeners, registry, services, notes: enough to know what one is talking to."""
        self.make(PRICING, API, deployment=Launching())
        self.add("pricing", "p1")
        self.clock.advance(90)
        status = self.controls.status()
        self.assertEqual(json.loads(json.dumps(status)), status)
        self.assertEqual(
            (status["name"], status["version"], status["pid"]), ("grocery", wmesh.__version__, os.getpid())
        )
        self.assertEqual((status["phase"], status["status"], status["uptime_seconds"]), ("running", "degraded", 90.0))
        self.assertEqual((status["registry"]["kind"], status["registry"]["connected"]), ("memory", True))
        self.assertEqual(status["deployment"], {"phase": "running"})
        self.assertEqual(status["notes"], ["services x and y share a port"])
        self.assertEqual(list(status["services"]), ["pricing", "api"])
        self.assertEqual((status["services"]["pricing"]["healthy"], status["services"]["api"]["total"]), (1, 0))

    def test_no_secrets(self) -> None:
        """Neither passwords nor the places of keys can be read here."""
        self.make(API)
        shown = json.dumps([self.controls.status(), self.controls.stats(), self.controls.health()])
        for secret in ("s3cret", "key.pem", "privateKey"):
            self.assertNotIn(secret, shown)

    def test_listeners_without_their_options(self) -> None:
        """Where it listens stays, whatever else an endpoint says goes."""
        table = {
            "tcp:8000": "tcp:8000",
            "tcp:port=8000:interface=10.0.0.1:backlog=9": "tcp:port=8000:interface=10.0.0.1",
            r"ssl:8443:privateKey=/etc/key.pem:interface=\:\:1": r"ssl:8443:interface=\:\:1",
            "unix:/run/wmesh.sock:mode=660": "unix:/run/wmesh.sock",
            "systemd:domain=INET:index=0": "systemd:domain=INET:index=0",
            "": "",
        }
        for endpoint, label in table.items():
            self.assertEqual(listener_label(endpoint), label)


class SourceTests(ControlsTestCase):
    def test_shown_twice(self) -> None:
        """Sources stand where people look first, and where graphs are made from."""
        self.make(PRICING)
        for document in (self.controls.status(), self.controls.stats()):
            self.assertEqual(document["sources"], [{"source": "dns:web.test:80"}])

    def test_whose_suspects(self) -> None:
        """Those whom the DNS denies are no suspects of the registry."""
        self.make(PRICING)
        self.directory.apply(InstanceAdded(a_record("leased", "pricing")))
        self.directory.apply(InstanceAdded(a_record("named", "pricing", origin="named/pricing/dns:web.test:80")))
        for name in ("leased", "named"):
            self.directory.apply(SuspicionChanged("pricing", name, "gone"))
        self.assertEqual(self.controls.status()["registry"]["preservation"]["suspects"], 1)


class StatsTests(ControlsTestCase):
    def test_discovery(self) -> None:
        """How many services and instances, how many came and went, and how the checks fared."""
        self.make(PRICING, API)
        self.add("pricing", "p1")
        self.add("pricing", "p2", healthy=False)
        self.add("api", "a1")
        self.observe("api", "a1", False, times=3)
        self.add("api", "a2")
        self.directory.apply(InstanceRemoved("api", "a2", "lease expired"))
        self.add("stranger", "s1", healthy=False)
        self.assertEqual(
            self.controls.stats()["discovery"],
            {
                "services": 2,
                "instances": 3,
                "healthy_instances": 1,
                "unhealthy_instances": 1,
                "starting_instances": 1,
                "unclaimed_instances": 1,
                "registrations": 4,
                "deregistrations": 1,
                "health_changes": 4,
                "checks": {"passed": 3, "failed": 3, "success_rate": 0.5},
            },
        )

    def test_load_balancer(self) -> None:
        """Who got how many requests, by which strategy, and what is going on now."""
        self.make(PRICING, API)
        self.add("pricing", "p1")
        self.add("pricing", "p2")
        cluster = self.directory.clusters["pricing"]
        for outcome in (Outcome.OK, Outcome.RESET, None):
            ticket = cluster.whole.acquire(b"", (), 0.0)
            assert isinstance(ticket, Ticket)
            if outcome is not None:
                ticket.release(outcome, 0.1)
        self.directory.clusters["api"].whole.acquire(b"", (), 0.0)
        self.traffic["pricing"].observe(200, 0.25)
        balancer = self.controls.stats()["load_balancer"]
        self.assertEqual(
            balancer["strategies"],
            {
                "weighted_round_robin": {"services": ["pricing"], "requests": 3},
                "round_robin": {"services": ["api"], "requests": 0},
            },
        )
        self.assertEqual(
            balancer["services"]["pricing"],
            {
                "strategy": "weighted_round_robin",
                "active_connections": 1,
                "requests": 3,
                "failures": 1,
                "refusals": 0,
                "average_response_ms": 250.0,
                "distribution": {"p1": 3, "p2": 0},
            },
        )
        totals = [balancer[name] for name in ("active_connections", "requests", "failures", "refusals")]
        self.assertEqual(totals, [1, 3, 1, 1])

    def test_proxy(self) -> None:
        """Totals over all services, and each one's own; the admin side's own requests are not among them."""
        self.make(PRICING, API)
        self.traffic["pricing"].observe(200, 0.010)
        self.traffic["api"].observe(502, 0.030)
        self.traffic["wmesh-admin"].observe(200, 0.001)
        proxy = self.controls.stats()["proxy"]
        self.assertEqual((proxy["requests_total"], proxy["success_rate"], proxy["latency_ms"]["mean"]), (2, 0.5, 20.0))
        self.assertEqual(list(proxy["services"]), ["pricing", "api"])
        self.assertEqual(proxy["services"]["pricing"]["responses"]["2xx"], 1)

    def test_instances_with_their_load(self) -> None:
        """A monitor finds what each instance uses under services, NAME, instances, load."""
        self.make(PRICING)
        self.add("pricing", "p1")
        self.directory.apply(LoadReported("pricing", "p1", LoadSample(12.5, 64_000_000)))
        stats = self.controls.stats()
        self.assertEqual(json.loads(json.dumps(stats)), stats)
        load = stats["services"]["pricing"]["instances"][0]["load"]
        self.assertEqual((load["cpu_percent"], load["memory_bytes"]), (12.5, 64_000_000))


class ServiceTests(ControlsTestCase):
    def test_one_service(self) -> None:
        """Each declared service can be looked at alone; its report is the one in the list of all."""
        self.make(PRICING, API)
        self.add("pricing", "p1")
        self.assertEqual(self.controls.service("pricing"), self.controls.services()["pricing"])
        self.assertEqual(self.controls.service_health("pricing")["instances"][0]["available"], True)

    def test_unknown_ones(self) -> None:
        """A misspelt name is answered with the names there are; the built-in service is not one of them."""
        self.make(PRICING, API)
        for name in ("prizing", "wmesh-admin", ""):
            for ask in (self.controls.service, self.controls.service_health):
                error = self.assertRaises(ControlError, ask, name)
                self.assertEqual(error.status, 404)
                self.assertIn("pricing, api", str(error))


class ScaleTests(ControlsTestCase):
    def refused(self, service: str, instances: int) -> tuple[int, str]:
        failure = self.failureResultOf(Deferred.fromCoroutine(self.controls.scale(service, instances)), ControlError)
        return failure.value.status, str(failure.value)

    def test_scaling_is_left_to_the_deployment(self) -> None:
        """Within the bounds it is done, and the answer tells what was and what will be."""
        self.make(PRICING, deployment=(deployment := Launching()))
        answer = self.successResultOf(Deferred.fromCoroutine(self.controls.scale("pricing", 2)))
        self.assertEqual(answer, {"service": "pricing", "before": 1, "target": 2})
        self.assertEqual(deployment.asked, [("pricing", 2)])

    def test_what_the_deployment_refuses_is_passed_on(self) -> None:
        """Bounds are the deployment's matter; its reason reaches the operator as it is."""
        deployment = Launching()
        deployment.answer = fail(ControlError("pricing may have 1 to 3 instances, not 4", 422))
        self.make(PRICING, deployment=deployment)
        self.assertEqual(self.refused("pricing", 4), (422, "pricing may have 1 to 3 instances, not 4"))

    def test_what_others_run_cannot_be_scaled_here(self) -> None:
        """A service without a command, or a mesh that launches nothing, says who would have to do it."""
        self.make(PRICING, API, deployment=Launching())
        self.assertEqual(self.refused("api", 1)[0], 409)
        self.make(PRICING)
        self.assertEqual(self.refused("pricing", 1)[0], 409)

    def test_unknown_services(self) -> None:
        """Nobody can be scaled who is not there."""
        self.make(PRICING, deployment=Launching())
        self.assertEqual(self.refused("prizing", 1)[0], 404)

    def test_not_while_stopping(self) -> None:
        """A gateway that is going down starts nothing new."""
        self.make(PRICING, deployment=Launching())
        self.controls.phase = Phase.DRAINING
        self.assertEqual(self.refused("pricing", 2), (503, "the gateway is stopping"))


class CacheTests(ControlsTestCase):
    def test_shown_and_purged(self) -> None:
        """The caches say themselves what they hold, and what went; services that are not there have none."""
        self.make(PRICING)
        self.assertEqual(self.controls.stats()["cache"], {"objects": 7})
        self.assertEqual(self.controls.purge("pricing", "/a", "", ""), {"service": "pricing", "purged": 2})
        self.assertEqual(self.caches.purged, [("pricing", "/a", "", "")])
        error = self.assertRaises(ControlError, self.controls.purge, "nobody", "", "", "")
        self.assertEqual(error.status, 404)


class DirectTests(ControlsTestCase):
    def direct(
        self, state: str | None = None, weight: int | Unset | None = UNSET, id: str = "p1", service: str = "pricing"
    ) -> dict[str, Any]:
        work = self.controls.direct(service, id, state, weight, "10.0.0.9")
        return self.successResultOf(Deferred.fromCoroutine(work))

    def refused(self, **asked: Any) -> tuple[int, str]:
        asked = {"service": "pricing", "id": "p1", "state": None, "weight": UNSET, "by": "me", **asked}
        error = self.failureResultOf(Deferred.fromCoroutine(self.controls.direct(**asked)), ControlError).value
        return error.status, str(error)

    def test_whose_will(self) -> None:
        """The answer says what holds now, since when, by whom, and that the registry knows."""
        self.make(PRICING)
        self.add("pricing", "p1")
        answer = self.direct("DRAIN", 5)
        self.assertEqual((answer["admin"], answer["weight"], answer["present"]), ("drain", 5, True))
        self.assertEqual((answer["written"], answer["problem"]), (True, None))
        self.clock.advance(20)
        (one,) = self.controls.service("pricing")["instances"]
        self.assertEqual((one["admin_by"], one["weight_by"]), ("10.0.0.9 at gw-1",) * 2)
        self.assertEqual((one["admin_since_seconds"], one["weight_since_seconds"]), (20.0, 20.0))
        verdict = self.controls.service_health("pricing")["instances"][0]["verdict"]
        self.assertEqual([finding["by"] for finding in verdict if finding["aspect"] == "admin"], ["10.0.0.9 at gw-1"])

    def test_the_registry_is_away(self) -> None:
        """It holds, and the answer says why the others do not know."""
        self.make(PRICING)
        self.add("pricing", "p1")
        self.patch(self.registry, "direct", lambda wills, now: fail(RegistryError("no answer")))
        answer = self.direct("maint")
        self.assertEqual((answer["admin"], answer["written"], answer["problem"]), ("maint", False, "no answer"))
        self.assertEqual(self.controls.status()["registry"]["wills"], {"known": 1, "owed": 1, "problem": "no answer"})

    def test_an_instance_that_is_not_there(self) -> None:
        """What was said of it can be seen, and taken back; of what nobody ever heard of, there is nothing."""
        self.make(PRICING)
        self.add("pricing", "p1")
        self.clock.advance(1)
        self.direct("drain", 4)
        self.directory.apply(InstanceRemoved("pricing", "p1", "lease expired"))
        self.clock.advance(20)
        said = {"since_seconds": 20.0, "by": "10.0.0.9 at gw-1"}
        self.assertEqual(
            self.controls.service("pricing")["absent"],
            [{"id": "p1", "admin": {"is": "drain", **said}, "weight": {"is": 4, **said}}],
        )
        self.assertEqual(self.direct("ready", None), {"id": "p1", "present": False, "written": True, "problem": None})
        self.assertEqual(self.controls.service("pricing")["absent"], [])
        self.assertEqual(self.refused(id="p2", state="drain"), (404, "pricing has no instance 'p2'; it has: none"))

    def test_what_makes_no_sense(self) -> None:
        """Nothing is done, and the text says what would be right."""
        self.make(PRICING)
        self.add("pricing", "p1")
        for asked, status, words in (
            ({"service": "nope"}, 404, "there is no service 'nope'"),
            ({"id": "P1"}, 404, "it has: p1"),
            ({"state": "off"}, 422, "ready, drain or maint"),
            ({"state": ""}, 422, "ready, drain or maint"),
            ({"weight": 0}, 422, "from 1 to 1000"),
            ({"weight": 10**400}, 422, "from 1 to 1000"),
            ({"weight": -5, "state": "drain"}, 422, "from 1 to 1000"),
        ):
            found, text = self.refused(**asked)
            self.assertEqual((found, words in text, len(text) < 200), (status, True, True), text)
        self.add("pricing", "a b")
        self.assertEqual(self.refused(id="a b", state="drain")[0], 422)
        self.assertEqual(self.wills.of("pricing"), [])
