"""What every registry promises (`wmesh.interfaces.Registry`), as tests that each kind must pass.

A kind mixes `RegistryContract` into its TestCase and says how to make clients of one common store, how to let time pass
and how to wait. The promises are written once; a new kind of registry begins by passing them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.task import deferLater

from tests.control.registry.scene import Recorder, a_record
from tests.waiting import until
from wmesh.errors import RecordError, RegistryError
from wmesh.events import InstanceAdded, InstanceRemoved, InstancesReset, InstanceUpdated, LoadReported, WillsTold
from wmesh.interfaces import Registry
from wmesh.model import Address, AdminState, LoadSample, Said, Will

LONG = 9 * 10**12
"""Milliseconds since 1970: far away."""


def a_will(id: str = "pricing-1", **changes: Any) -> Will:
    """A drained instance, not to be forgotten soon."""
    return replace(Will("pricing", id, LONG, Said(AdminState.DRAIN, 1000, "10.0.0.9 at gw-1")), **changes)


class RegistryContract:
    """Mixed into a trial TestCase. `LEASE` is in seconds."""

    LEASE = 1.0

    async def client(self, lease: float) -> Registry:
        """A client, not started, of the store that all clients of one test share. The test's end stops it."""
        raise NotImplementedError

    async def elapse(self, seconds: float) -> None:
        raise NotImplementedError

    async def until(self, condition: Callable[[], object]) -> None:
        raise NotImplementedError

    async def started(self, lease: float = 60.0) -> tuple[Registry, Recorder]:
        registry, told = await self.client(lease), Recorder()
        await registry.start(told)
        return registry, told

    async def test_reset_comes_first(self: Any) -> None:
        """When start finishes, the sink knows all there was, whoever put it there."""
        first, told = await self.started()
        self.assertEqual(told.events, [InstancesReset("registry", ())])
        await first.register(a_record())
        _, later = await self.started()
        self.assertEqual(later.events, [InstancesReset("registry", (a_record(),))])

    async def test_registration_reaches_all(self: Any) -> None:
        """Both the one who registers and another hear of it, in the same words."""
        one, told = await self.started()
        _, other = await self.started()
        await one.register(replace(a_record(), origin="launched"))
        await self.until(lambda: told.known and other.known)
        self.assertEqual(told.events[1:], [InstanceAdded(a_record())])
        self.assertEqual(other.events[1:], [InstanceAdded(a_record())])

    async def test_same_again_tells_nothing(self: Any) -> None:
        """Registering the same record twice wakes nobody."""
        one, told = await self.started()
        await one.register(a_record())
        await one.register(a_record())
        await one.register(a_record("pricing-2"))
        await self.until(lambda: len(told.known) == 2)
        self.assertEqual(told.events[1:], [InstanceAdded(a_record()), InstanceAdded(a_record("pricing-2"))])

    async def test_update(self: Any) -> None:
        """Another weight of the same life is an update."""
        one, told = await self.started()
        await one.register(a_record())
        await one.register(a_record(weight=5))
        await self.until(lambda: told.of(InstanceUpdated))
        self.assertEqual(told.events[1:], [InstanceAdded(a_record()), InstanceUpdated(a_record(weight=5))])

    async def test_other_life_is_another_instance(self: Any) -> None:
        """A new incarnation, or another address, under a known id: the old instance leaves, a new one comes."""
        one, told = await self.started()
        await one.register(a_record())
        for new in (
            a_record(incarnation="second"),
            a_record(incarnation="second", address=Address("127.0.0.1", 3008)),
        ):
            del told.events[:]
            await one.register(new)
            await self.until(lambda new=new: told.known.get(new.id) == new)
            removed = InstanceRemoved("pricing", "pricing-1", "replaced by another incarnation")
            self.assertEqual(told.events[-2:], [removed, InstanceAdded(new)])

    async def test_deregister(self: Any) -> None:
        """Taken out at once, for all; taking out what is not there is no error."""
        one, _ = await self.started()
        other, told = await self.started()
        await one.register(a_record())
        await other.deregister("pricing", "pricing-1")
        await self.until(lambda: told.of(InstanceRemoved))
        self.assertEqual(told.events[-1], InstanceRemoved("pricing", "pricing-1", "deregistered"))
        await one.deregister("pricing", "pricing-1")
        await one.deregister("nobody", "knows")

    async def test_deregister_spares_another(self: Any) -> None:
        """Who registered under an id takes out that registration, not what somebody else has put there since."""
        one, told = await self.started()
        other, _ = await self.started()
        theirs = a_record(incarnation="theirs")
        await one.register(a_record())
        await other.register(theirs)
        await one.deregister("pricing", "pricing-1")
        await one.register(a_record("pricing-2"))
        await self.until(lambda: len(told.known) == 2)
        self.assertEqual(told.known["pricing-1"], theirs)
        # By now it holds nothing there, so it means whatever stands there.
        await one.deregister("pricing", "pricing-1")
        await self.until(lambda: len(told.known) == 1)
        self.assertEqual(told.events[-1], InstanceRemoved("pricing", "pricing-1", "deregistered"))

    async def test_deregister_after_a_change(self: Any) -> None:
        """What counts is what was registered last: an update, and a record made again after its lease ended."""
        one, told = await self.started(self.LEASE)
        await one.register(a_record())
        await one.register(a_record(weight=5))
        await self.until(lambda: told.of(InstanceUpdated))
        await one.deregister("pricing", "pricing-1")
        await self.until(lambda: not told.known)
        await one.register(a_record())
        await self.until(lambda: told.known)
        await self.elapse(self.LEASE * 1.1)
        await self.until(lambda: not told.known)
        await one.register(a_record())
        await self.until(lambda: told.known)
        await one.deregister("pricing", "pricing-1")
        await self.until(lambda: not told.known)
        self.assertEqual(told.events[-1], InstanceRemoved("pricing", "pricing-1", "deregistered"))

    async def test_refused_is_not_held(self: Any) -> None:
        """A record that was refused at the way in changes nothing, also not what is taken out later."""
        one, told = await self.started()
        other, _ = await self.started()
        await other.register(a_record())
        with self.assertRaises(RecordError):
            await one.register(a_record(weight=0))
        await one.deregister("pricing", "pricing-1")
        await one.register(a_record("pricing-2"))
        await self.until(lambda: "pricing-2" in told.known)
        self.assertEqual(list(told.known), ["pricing-2"])

    async def test_lease_ends(self: Any) -> None:
        """Who is not renewed is gone after a lease, for all, and not before."""
        one, told = await self.started(self.LEASE)
        _, other = await self.started(self.LEASE)
        await one.register(a_record())
        await self.until(lambda: told.known and other.known)
        await self.elapse(self.LEASE * 0.5)
        self.assertEqual(len(told.known), 1)
        await self.elapse(self.LEASE * 0.6)
        await self.until(lambda: not told.known and not other.known)
        self.assertEqual(told.events[-1], InstanceRemoved("pricing", "pricing-1", "lease expired"))
        self.assertEqual(other.events[-1], InstanceRemoved("pricing", "pricing-1", "lease expired"))

    async def test_renewing_keeps(self: Any) -> None:
        """Who is renewed stays, beyond any number of leases, and nobody is woken by it."""
        one, told = await self.started(self.LEASE)
        await one.register(a_record())
        await one.register(a_record("pricing-2"))
        for _ in range(8):
            await self.elapse(self.LEASE * 0.3)
            self.assertEqual(await one.renew({("pricing", "pricing-1"): LoadSample()}), [])
        await self.until(lambda: len(told.known) == 1)
        self.assertEqual(list(told.known), ["pricing-1"])
        self.assertEqual(len(told.events), 4)

    async def test_renew_answers_the_unknown(self: Any) -> None:
        """Who is not registered is named, and is not registered by being renewed."""
        one, told = await self.started()
        await one.register(a_record())
        beats = {("pricing", "pricing-1"): LoadSample(), ("pricing", "lost"): LoadSample(1.0, 2)}
        self.assertEqual(await one.renew(beats), [("pricing", "lost")])
        self.assertNotIn("lost", told.known)

    async def test_loads(self: Any) -> None:
        """Samples reach all sinks, once for each change."""
        one, told = await self.started()
        _, other = await self.started()
        await one.register(a_record())
        await self.until(lambda: told.known and other.known)
        sample = LoadSample(cpu=12.5, memory=1000)
        key = ("pricing", "pricing-1")
        await one.renew({key: sample})
        await self.until(lambda: told.of(LoadReported) and other.of(LoadReported))
        await one.renew({key: sample})
        await one.renew({key: LoadSample()})
        await one.renew({key: LoadSample(memory=2000)})
        await self.until(lambda: len(told.of(LoadReported)) > 1 and len(other.of(LoadReported)) > 1)
        expected = [LoadReported(*key, sample), LoadReported(*key, LoadSample(memory=2000))]
        self.assertEqual(told.of(LoadReported), expected)
        self.assertEqual(other.of(LoadReported), expected)

    async def test_wills_reach_all(self: Any) -> None:
        """What an operator says is told to all, of instances that are registered and of those that are not, once."""
        one, told = await self.started()
        _, other = await self.started()
        await one.direct([a_will(), a_will("nobody")], 0)
        await one.direct([a_will(until=LONG + 1)], 0)
        await one.direct([a_will(weight=Said(5, 2000, "me"))], 0)
        await self.until(lambda: len(told.of(WillsTold)) > 2 and len(other.of(WillsTold)) > 2)
        both = a_will(until=LONG + 1, weight=Said(5, 2000, "me"))
        expected = [WillsTold((a_will(),)), WillsTold((a_will("nobody"),)), WillsTold((both,))]
        self.assertEqual((told.of(WillsTold), other.of(WillsTold)), (expected, expected))

    async def test_wills_come_before_instances(self: Any) -> None:
        """Who begins to watch must not send requests to a drained instance first; and a will outlives its instance."""
        one, told = await self.started()
        await one.register(a_record())
        await one.direct([a_will()], 0)
        await one.deregister("pricing", "pricing-1")
        await self.until(lambda: told.of(InstanceRemoved))
        _, later = await self.started()
        self.assertEqual(later.events, [WillsTold((a_will(),), whole=True), InstancesReset("registry", ())])

    async def test_the_later_word_stands(self: Any) -> None:
        """State and weight each on their own, in whichever order they arrive; of the same moment, the first."""
        one, told = await self.started()
        weight = Said(7, 5000, "me")
        await one.direct([a_will(weight=weight)], 0)
        for since in (999, 1000):
            await one.direct([a_will(state=Said(AdminState.READY, since, "late"))], 0)
        await one.direct([a_will(state=Said(AdminState.MAINT, 1001, "later"), weight=Said(None, 4000, "late"))], 0)
        await self.until(lambda: len(told.of(WillsTold)) == 2)
        stands = a_will(state=Said(AdminState.MAINT, 1001, "later"), weight=weight)
        self.assertEqual(told.of(WillsTold)[1:], [WillsTold((stands,))])
        await one.direct([a_will(weight=Said(None, 6000, "me"))], 0)
        await self.until(lambda: len(told.of(WillsTold)) == 3)
        self.assertEqual(told.of(WillsTold)[-1].wills[0].weight, Said(None, 6000, "me"))

    async def test_wills_are_forgotten(self: Any) -> None:
        """What was to be remembered until now only: all are told, and nobody who comes later."""
        one, told = await self.started()
        await one.direct([a_will(until=2000), a_will("other")], 1)
        await one.direct([], 3000)
        await self.until(lambda: WillsTold((Will("pricing", "pricing-1"),)) in told.events)
        _, later = await self.started()
        self.assertEqual(later.of(WillsTold), [WillsTold((a_will("other"),), whole=True)])

    async def test_wills_that_are_refused(self: Any) -> None:
        """At the way in, as records are."""
        one, told = await self.started()
        for bad in (a_will("a b"), a_will(until=0), a_will(weight=Said(0, 1)), a_will(state=None)):
            with self.assertRaises(RecordError):
                await one.direct([bad], 0)
        await one.direct([a_will()], 0)
        await self.until(lambda: told.of(WillsTold))
        self.assertEqual(told.of(WillsTold), [WillsTold((a_will(),))])

    async def test_lies_are_refused(self: Any) -> None:
        """A record that nobody could use is refused at the way in, and nobody hears of it."""
        one, told = await self.started()
        for bad in (a_record(weight=0), a_record(address=Address("127.0.0.1", 99999)), a_record("line\nbreak")):
            with self.assertRaises(RecordError):
                await one.register(bad)
        await one.register(a_record())
        await self.until(lambda: told.known)
        self.assertEqual(told.events[1:], [InstanceAdded(a_record())])

    async def test_stop(self: Any) -> None:
        """After stop nothing is told; what was registered stays until its lease ends. Stopping twice is no error."""
        one, told = await self.started()
        await one.register(a_record())
        await self.until(lambda: told.known)
        await one.stop()
        await one.stop()
        before = len(told.events)
        other, later = await self.started()
        self.assertEqual(list(later.known), ["pricing-1"])
        await other.deregister("pricing", "pricing-1")
        await self.until(lambda: not later.known)
        self.assertEqual(len(told.events), before)

    async def test_start_twice(self: Any) -> None:
        """A registry has one sink."""
        one, _ = await self.started()
        with self.assertRaises(RegistryError):
            await one.start(Recorder())

    async def test_status(self: Any) -> None:
        """For people: what it is, whether it is there, how old the last word is, how much it holds."""
        one, told = await self.started()
        await one.register(a_record())
        await self.until(lambda: told.known)
        status = one.status()
        self.assertTrue(status["connected"])
        self.assertEqual(status["instances"], 1)
        self.assertGreater(status["version"], 0)
        self.assertIsNone(status["problem"])
        self.assertLess(status["age"], 10)


class RealTimeContract(RegistryContract):
    """For those who keep their leases by a server's clock, which nobody turns."""

    async def elapse(self, seconds: float) -> None:
        from twisted.internet import reactor

        await deferLater(reactor, seconds)

    async def until(self, condition: Callable[[], object]) -> None:
        await until(condition)
