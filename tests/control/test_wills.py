"""What operators said is obeyed here at once, and by all gateways that share a registry, whatever was away meanwhile.

Registries are those in memory, on one store; `Away` is one that can be out of touch.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import FirstUntried, a_record, a_spec
from wmesh.cluster.directory import Directory
from wmesh.control.registry.memory import MemoryRegistry, MemoryStore
from wmesh.control.wills import KEEP, LOOK, Wills
from wmesh.control.wills_file import WillsFile
from wmesh.errors import RecordError, RegistryError
from wmesh.events import AdminStateChanged, Event, InstanceAdded, InstanceRemoved, WillsTold
from wmesh.interfaces import UNSET, Unset
from wmesh.model import AdminState, Said, Will
from wmesh.policy.wills import HOLD

READY, DRAIN, MAINT = AdminState.READY, AdminState.DRAIN, AdminState.MAINT
START = 1_700_000_000.0


class Away(MemoryRegistry):
    """Out of touch while `away`."""

    away = False
    asked = 0

    def direct(self, wills: Sequence[Will], now: int) -> Deferred[None]:
        self.asked += 1
        if self.away:
            return fail(RegistryError("no answer"))
        return super().direct(wills, now)

    def status(self) -> dict[str, Any]:
        return {**super().status(), "connected": not self.away}


class Gateway:
    """As much of one as is needed."""

    def __init__(self, clock: Clock, store: MemoryStore, state_dir: str, label: str = "here") -> None:
        specs = [a_spec(), a_spec("wmesh-admin")]
        self.directory = Directory(specs, lambda spec: FirstUntried(), clock.seconds)
        self.registry = Away(clock, store=store)
        file = WillsFile(state_dir, label, "wmesh")
        self.wills = Wills(
            self.directory, self.registry, self.directory.apply, clock, file, here="gw-1", reserved=("wmesh-admin",)
        )

    def start(self) -> Gateway:
        self.wills.start()
        self.registry.start(self.wills.take)
        return self

    def stop(self) -> None:
        self.wills.stop()
        self.registry.stop()

    def put(self, id: str = "p1", **changes: Any) -> None:
        self.directory.apply(InstanceAdded(a_record(id, **changes)))

    def state(self, id: str = "p1") -> AdminState:
        member = self.directory.member("pricing", id)
        assert member is not None
        return member.admin

    def weight(self, id: str = "p1") -> int:
        member = self.directory.member("pricing", id)
        assert member is not None
        return member.weight


class WillsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.store = MemoryStore(self.clock)
        self.one = self.gateway().start()
        self.two = self.gateway().start()
        for gateway in (self.one, self.two):
            gateway.put()

    def gateway(self, state_dir: str = "") -> Gateway:
        if not state_dir:
            state_dir = tempfile.mkdtemp()
            self.addCleanup(shutil.rmtree, state_dir, True)
        self.state_dir = state_dir
        gateway = Gateway(self.clock, self.store, state_dir)
        self.addCleanup(gateway.stop)
        return gateway

    def say(
        self, gateway: Gateway, state: AdminState | None = None, weight: int | Unset | None = UNSET, id: str = "p1"
    ) -> str:
        work = gateway.wills.direct("pricing", id, state, weight, "10.0.0.9")
        return str(self.successResultOf(Deferred.fromCoroutine(work)))


class SharedTests(WillsTestCase):
    def test_all_obey(self) -> None:
        """State and weight, and the way back; each knows whose they are and since when."""
        self.assertEqual(self.say(self.one, DRAIN, 7), "")
        self.clock.advance(20)
        for gateway in (self.one, self.two):
            self.assertEqual((gateway.state(), gateway.weight()), (DRAIN, 7))
            member = gateway.directory.member("pricing", "p1")
            assert member is not None and member.directed is not None
            self.assertEqual((member.admin_by, member.directed.by), ("10.0.0.9 at gw-1",) * 2)
            self.assertAlmostEqual(self.clock.seconds() - member.admin_since, 20, places=2)
            self.assertAlmostEqual(self.clock.seconds() - member.directed.since, 20, places=2)
        self.say(self.two, READY, None)
        for gateway in (self.one, self.two):
            self.assertEqual((gateway.state(), gateway.weight()), (READY, a_record().weight))

    def test_before_the_instance_is_there(self) -> None:
        """A gateway that starts, and an instance that comes later, meet a will that was there before them."""
        self.say(self.one, MAINT, 9)
        late = self.gateway().start()
        late.put()
        self.assertEqual((late.state(), late.weight()), (MAINT, 9))
        self.two.directory.apply(InstanceRemoved("pricing", "p1", "lease expired"))
        self.two.put(incarnation="life-2")
        self.assertEqual(self.two.state(), MAINT)

    def test_said_again(self) -> None:
        """It is no news: who said it first, and when, stays."""
        self.say(self.one, DRAIN)
        version = self.store.version
        self.clock.advance(50)
        self.say(self.two, DRAIN)
        self.assertEqual(self.store.version, version)
        member = self.two.directory.member("pricing", "p1")
        assert member is not None
        self.assertAlmostEqual(self.clock.seconds() - member.admin_since, 50, places=2)

    def test_the_log_of_the_others(self) -> None:
        """Who was not told himself can read who was; at the gateway that was told, the request is in the log."""
        with capturedLogs() as logged:
            self.say(self.one, DRAIN)
            self.say(self.one, READY, 5)
            self.say(self.one, weight=None)
            self.gateway().start()
        self.assertEqual(
            [formatEvent(event) for event in logged],
            [
                "pricing/p1: 10.0.0.9 at gw-1 says: state drain",
                "pricing/p1: 10.0.0.9 at gw-1 says: state ready",
                "pricing/p1: 10.0.0.9 at gw-1 says: weight 5",
                "pricing/p1: 10.0.0.9 at gw-1 says: weight as registered",
            ],
        )

    def test_a_late_clock_is_heard(self) -> None:
        """What stands there is from the future, by our clock; whoever contradicts it means it."""
        future = Will("pricing", "p1", 9 * 10**12, Said(DRAIN, 8 * 10**12, "elsewhere"))
        self.one.wills.take(WillsTold((future,)))
        self.say(self.one, READY)
        self.assertEqual(self.two.state(), READY)
        self.one.wills.take(WillsTold((future,)))
        self.assertEqual(self.one.state(), READY)

    def test_a_scale_down_is_another_matter(self) -> None:
        """What the mesh drains to stop it is no will; and "ready" takes it back, though nobody ever said otherwise."""
        self.one.directory.apply(AdminStateChanged("pricing", "p1", DRAIN, lasting=False))
        self.assertEqual((self.one.wills.of("pricing"), self.two.state()), ([], READY))
        self.say(self.one, READY)
        self.assertEqual(self.one.state(), READY)
        self.one.directory.apply(AdminStateChanged("pricing", "p1", DRAIN, lasting=False))
        self.say(self.one, READY)
        self.assertEqual(self.one.state(), READY)

    def test_the_gateway_itself(self) -> None:
        """Nobody who can write to the registry drains the admin side."""
        self.one.directory.apply(InstanceAdded(a_record("self", "wmesh-admin")))
        self.one.wills.take(WillsTold((Will("wmesh-admin", "self", 9 * 10**12, Said(DRAIN, 5)),)))
        member = self.one.directory.member("wmesh-admin", "self")
        assert member is not None
        self.assertIs(member.admin, READY)

    def test_what_else_is_told(self) -> None:
        """It goes on as it came."""
        told: list[Event] = []
        wills = Wills(self.one.directory, self.one.registry, told.append, self.clock, None)
        event = InstanceAdded(a_record())
        wills.take(event)
        self.assertEqual(told, [event])

    def test_what_no_registry_could_hold(self) -> None:
        """It is refused, and nothing is done."""
        self.one.put("a b")
        work = self.one.wills.direct("pricing", "a b", DRAIN, UNSET, "me")
        self.failureResultOf(Deferred.fromCoroutine(work), RecordError)
        self.assertEqual((self.one.state("a b"), self.one.wills.of("pricing")), (READY, []))
        self.say(self.one, DRAIN)

    def test_long_ways(self) -> None:
        """A request that came by way of many is still said by somebody."""
        work = self.one.wills.direct("pricing", "p1", DRAIN, UNSET, ", ".join(["10.0.0.1"] * 40))
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(work)), "")
        self.assertEqual(self.two.state(), DRAIN)


class AwayTests(WillsTestCase):
    """The registry is not there, or was not."""

    def look(self) -> None:
        self.clock.advance(LOOK)

    def test_written_later(self) -> None:
        """It holds here at once, the answer says what is wrong, and the others hear of it when the registry is back."""
        self.one.registry.away = True
        self.assertEqual(self.say(self.one, DRAIN), "no answer")
        self.look()
        self.assertEqual((self.one.state(), self.two.state(), self.one.registry.asked), (DRAIN, READY, 1))
        self.one.registry.away = False
        self.look()
        self.assertEqual(self.two.state(), DRAIN)
        self.look()
        self.assertEqual(self.one.registry.asked, 2)

    def test_somebody_else_spoke_later(self) -> None:
        """What was kept back does not overrule what was said since."""
        self.one.registry.away = True
        self.say(self.one, DRAIN)
        self.clock.pump([0.1])
        self.say(self.two, MAINT)
        self.one.registry.away = False
        self.look()
        self.assertEqual((self.one.state(), self.two.state()), (MAINT, MAINT))

    def test_the_registry_lost_everything(self) -> None:
        """Those who know tell it again; an empty registry is not the word of an operator."""
        self.say(self.one, DRAIN, 4)
        self.store.wills.clear()
        for gateway in (self.one, self.two):
            gateway.wills.take(WillsTold((), whole=True))
            self.assertEqual((gateway.state(), gateway.weight()), (DRAIN, 4))
        self.look()
        self.assertEqual([will.state for will in self.store.wills.values()], [self.one.wills.of("pricing")[0].state])

    def test_the_registry_was_put_back_in_time(self) -> None:
        """Of two words the later one stands."""
        self.say(self.one, DRAIN)
        (old,) = self.store.wills.values()
        self.clock.advance(1)
        self.say(self.one, READY)
        self.store.wills["pricing", "p1"] = old
        self.one.wills.take(WillsTold((old,), whole=True))
        self.assertEqual(self.one.state(), READY)
        self.look()
        self.assertEqual(self.two.state(), READY)
        self.assertEqual(self.store.wills["pricing", "p1"].state, self.one.wills.of("pricing")[0].state)

    def test_restart(self) -> None:
        """Though the registry is away, or remembers nothing, a gateway begins with what it knew, and tells it."""
        state_dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, state_dir, True)
        first = self.gateway(state_dir).start()
        first.put()
        first.registry.away = True
        self.say(first, DRAIN)
        first.stop()
        again = self.gateway(state_dir)
        again.start()
        again.put()
        self.assertEqual((again.state(), self.two.state()), (DRAIN, READY))
        self.look()
        self.assertEqual(self.two.state(), DRAIN)

    def test_a_file_of_long_ago(self) -> None:
        """What was to be remembered for so long only is not remembered by a file for longer."""
        state_dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, state_dir, True)
        first = Gateway(self.clock, MemoryStore(self.clock), state_dir).start()
        self.say(first, DRAIN)
        first.stop()
        self.clock.advance(HOLD / 1000 + 1)
        late = Gateway(self.clock, MemoryStore(self.clock), state_dir).start()
        self.assertEqual(late.wills.of("pricing"), [])
        late.stop()

    def test_ready_meanwhile(self) -> None:
        """What a gateway remembers does not undo what was said while it was down."""
        state_dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, state_dir, True)
        first = self.gateway(state_dir).start()
        self.say(first, DRAIN)
        first.stop()
        self.clock.advance(5)
        self.say(self.one, READY)
        again = self.gateway(state_dir)
        again.start()
        again.put()
        self.look()
        self.assertEqual((again.state(), self.two.state()), (READY, READY))


class KeptTests(WillsTestCase):
    """For how long."""

    def days(self, count: float, step: float = KEEP) -> None:
        for _ in range(int(count * 86400 / step)):
            self.clock.advance(step)

    def test_kept_while_somebody_is_there(self) -> None:
        """One gateway that has the instance is enough, and nobody is woken by it."""
        self.say(self.one, DRAIN)
        self.two.directory.apply(InstanceRemoved("pricing", "p1", "lease expired"))
        version = self.store.version
        self.days(20)
        self.assertEqual(self.store.version, version)
        self.two.put()
        self.assertEqual(self.two.state(), DRAIN)

    def test_kept_for_a_week(self) -> None:
        """A drained instance may be away for repair, and then it is forgotten: by all, and in the file."""
        self.say(self.one, DRAIN, 5)
        for gateway in (self.one, self.two):
            gateway.directory.apply(InstanceRemoved("pricing", "p1", "deregistered"))
        self.days(6)
        self.one.put()
        self.assertEqual((self.one.state(), self.one.weight()), (DRAIN, 5))
        self.one.directory.apply(InstanceRemoved("pricing", "p1", "deregistered"))
        self.days(8)
        for gateway in (self.one, self.two):
            self.assertEqual(gateway.wills.of("pricing"), [])
            gateway.put()
            self.assertEqual((gateway.state(), gateway.weight()), (READY, a_record().weight))

    def test_ready_is_not_kept_for_ever(self) -> None:
        """It has done its work after a week, whoever is there."""
        self.say(self.one, DRAIN)
        self.say(self.one, READY)
        self.days(8)
        self.assertEqual((self.one.wills.of("pricing"), self.store.wills), ([], {}))

    def test_forgotten_elsewhere(self) -> None:
        """But not what is owed."""
        self.say(self.one, DRAIN)
        self.one.registry.away = True
        self.say(self.one, weight=5)
        self.one.wills.take(WillsTold((Will("pricing", "p1"),)))
        self.assertEqual((self.one.state(), self.one.weight()), (DRAIN, 5))
        self.two.wills.take(WillsTold((Will("pricing", "p1"), Will("pricing", "nobody"))))
        self.assertEqual(self.two.state(), READY)

    def test_known(self) -> None:
        """Those of instances that are not there, too."""
        self.say(self.one, DRAIN, id="p9")
        self.say(self.one, DRAIN, id="p3")
        self.assertEqual([will.id for will in self.two.wills.of("pricing")], ["p3", "p9"])
        self.assertIsNotNone(self.two.wills.known("pricing", "p9"))
        self.assertIsNone(self.two.wills.known("api", "p9"))
