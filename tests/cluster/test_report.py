"""Tests of wmesh.cluster.report."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import FirstUntried, a_cluster, a_member, a_record, a_spec
from wmesh.cluster.directory import Directory
from wmesh.cluster.member import Member
from wmesh.cluster.report import directory_report, instance_report, service_health, service_report, service_status
from wmesh.events import InstanceAdded
from wmesh.model import AdminState, BreakerSpec, Health, LoadSample, RouteSpec, ScalingSpec


def drained(id: str = "d") -> Member:
    member = a_member(id)
    member.admin = AdminState.DRAIN
    return member


def sick(id: str = "s") -> Member:
    member = a_member(id, health=Health.UNHEALTHY)
    member.health.reason = "status 503"
    return member


def starting(id: str = "n") -> Member:
    return a_member(id, health=Health.UNKNOWN)


class StatusTests(SynchronousTestCase):
    def test_the_word_for_each_situation(self) -> None:
        """An operator reads one word per service, and a sentence unless all is well."""
        table: list[tuple[list[Member], str, str]] = [
            ([], "empty", "no instance is registered"),
            ([starting()], "starting", "instances are starting and have passed no check yet"),
            ([starting(), sick()], "starting", "instances are starting and have passed no check yet"),
            ([sick()], "unhealthy", "the only instance is failing: status 503"),
            ([sick("a"), sick("b")], "unhealthy", "all 2 instances are failing: status 503"),
            ([drained()], "unhealthy", "the only instance is taken out by the operator"),
            ([a_member("a"), sick()], "degraded", "1 of 2 instances failing: status 503"),
            ([a_member("a"), starting()], "healthy", ""),
            ([a_member("a"), drained()], "healthy", ""),
            ([a_member("a"), a_member("b")], "healthy", ""),
        ]
        for members, status, reason in table:
            self.assertEqual(service_status(a_cluster(*members), 0.0), (status, reason))

    def test_taken_out_by_traffic(self) -> None:
        """Checks that pass do not make an instance well that live traffic has taken out."""
        ejected = a_member("e")
        ejected.ejection.until, ejected.ejection.reason = 10.0, "5 failures in a row"
        status, reason = service_status(a_cluster(ejected, a_member()), 0.0)
        self.assertEqual((status, reason[:45]), ("degraded", "1 of 2 instances taken out by live traffic: t"))
        self.assertIn("5 failures in a row", reason)
        self.assertEqual(service_status(a_cluster(ejected), 0.0)[0], "unhealthy")
        self.assertEqual(service_status(a_cluster(ejected), 10.0), ("healthy", ""))

    def test_the_breaker_of_the_service(self) -> None:
        """Nobody is served while it is open, however well the instances are."""
        cluster = a_cluster(a_member(), spec=a_spec(breaker=BreakerSpec(scope="service", min_calls=1, failures=1)))
        assert cluster.breaker is not None
        cluster.breaker.observe(True, 0.1, cluster.breaker.generation, 0.0)
        self.assertEqual(service_status(cluster, 0.0)[0], "unhealthy")
        self.assertIn("circuit breaker of the service is open", service_status(cluster, 0.0)[1])

    def test_fewer_than_the_mesh_should_run(self) -> None:
        """Of what the mesh launches itself, fewer than min_instances is a shortage; of what others run, it is not."""
        scaling = ScalingSpec(2, 3)
        launched = a_spec(command=("pricing",), scaling=scaling)
        self.assertEqual(
            service_status(a_cluster(a_member(), spec=launched), 0.0),
            ("degraded", "1 of at least 2 instances can serve"),
        )
        self.assertEqual(service_status(a_cluster(a_member(), spec=a_spec(scaling=scaling)), 0.0), ("healthy", ""))

    def test_full_is_not_well(self) -> None:
        """A service whose instances all have their limit refuses requests, and says so."""
        member = a_member(in_flight=2)
        member.most = 2
        self.assertEqual(service_status(a_cluster(member), 0.0)[0], "degraded")
        self.assertEqual(service_status(a_cluster(member, a_member("b")), 0.0)[0], "healthy")


class InstanceReportTests(SynchronousTestCase):
    def test_all_that_is_known_of_an_instance(self) -> None:
        """The record, the verdict, the traffic and the load, in plain values."""
        member = Member(a_record(version="2.1", weight=3, tags=("walmart",)), a_spec(), 100.0)
        member.health.observe(True, "status 200", 101.0)
        member.latency.observe(0.0123456, 110.0)
        member.load = LoadSample(12.345, 64_000_000, 4, (("queue", 7.0),))
        member.picks, member.failures, member.in_flight = 10, 2, 1
        member.checked, member.warning = 0.0021, "the certificate ends on 2030-01-01"
        self.assertEqual(
            instance_report(member, 110.0),
            {
                "id": "p1",
                "address": "127.0.0.1:3007",
                "version": "2.1",
                "weight": 3,
                "tags": ["walmart"],
                "health": "healthy",
                "since_seconds": 9.0,
                "age_seconds": 10.0,
                "admin": "ready",
                "admin_since_seconds": 10.0,
                "admin_by": None,
                "weight_since_seconds": None,
                "weight_by": None,
                "available": True,
                "reasons": [],
                "breaker": "closed",
                "ramp": 1.0,
                "suspect": None,
                "check_ms": 2.1,
                "warning": "the certificate ends on 2030-01-01",
                "in_flight": 1,
                "picks": 10,
                "failures": 2,
                "latency_ms": 12.346,
                "load": {
                    "cpu_percent": 12.35,
                    "memory_bytes": 64_000_000,
                    "in_flight": 4,
                    "metrics": {"queue": 7.0},
                },
                "origin": "registry",
            },
        )

    def test_what_is_not_known_is_null(self) -> None:
        """No measurement is not a measurement of zero."""
        report = instance_report(starting(), 0.0)
        self.assertEqual((report["latency_ms"], report["check_ms"], report["warning"]), (None, None, None))
        nothing = {"cpu_percent": None, "memory_bytes": None, "in_flight": None, "metrics": {}}
        self.assertEqual(report["load"], nothing)
        self.assertEqual((report["available"], report["reasons"]), (False, ["health is unknown: not checked yet"]))


class ServiceReportTests(SynchronousTestCase):
    def test_all_that_is_known_of_a_service(self) -> None:
        """What is declared, how it is, what it did, and its instances in a stable order; all of it JSON."""
        spec = a_spec(
            command=("pricing",),
            dependencies=("api",),
            deployment_priority=3,
            routes=(RouteSpec("", "/pricing/"),),
            scaling=ScalingSpec(1, 3, True, 70.0, 80.0),
        )
        cluster = a_cluster(a_member("b"), sick("a"), spec=spec)
        cluster.requests, cluster.failures, cluster.refusals, cluster.in_flight = 20, 3, 1, 2
        cluster.checks_passed, cluster.checks_failed = 7, 4
        report = service_report(cluster, 0.0)
        self.assertEqual(json.loads(json.dumps(report)), report)
        instances = report.pop("instances")
        self.assertEqual([instance["id"] for instance in instances], ["a", "b"])
        self.assertEqual(
            report,
            {
                "name": "pricing",
                "version": "1.0.0",
                "protocol": "http",
                "strategy": "round_robin",
                "status": "degraded",
                "reason": "1 of 2 instances failing: status 503",
                "healthy": 1,
                "available": 1,
                "total": 2,
                "breaker": None,
                "panic": False,
                "in_flight": 2,
                "queued": 0,
                "max_connections": 1024,
                "requests": 20,
                "failures": 3,
                "refusals": 1,
                "checks": {"passed": 7, "failed": 4},
                "tags": [],
                "routes": ["/pricing/"],
                "dependencies": ["api"],
                "deployment_priority": 3,
                "scaling": {
                    "launched": True,
                    "min_instances": 1,
                    "max_instances": 3,
                    "auto_scale": True,
                    "cpu_threshold": 70.0,
                    "memory_threshold": 80.0,
                },
            },
        )

    def test_routes_that_lead_nowhere_are_not_shown(self) -> None:
        """A service that is not proxied has no way in, whatever its routes would be."""
        spec = a_spec(proxy_enabled=False, routes=(RouteSpec("", "/pricing/"),))
        self.assertEqual(service_report(a_cluster(spec=spec), 0.0)["routes"], [])

    def test_health_gives_the_verdict_on_each_instance(self) -> None:
        """The short report tells why, and leaves out what has nothing to do with it."""
        report = service_health(a_cluster(a_member("a"), sick("b")), 5.0)
        verdict = report["instances"][1].pop("verdict")
        self.assertEqual([finding["aspect"] for finding in verdict], ["lease", "admin", "health", "breaker"])
        self.assertEqual([finding["aspect"] for finding in verdict if finding["against"]], ["health"])
        self.assertEqual((report["status"], report["healthy"], report["total"]), ("degraded", 1, 2))
        self.assertEqual(
            report["instances"][1],
            {
                "id": "b",
                "address": "127.0.0.1:3007",
                "health": "unhealthy",
                "last_result": "status 503",
                "since_seconds": 5.0,
                "admin": "ready",
                "available": False,
                "reasons": ["health is unhealthy: status 503"],
                "suspect": None,
                "warning": None,
            },
        )


class DirectoryReportTests(SynchronousTestCase):
    def test_all_services_or_those_named(self) -> None:
        """Every service in the order of the configuration, or just the ones that somebody asks for."""
        directory = Directory([a_spec("b"), a_spec("a")], lambda spec: FirstUntried(), lambda: 0.0)
        directory.apply(InstanceAdded(a_record(service="a")))
        self.assertEqual(list(directory_report(directory, 0.0)), ["b", "a"])
        only = directory_report(directory, 0.0, ["a"])
        self.assertEqual((list(only), only["a"]["total"]), (["a"], 1))
