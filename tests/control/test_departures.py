"""What the log says of instances that are gone: who and why, in as few lines as it takes, and never of who is back."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.task import Clock
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import FirstUntried, a_record, a_spec
from wmesh.cluster.directory import Directory
from wmesh.control.departures import FEW, GROUPS, Departures
from wmesh.control.registry.preserver import FAREWELLS, MISSING, Preserver
from wmesh.events import InstanceAdded, InstanceRemoved, InstancesReset, SuspicionChanged
from wmesh.model import Address, RegistrySpec

EXPIRED = "lease expired"


class DeparturesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        services = [a_spec(name) for name in ("pricing", *(f"shop-{number}" for number in range(GROUPS + 1)))]
        self.directory = Directory(services, lambda spec: FirstUntried(), self.clock.seconds)
        self.departures = Departures(self.directory, self.clock)
        self.logged: list[LogEvent] = self.enterContext(capturedLogs())

    def add(self, count: int, service: str = "pricing") -> list[str]:
        ids = [f"{service}-{number}" for number in range(count)]
        for name in ids:
            self.directory.apply(InstanceAdded(a_record(name, service)))
        return ids

    def remove(self, ids: Iterable[str], reason: str = EXPIRED, service: str = "pricing") -> None:
        for name in ids:
            self.directory.apply(InstanceRemoved(service, name, reason))

    def said(self, level: str = "warn") -> list[str]:
        return [formatEvent(event) for event in self.logged if event["log_level"].name == level]

    def test_an_eviction(self) -> None:
        """A warning that says who and why, a second later at most; and nothing more after it."""
        self.remove(self.add(1))
        self.clock.advance(1)
        self.clock.advance(60)
        self.assertEqual((self.said(), self.said("debug")), (["pricing: pricing-0 is gone: lease expired"], []))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_farewells(self) -> None:
        """What left as it should, or what another part of the gateway tells, is no warning."""
        for reason in (*FAREWELLS, "process exited", "stopped"):
            self.remove(self.add(1), reason)
            self.clock.advance(1)
            self.assertEqual(self.said("debug")[-1], f"pricing: pricing-0 is gone: {reason}")
        self.add(1)
        self.directory.apply(InstanceAdded(a_record("pricing-0", "pricing", incarnation="second")))
        self.directory.apply(InstancesReset("registry", ()))
        self.clock.advance(1)
        self.assertEqual(len(self.said("debug")), len(FAREWELLS) + 3)
        self.assertEqual(self.said(), [])

    def test_all_other_reasons(self) -> None:
        """Whatever else the registry or the preserver says is an eviction."""
        reasons = (MISSING, "its lease was gone for 300 s", "its record became unreadable", "maintenance")
        for reason in reasons:
            self.remove(self.add(1), reason)
            self.clock.advance(1)
        self.assertEqual(self.said(), [f"pricing: pricing-0 is gone: {reason}" for reason in reasons])

    def test_a_few(self) -> None:
        """So many within a second have a line each."""
        ids = self.add(FEW)
        self.remove(ids)
        self.clock.advance(1)
        self.assertEqual(self.said(), [f"pricing: {name} is gone: lease expired" for name in ids])

    def test_a_burst(self) -> None:
        """More within a second are one line, also if they come one by one; evictions and farewells are told apart."""
        ids = self.add(FEW + 3)
        for name in ids:
            self.remove([name])
            self.clock.advance(0.05)
        self.remove(self.add(FEW + 1), "deregistered")
        self.assertEqual(self.said(), [])
        self.clock.advance(1)
        self.assertEqual(self.said(), ["13 instances are gone: 13 of pricing (lease expired)"])
        self.assertEqual(self.said("debug"), ["11 instances are gone: 11 of pricing (deregistered)"])

    def test_a_burst_of_many_kinds(self) -> None:
        """The largest groups are named, the others counted: the line stays short."""
        for number in range(GROUPS + 1):
            service = f"shop-{number}"
            self.remove(self.add(20 - number, service), service=service)
        self.clock.advance(1)
        (line,) = self.said()
        self.assertTrue(line.startswith("105 instances are gone: 20 of shop-0 (lease expired), 19 of shop-1 ("), line)
        self.assertTrue(line.endswith(", 15 others"), line)

    def test_taken_back(self) -> None:
        """Who was evicted before self-preservation began is there again when it did, and not told as gone."""
        spec = RegistrySpec(lease=15.0)
        preserver = Preserver(self.directory, spec, self.clock, self.clock.seconds, lambda: True)
        for number in range(3):
            record = a_record(f"p-{number}", "pricing", address=Address("127.0.0.1", 4000 + number))
            preserver.take(InstanceAdded(record))
        for number in range(3):
            preserver.take(InstanceRemoved("pricing", f"p-{number}", EXPIRED))
        self.assertEqual(len(self.directory.clusters["pricing"].members), 3)
        self.clock.advance(1)
        self.assertTrue(self.said())
        for line in self.said():
            self.assertIn("SELF-PRESERVATION", line)

    def test_suspects_that_go(self) -> None:
        """Doubted first and evicted then: told."""
        self.add(1)
        self.directory.apply(SuspicionChanged("pricing", "pricing-0", "missing; kept while evictions are frozen"))
        self.remove(["pricing-0"], "its lease is gone, and its checks fail: status 503")
        self.clock.advance(1)
        self.assertEqual(len(self.said()), 1)

    def test_stopping(self) -> None:
        """What was collected is told, what comes later is told at once, and no delayed call is left."""
        ids = self.add(3)
        self.remove(ids[:1])
        self.departures.stop()
        self.assertEqual((len(self.said()), self.clock.getDelayedCalls()), (1, []))
        self.remove(ids[1:])
        self.assertEqual((len(self.said()), self.clock.getDelayedCalls()), (3, []))
        self.departures.stop()
        self.assertEqual(len(self.said()), 3)
