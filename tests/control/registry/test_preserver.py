"""Tests of wmesh.control.registry.preserver: what of the registry's word reaches the Directory, on a turned clock."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import BAD, GOOD, FirstUntried, a_record, a_spec
from wmesh.cluster.directory import Directory
from wmesh.cluster.member import Member
from wmesh.control.prober import Prober
from wmesh.control.registry.memory_file import PORTION, MemoryFile
from wmesh.control.registry.preserver import Preserver
from wmesh.events import InstanceAdded, InstanceRemoved, InstancesReset, InstanceUpdated
from wmesh.model import Address, CheckSpec, Health, InstanceRecord, RegistrySpec
from wmesh.testing import ScriptedProbe

EXPIRED = "lease expired"


def one(number: int, service: str = "pricing", **changes: object) -> InstanceRecord:
    return a_record(f"p{number}", service, **{"address": Address("10.0.0.1", number), **changes})


class PreserverCase(SynchronousTestCase):
    """Service "pricing" with a check, "plain" without one."""

    memory: MemoryFile | None = None

    def setUp(self) -> None:
        self.clock = Clock()
        self.connected = True
        specs = [a_spec(), a_spec("plain", check=CheckSpec(enabled=False)), a_spec("gateway")]
        self.directory = Directory(specs, lambda spec: FirstUntried(), self.clock.seconds)
        self.begin()

    def begin(self) -> None:
        self.preserver = Preserver(
            self.directory,
            RegistrySpec(lease=15.0, preserve_for=60.0),
            self.clock,
            self.clock.seconds,
            lambda: self.connected,
            self.memory,
            reserved=("gateway",),
        )
        self.preserver.start()
        self.addCleanup(self.preserver.stop)

    def reset(self, *records: InstanceRecord) -> None:
        self.preserver.take(InstancesReset("registry", records))

    def expire(self, *records: InstanceRecord) -> None:
        for record in records:
            self.preserver.take(InstanceRemoved(record.service, record.id, EXPIRED))

    def member(self, id: str, service: str = "pricing") -> Member:
        member = self.directory.member(service, id)
        assert member is not None, id
        return member

    def ids(self, service: str = "pricing") -> list[str]:
        return sorted(self.directory.clusters[service].members)

    def fleet(self, count: int) -> list[InstanceRecord]:
        records = [one(number) for number in range(1, count + 1)]
        self.reset(*records)
        for record in records:
            self.directory.observe(self.member(record.id), GOOD)
        return records


class AboveTests(PreserverCase):
    """What this process knows better."""

    def test_reserved_service(self) -> None:
        """Nobody becomes an instance of the gateway itself by a record, in whatever event it comes; told once."""
        self.directory.apply(InstanceAdded(one(1, "gateway", origin="builtin")))
        with capturedLogs() as logged:
            self.reset(one(2, "gateway"), one(3))
            self.preserver.take(InstanceAdded(one(2, "gateway")))
            self.preserver.take(InstanceUpdated(one(2, "gateway", weight=7)))
            self.preserver.take(InstanceAdded(one(1, "gateway")))
            self.expire(one(1, "gateway"), one(2, "gateway"))
        self.assertEqual((self.ids("gateway"), self.ids()), (["p1"], ["p3"]))
        self.assertEqual(self.member("p1", "gateway").record.origin, "builtin")
        self.assertEqual(sum("passed over" in str(event.get("log_format")) for event in logged), 2)

    def test_listed_instance(self) -> None:
        """A record of the same id neither replaces what the configuration lists, nor takes it away by leaving."""
        listed = one(1, origin="static")
        self.directory.apply(InstancesReset("static", (listed,)))
        stranger = one(1, address=Address("6.6.6.6", 6))
        self.reset(stranger)
        self.preserver.take(InstanceAdded(stranger))
        self.assertEqual(self.member("p1").record, listed)
        self.expire(stranger)
        self.preserver.take(InstanceRemoved("pricing", "p1", "deregistered"))
        self.reset()
        self.assertEqual(self.member("p1").record, listed)


class VanishTests(PreserverCase):
    def test_one_of_three(self) -> None:
        """A lease that ends is a crash."""
        records = self.fleet(3)
        self.expire(records[0])
        self.assertEqual(self.ids(), ["p2", "p3"])
        self.assertFalse(self.preserver.describe()["frozen"])

    def test_an_emptied_registry(self) -> None:
        """Everybody stays, healthy and marked; whoever registers again is marked no longer, and lost nothing."""
        records = self.fleet(3)
        before = self.member("p1")
        with capturedLogs() as logged:
            self.reset()
            self.assertEqual(self.ids(), ["p1", "p2", "p3"])
            self.assertTrue(all(self.member(name).available(0.0) and self.member(name).suspect for name in self.ids()))
            self.clock.advance(2.0)
            described = self.preserver.describe()
            expected = {"frozen": True, "since_seconds": 2.0, "scopes": ["registry"], "held": 3}
            self.assertEqual(described, expected)
            for record in records:
                self.preserver.take(InstanceAdded(record))
        self.assertIs(self.member("p1"), before)
        self.assertEqual([self.member(name).suspect for name in self.ids()], ["", "", ""])
        self.assertEqual(sum("SELF-PRESERVATION" in str(event.get("log_format")) for event in logged), 2)

    def test_evicted_too_early(self) -> None:
        """The first of those who vanished one by one is taken back when the freeze begins, and has to pass a check."""
        records = self.fleet(3)
        self.expire(records[0])
        self.clock.advance(3.0)
        self.expire(records[1])
        self.assertEqual(self.ids(), ["p1", "p2", "p3"])
        self.assertIs(self.member("p1").health.state, Health.UNKNOWN)
        self.assertIs(self.member("p2").health.state, Health.HEALTHY)

    def test_checks_decide(self) -> None:
        """A suspect that fails goes; who fails already when its lease ends is not doubted at all."""
        records = self.fleet(3)
        self.reset()
        for _ in range(3):
            self.directory.observe(self.member("p2"), BAD)
        self.clock.advance(0)
        self.assertEqual(self.ids(), ["p1", "p3"])
        self.reset(records[0], records[2])
        for name in ("p1", "p3"):
            for _ in range(3):
                self.directory.observe(self.member(name), BAD)
        self.expire(records[0], records[2])
        self.assertEqual(self.ids(), [])
        self.assertFalse(self.preserver.describe()["frozen"])

    def test_time_decides(self) -> None:
        """Not while the registry is away."""
        self.fleet(3)
        self.reset()
        self.clock.pump([1.0] * 50)
        self.connected = False
        self.clock.pump([1.0] * 100)
        self.assertEqual(len(self.ids()), 3)
        self.connected = True
        self.clock.pump([1.0] * 11)
        self.assertEqual(self.ids(), [])

    def test_farewells(self) -> None:
        """Deregistering is instant, of everybody at once and of suspects, too."""
        for record in self.fleet(3):
            self.preserver.take(InstanceRemoved("pricing", record.id, "deregistered"))
        self.assertEqual(self.ids(), [])
        self.fleet(3)
        self.reset()
        self.preserver.take(InstanceRemoved("pricing", "p1", "deregistered"))
        self.assertEqual(self.ids(), ["p2", "p3"])

    def test_ended_before_our_eyes(self) -> None:
        """What a launcher saw end is no riddle when its lease ends, and is not taken back."""
        records = self.fleet(2)
        self.directory.apply(InstanceRemoved("pricing", "p1", "process exited"))
        self.expire(records[0])
        self.assertEqual((self.ids(), self.preserver.describe()["held"]), (["p2"], 0))
        self.expire(records[1])
        self.assertEqual((self.ids(), self.preserver.describe()["held"]), (["p2"], 1))

    def test_without_checks(self) -> None:
        """Held for one lease: time to come back, no more."""
        self.reset(one(1, "plain"))
        self.reset()
        self.clock.pump([1.0] * 14)
        self.assertEqual(self.ids("plain"), ["p1"])
        self.clock.pump([1.0] * 2)
        self.assertEqual(self.ids("plain"), [])

    def test_suspects_are_checked_soon(self) -> None:
        """Within fast_interval, and a newcomer's forgiveness is not for them."""
        probe = ScriptedProbe()
        prober = Prober(self.directory, self.clock, Random(1), lambda spec: probe)
        prober.start()
        self.addCleanup(prober.stop)
        self.fleet(1)
        self.clock.pump([0.1] * 5)
        probe.says(False, "refused")
        asked = len(probe.calls)
        self.reset()
        self.clock.pump([0.05] * 22)
        self.assertGreater(len(probe.calls), asked)
        self.clock.pump([0.05] * 60)
        self.assertEqual(self.ids(), [])


