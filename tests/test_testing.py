"""The public test kit keeps the promises of the plug points that it stands in for."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from wmesh.errors import LaunchError
from wmesh.model import Address, CheckSpec, InstanceRecord, LoadSample, ServiceSpec
from wmesh.testing import FakeLauncher, ScriptedProbe

SPEC = ServiceSpec("a", command=("x",))
HERE = Address("127.0.0.1", 1)
RECORD = InstanceRecord("a", "a-1", HERE)


class FakeLauncherTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.launcher = FakeLauncher()
        self.exits: list[str] = []

    def launch(self):
        return self.launcher.launch(SPEC, RECORD, self.exits.append)

    def test_launch_and_stop(self) -> None:
        """It runs until it is stopped; being stopped is no exit; stopping twice is no error."""
        launched = self.successResultOf(self.launch())
        self.assertEqual((launched.id, launched.address, launched.load()), ("a-1", HERE, LoadSample()))
        self.assertIn("a-1", self.launcher.running)
        self.successResultOf(launched.stop(1.0))
        self.successResultOf(launched.stop(1.0))
        self.assertEqual((self.launcher.running, self.exits), ({}, []))

    def test_crash(self) -> None:
        """An end that nobody asked for is told once, with its reason."""
        self.successResultOf(self.launch())
        self.launcher.crash("a-1", "killed by SIGSEGV")
        self.assertEqual(self.exits, ["killed by SIGSEGV"])
        self.assertRaises(KeyError, self.launcher.crash, "a-1")

    def test_failures(self) -> None:
        """As many launches fail as reasons were given."""
        self.launcher.fail("a-1", "no disk", "no memory")
        self.assertEqual(str(self.failureResultOf(self.launch(), LaunchError).value), "no disk")
        self.assertEqual(str(self.failureResultOf(self.launch(), LaunchError).value), "no memory")
        self.successResultOf(self.launch())
        self.assertEqual(self.launcher.history, ["a-1"] * 3)

    def test_held(self) -> None:
        """Launching and stopping take as long as the test wants."""
        self.launcher.hold_launches = self.launcher.hold_stops = True
        launch = self.launch()
        self.assertNoResult(launch)
        self.launcher.proceed()
        launched = self.successResultOf(launch)
        stop = launched.stop(1.0)
        self.assertNoResult(stop)
        launched.end()
        self.successResultOf(stop)


class ScriptedProbeTests(SynchronousTestCase):
    def test_answers(self) -> None:
        """All are well, until it is said otherwise: of one, or of everybody."""
        probe, elsewhere = ScriptedProbe(), Address("127.0.0.1", 2)
        other = InstanceRecord("a", "a-2", elsewhere)
        self.assertTrue(self.successResultOf(probe(RECORD, CheckSpec())).ok)
        probe.says(False, "status 503", HERE)
        result = self.successResultOf(probe(RECORD, CheckSpec()))
        self.assertEqual((result.ok, result.reason), (False, "status 503"))
        self.assertTrue(self.successResultOf(probe(other, CheckSpec())).ok)
        probe.says(False, "answers as b", HERE, proof=True)
        self.assertTrue(self.successResultOf(probe(RECORD, CheckSpec())).proof)
        probe.says(False)
        self.assertFalse(self.successResultOf(probe(other, CheckSpec())).ok)
        self.assertEqual(probe.calls, [HERE, HERE, elsewhere, HERE, elsewhere])

    def test_hanging(self) -> None:
        """A hanging check ends when the test answers it, or when it is given up."""
        probe = ScriptedProbe()
        probe.hangs(HERE)
        first, second = probe(RECORD, CheckSpec()), probe(RECORD, CheckSpec())
        probe.answer(HERE, False, "late")
        self.assertEqual(self.successResultOf(first).reason, "late")
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.assertEqual(probe.under_way[HERE], [])
