"""MemoryRegistry keeps the contract, on a clock that the test turns."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.control.registry.contract import RegistryContract
from tests.control.registry.scene import Recorder, a_record
from wmesh.control.registry.memory import MemoryRegistry, MemoryStore
from wmesh.events import InstanceRemoved
from wmesh.model import LoadSample


class MemoryContractTests(RegistryContract, TestCase):
    """The contract, without any real time."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)

    async def client(self, lease: float) -> MemoryRegistry:
        return MemoryRegistry(self.clock, lease=lease, store=self.store)

    async def elapse(self, seconds: float) -> None:
        self.clock.advance(seconds)

    async def until(self, condition: Callable[[], object]) -> None:
        self.assertTrue(condition())


class MemoryTimeTests(SynchronousTestCase):
    """Leases in memory are kept by one delayed call."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.registry = MemoryRegistry(self.clock, lease=10)
        self.told = Recorder()
        self.successResultOf(self.registry.start(self.told))

    def test_one_delayed_call(self) -> None:
        """A thousand leases cost one delayed call, and stopping leaves none."""
        for number in range(1000):
            self.registry.register(a_record(f"p-{number}"))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.successResultOf(self.registry.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_exact(self) -> None:
        """Each lease ends at its own time, however often others were renewed."""
        self.registry.register(a_record("early"))
        self.clock.advance(5)
        self.registry.register(a_record("late"))
        self.clock.advance(4.9)
        self.assertEqual(len(self.told.known), 2)
        self.clock.advance(0.2)
        self.assertEqual(list(self.told.known), ["late"])
        self.registry.renew({("pricing", "late"): LoadSample()})
        self.clock.advance(9.9)
        self.assertEqual(list(self.told.known), ["late"])
        self.clock.advance(0.2)
        self.assertEqual(self.told.events[-1], InstanceRemoved("pricing", "late", "lease expired"))

    def test_monotonic(self) -> None:
        """With a clock of its own for leases, a jump of the reactor's clock ends nothing."""
        monotonic = Clock()
        registry = MemoryRegistry(self.clock, lease=10, now=monotonic.seconds)
        told = Recorder()
        registry.start(told)
        registry.register(a_record())
        self.clock.advance(3600)
        self.assertEqual(len(told.known), 1)
        monotonic.advance(10.1)
        self.clock.advance(10.1)
        self.assertEqual(told.known, {})
        registry.stop()

    def test_restart_after_silence(self) -> None:
        """Leases that ended while nobody was there end as soon as somebody is."""
        self.registry.register(a_record())
        self.successResultOf(self.registry.stop())
        self.clock.advance(60)
        self.successResultOf(self.registry.start(self.told))
        self.clock.advance(0)
        self.assertEqual(self.told.known, {})
        self.successResultOf(self.registry.stop())