class IdentityTests(PreserverCase):
    def test_a_reused_address(self) -> None:
        """Who registers at another's address shows that the other is gone; later snapshots do not bring it back."""
        records = self.fleet(2)
        newcomer = one(1, incarnation="life-2")
        newcomer = replace(newcomer, id="p9")
        self.preserver.take(InstanceAdded(newcomer))
        self.assertEqual(self.ids(), ["p2", "p9"])
        self.preserver.take(InstanceUpdated(replace(records[0], weight=7)))
        self.reset(*records, newcomer)
        self.assertEqual(self.ids(), ["p2", "p9"])
        self.preserver.take(InstanceAdded(replace(records[0], incarnation="life-3")))
        self.assertEqual(self.ids(), ["p1", "p2"])

    def test_a_suspects_address(self) -> None:
        """A suspect whose address another service took would pass checks with another's voice."""
        self.fleet(1)
        self.preserver.take(InstanceAdded(one(1, "plain", incarnation="other")))
        self.assertEqual(self.ids(), ["p1"])
        self.reset()
        self.preserver.take(InstanceAdded(one(1, "plain", incarnation="another")))
        self.assertEqual((self.ids(), self.ids("plain")), ([], ["p1"]))

    def test_another_life(self) -> None:
        """A suspect that comes back as another incarnation is another instance, and none of its evidence stays."""
        self.fleet(1)
        self.reset()
        self.preserver.take(InstanceAdded(one(1, incarnation="life-2")))
        self.assertIs(self.member("p1").health.state, Health.UNKNOWN)
        self.assertEqual((self.member("p1").suspect, self.preserver.describe()["held"]), ("", 0))


