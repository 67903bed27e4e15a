"""The heart: it beats on its clock, holds what it answers for, and nothing but stop() stops it."""

from __future__ import annotations

import random
from collections.abc import Mapping

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.control.registry.scene import Recorder, a_record
from wmesh.control.heartbeat import Heartbeat, Key
from wmesh.control.registry.memory import MemoryRegistry
from wmesh.errors import RegistryError
from wmesh.events import LoadReported
from wmesh.model import LoadSample

KEY = ("pricing", "pricing-1")


class Moody(MemoryRegistry):
    """A registry that notes beats and, while `mood` is set, fails with it."""

    mood: Exception | None = None
    hangs = False

    def renew(self, beats: Mapping[Key, LoadSample]) -> Deferred:
        self.beats.append((self.clock.seconds(), dict(beats)))
        if self.hangs:
            return Deferred()
        return fail(self.mood) if self.mood else super().renew(beats)


class HeartbeatTests(SynchronousTestCase):
    """Heartbeat on a clock that the test turns."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.registry = Moody(self.clock, lease=15)
        self.registry.clock, self.registry.beats = self.clock, []
        self.told = Recorder()
        self.registry.start(self.told)
        self.loads: dict[Key, LoadSample] = {}
        self.heart = self.make(self.collect)
        self.registry.register(a_record())
        self.heart.add(a_record())
        self.heart.start()
        self.addCleanup(self.heart.stop)

    def make(self, collect) -> Heartbeat:
        return Heartbeat(self.registry, 5.0, self.clock, random.Random(1), collect)

    def collect(self) -> Mapping[Key, LoadSample]:
        return self.loads

    def run_for(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(seconds * 10))

    def test_jitter(self) -> None:
        """Beats come every five seconds, a fifth more or less, and not all the same."""
        self.run_for(500)
        times = [time for time, _ in self.registry.beats]
        gaps = [later - earlier for earlier, later in zip([0.0, *times], times, strict=False)]
        self.assertTrue(all(3.9 <= gap <= 6.2 for gap in gaps), gaps)
        self.assertGreater(max(gaps) - min(gaps), 1.0)
        self.assertTrue(4.7 < sum(gaps) / len(gaps) < 5.3, gaps)

    def test_keeps_alive(self) -> None:
        """What was added lives on; what was removed is let go; starting twice starts one heart."""
        self.heart.start()
        self.run_for(60)
        self.assertEqual(list(self.told.known), ["pricing-1"])
        self.assertLess(len(self.registry.beats), 16)
        self.heart.remove(*KEY)
        self.heart.remove("never", "there")
        self.run_for(20)
        self.assertEqual(self.told.known, {})

    def test_loads_travel(self) -> None:
        """What collect says goes with the beat; who was not measured is renewed all the same."""
        self.registry.register(a_record("pricing-2"))
        self.heart.add(a_record("pricing-2"))
        self.loads[KEY] = LoadSample(50.0, 1000)
        self.run_for(7)
        self.assertEqual(self.told.of(LoadReported), [LoadReported(*KEY, LoadSample(50.0, 1000))])
        self.assertEqual(len(self.registry.beats[0][1]), 2)

    def test_registers_again(self) -> None:
        """What the registry no longer knows is registered again."""
        self.registry.deregister(*KEY)
        self.assertEqual(self.told.known, {})
        self.run_for(7)
        self.assertEqual(list(self.told.known), ["pricing-1"])

    def test_failures_do_not_stop_it(self) -> None:
        """It goes on through failures of any kind, and tells of a change of state, not of each beat."""
        with capturedLogs() as logged:
            self.registry.mood = RegistryError("gone")
            self.run_for(60)
            self.registry.mood = None
            self.run_for(10)
        self.assertGreater(len(self.registry.beats), 9)
        self.assertEqual(list(self.told.known), ["pricing-1"])
        self.assertEqual([event["log_level"].name for event in logged], ["warn", "info", "info"])

    def test_faults_do_not_stop_it(self) -> None:
        """A fault that is not the registry's is logged with its trace, and beating goes on."""
        self.registry.mood = ZeroDivisionError("ours")
        self.run_for(7)
        self.registry.mood = None
        self.run_for(60)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(list(self.told.known), ["pricing-1"])

    def test_unmeasurable(self) -> None:
        """If loads cannot be measured, leases are renewed all the same, and it is told once."""
        self.heart.stop()
        trouble = [True]

        def collect() -> Mapping[Key, LoadSample]:
            return {} if not trouble else {}[KEY]

        self.heart = self.make(collect)
        self.heart.add(a_record())
        self.heart.start()
        self.run_for(60)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertEqual(list(self.told.known), ["pricing-1"])
        trouble.clear()
        self.run_for(10)
        trouble.append(True)
        self.run_for(10)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.heart.stop()

    def test_never_two_beats_at_once(self) -> None:
        """While a beat has no answer there is no other."""
        self.registry.hangs = True
        self.run_for(60)
        self.assertEqual(len(self.registry.beats), 1)

    def test_stop(self) -> None:
        """Stopping leaves no delayed call, also in the middle of a beat; the heart can be started again."""
        self.registry.stop()
        self.heart.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.heart.stop()
        self.heart.start()
        self.registry.hangs = True
        self.run_for(7)
        self.heart.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_to_renew(self) -> None:
        """Without instances there is nothing to say."""
        self.heart.remove(*KEY)
        self.run_for(30)
        self.assertEqual(self.registry.beats, [])