class RememberedTests(PreserverCase):
    def setUp(self) -> None:
        self.memory = MemoryFile(self.mktemp(), "redis://x", "wmesh", {("pricing", "p3")}.__contains__)
        super().setUp()

    def again(self) -> None:
        """The process ends and another begins."""
        self.preserver.stop()
        assert self.memory is not None
        self.memory = MemoryFile(str(self.memory.path.parent), "redis://x", "wmesh", set().__contains__)
        self.setUpAgain()

    def setUpAgain(self) -> None:
        self.directory = Directory([a_spec(), a_spec("plain")], lambda spec: FirstUntried(), self.clock.seconds)
        self.begin()

    def test_an_empty_registry_at_the_start(self) -> None:
        """What was known is there as suspects, but for what that process launched itself; a good check, and it serves;
        bad ones, and it is gone."""
        self.fleet(3)
        self.again()
        self.assertEqual(self.ids(), ["p1", "p2"])
        self.assertFalse(self.member("p1").available(0.0))
        self.reset()
        self.directory.observe(self.member("p1"), GOOD)
        self.assertTrue(self.member("p1").available(0.0))
        for _ in range(3):
            self.directory.observe(self.member("p2"), BAD)
        self.clock.advance(0)
        self.assertEqual(self.ids(), ["p1"])

    def test_a_registry_that_knows_better(self) -> None:
        """One that is missing among many is believed to have left."""
        records = [one(number) for number in range(10, 20)]
        self.reset(*records)
        self.again()
        self.reset(*records[1:])
        self.assertEqual(len(self.ids()), 9)
        self.assertFalse(any(self.member(name).suspect for name in self.ids()))

    def test_thousands_are_written_in_steps(self) -> None:
        """Others have their turn in between; and an end that comes in between loses nothing."""
        assert self.memory is not None
        path: Path = self.memory.path
        count = 3 * PORTION
        self.reset(*(one(number) for number in range(10, 10 + count)))
        seen: list[bool] = []
        self.clock.callLater(1.0, lambda: seen.append(path.exists()))
        self.clock.advance(1.0)
        self.assertEqual((seen, len(json.loads(path.read_text())["instances"])), ([False], count))
        self.reset(*(one(number, weight=2) for number in range(10, 10 + count)))
        self.clock.advance(1.0)
        self.clock.callLater(1.0, self.preserver.stop)
        self.clock.advance(1.0)
        self.assertEqual({record["weight"] for record in json.loads(path.read_text())["instances"]}, {2})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_written_seldom(self) -> None:
        """At most every two seconds, and only what changed; removed when nobody is left."""
        assert self.memory is not None
        path: Path = self.memory.path
        self.fleet(1)
        self.clock.advance(1.0)
        self.assertEqual(len(json.loads(path.read_text())["instances"]), 1)
        self.preserver.take(InstanceAdded(one(5)))
        self.clock.advance(1.0)
        self.assertEqual(len(json.loads(path.read_text())["instances"]), 1)
        self.clock.advance(1.0)
        self.assertEqual(len(json.loads(path.read_text())["instances"]), 2)
        for name in ("p1", "p5"):
            self.preserver.take(InstanceRemoved("pricing", name, "deregistered"))
        self.preserver.stop()
        self.assertFalse(path.exists())
