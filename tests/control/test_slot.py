"""One slot: life after life, whatever ends it; and leaving from every state, with nothing left behind."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.control.scene import DeploymentCase, service
from wmesh.control.slot import follow, within
from wmesh.errors import RegistryError


class LifeTests(DeploymentCase):
    def test_a_crash(self) -> None:
        """Out of the Directory in the same moment, restarted soon, same id and address, another incarnation."""
        self.scene(service("pricing", port=3007))
        self.deploy()
        before = self.directory.member("pricing", "pricing-1").record
        self.launcher.crash("pricing-1")
        self.assertIsNone(self.directory.member("pricing", "pricing-1"))
        self.assertEqual(self.state("pricing")["running"], 0)
        self.pass_time(0.2)
        after = self.directory.member("pricing", "pricing-1").record
        self.assertEqual(after.address, before.address)
        self.assertNotEqual(after.incarnation, before.incarnation)
        self.assertEqual(self.warned, ["pricing-1: killed by SIGKILL; starting it again in 0.1 s"])
        self.assertEqual(self.lines[1], self.warned[0])
        self.assertTrue(self.lines[2].startswith("pricing: 1 of 1 healthy at 127.0.0.1:3007"))
        state = self.state("pricing")
        self.assertEqual((state["restarts"], state["last_exit"], state["running"]), (1, "killed by SIGKILL", 1))

    def test_a_crash_loop(self) -> None:
        """It crashes as soon as it runs: the pauses grow to 30 s, and a minute of health makes them short again."""
        self.scene(service("pricing"))
        self.deploy()
        launches = []
        for _ in range(10):
            self.launcher.crash("pricing-1", "exited with code 1")
            before, count = self.clock.seconds(), len(self.launcher.history)
            while len(self.launcher.history) == count:
                self.clock.advance(0.05)
            launches.append(self.clock.seconds() - before)
            self.pass_time(0.1)
        self.assertLess(launches[0], 0.2)
        self.assertTrue(22 < launches[-1] <= 30.1, launches)
        self.assertEqual(launches, sorted(launches))
        self.pass_time(70)
        self.launcher.crash("pricing-1")
        self.pass_time(0.2)
        self.assertIn("pricing-1", self.launcher.running)

    def test_health_before_the_end_counts(self) -> None:
        """Well for an hour, sick for half a minute, then dead: that is no crash loop."""
        self.scene(service("pricing"))
        self.deploy()
        for _ in range(6):
            self.launcher.crash("pricing-1")
            self.pass_time(8)
        self.pass_time(3600, step=1.0)
        self.sick("pricing")
        self.pass_time(30)
        self.launcher.crash("pricing-1")
        self.pass_time(0.2)
        self.assertIn("pricing-1", self.launcher.running)

    def test_cannot_be_launched(self) -> None:
        """A launch that fails is tried again like a crash."""
        self.scene(service("pricing"))
        self.launcher.fail("pricing-1", "no such command", "no such command")
        done = self.deploy()
        self.pass_time(1)
        self.assertEqual(self.successResultOf(done).healthy, ("pricing",))
        self.assertEqual(self.warned[0], "pricing-1: cannot be started: no such command; starting it again in 0.1 s")
        self.assertEqual(self.launcher.history, ["pricing-1"] * 3)

    def test_an_end_during_the_launch(self) -> None:
        """It is gone before the launcher has even finished: never registered, and tried again."""
        self.scene(service("pricing"))
        self.launcher.hold_launches = True
        self.deploy()
        self.launcher.crash("pricing-1")
        self.launcher.proceed()
        self.assertEqual(self.events, [])
        self.pass_time(0.2)
        self.assertEqual(self.launcher.history, ["pricing-1"] * 2)

    def test_no_registry(self) -> None:
        """The registry is away: said once, tried again, and the instance serves when it is back."""
        self.scene(service("pricing"))
        self.registry_trouble.append(RegistryError("no connection"))
        done = self.deploy()
        self.pass_time(5)
        self.assertEqual(self.lines, ["pricing-1: cannot be registered: no connection; still trying"])
        self.assertEqual(self.warned, self.lines)
        self.registry_trouble.clear()
        self.pass_time(1.5)
        self.successResultOf(done)

    def test_a_port_lost_while_down(self) -> None:
        """Somebody took the port in the pause: the next life moves on to another."""
        self.scene(service("a", port=3007))
        self.deploy()
        self.launcher.crash("a-1")
        self.taken = {3007}
        self.pass_time(0.2)
        self.assertEqual(self.launcher.running["a-1"].address.port, 3008)


class LeavingTests(DeploymentCase):
    def test_draining_ends(self) -> None:
        """A request that never ends holds an instance for stop_timeout, not for ever."""
        self.scene(service("pricing", stop_timeout=3.0))
        self.deploy()
        self.scale("pricing", 2)
        self.pass_time(0.2)
        self.directory.member("pricing", "pricing-2").in_flight = 1
        self.scale("pricing", 1)
        self.pass_time(2.9)
        self.assertIn("pricing-2", self.launcher.running)
        self.pass_time(0.3)
        self.assertNotIn("pricing-2", self.launcher.running)

    def test_a_crash_while_draining(self) -> None:
        """It ends before its time: gone, and not restarted."""
        self.scene(service("pricing"))
        self.deploy()
        self.scale("pricing", 2)
        self.pass_time(0.2)
        self.directory.member("pricing", "pricing-2").in_flight = 1
        self.scale("pricing", 1)
        self.launcher.crash("pricing-2")
        self.pass_time(15)
        self.assertEqual(list(self.launcher.running), ["pricing-1"])
        self.assertEqual(self.launcher.history.count("pricing-2"), 1)

    def test_during_the_pause(self) -> None:
        """Waiting to be restarted: it is not."""
        self.scene(service("api"))
        self.deploy()
        self.launcher.crash("api-1")
        self.successResultOf(self.deployment.stop_all())
        self.pass_time(1)
        self.assertEqual(self.launcher.history, ["api-1"])
        self.assertEqual((self.launcher.running, self.registry.status()["instances"]), ({}, 0))

    def test_the_registry_hangs(self) -> None:
        """Deregistering gets two seconds, then the instance is stopped without."""
        self.scene(service("api"))
        self.deploy()
        object.__setattr__(self.deployment._means, "registry_remove", lambda *_: Deferred())
        done = self.deployment.stop_all()
        self.pass_time(1.9)
        self.assertIn("api-1", self.launcher.running)
        self.pass_time(0.3)
        self.successResultOf(done)


    def said_of_the_registry(self) -> list[tuple[str, str]]:
        """(level, text) of what was logged while everything stopped, and the registry was away."""
        away = RegistryError("no connection")
        object.__setattr__(self.deployment._means, "registry_remove", lambda *_: fail(away))
        with capturedLogs() as logged:
            done = self.deployment.stop_all()
            self.pass_time(0.2)
            self.successResultOf(done)
        return [(event["log_level"].name, formatEvent(event)) for event in logged]

    def test_deregistering_fails(self) -> None:
        """What was registered stays so until its lease ends, and that is worth a warning."""
        self.scene(service("api"))
        self.deploy()
        self.assertEqual(
            self.said_of_the_registry(), [("warn", "api-1 stays registered until its lease ends: no connection")]
        )

    def test_deregistering_what_was_never_registered(self) -> None:
        """Every try to register has failed: then nothing is claimed to stay."""
        self.scene(service("api"))
        self.registry_trouble.append(RegistryError("no connection"))
        self.deploy()
        self.assertEqual(
            self.said_of_the_registry(),
            [("info", "api-1 was never registered, as far as can be told: no connection")],
        )

    def test_deregistering_after_another_life(self) -> None:
        """What is said is about the present life, whatever became of the one before."""
        self.scene(service("api"))
        self.deploy()
        self.registry_trouble.append(RegistryError("no connection"))
        self.launcher.crash("api-1")
        self.pass_time(0.5)
        ((level, _),) = self.said_of_the_registry()
        self.assertEqual(level, "info")

    def test_an_orderly_end_is_no_warning(self) -> None:
        """Scaled down or stopped: nobody is alarmed by what was asked for."""
        self.scene(service("api"))
        self.deploy()
        self.scale("api", 2)
        self.pass_time(0.2)
        self.scale("api", 1)
        self.pass_time(0.2)
        self.successResultOf(self.deployment.stop_all())
        self.assertEqual(self.lines[-1], "api: api-1 stopped")
        self.assertEqual(self.warned, [])


class WaitingTests(SynchronousTestCase):
    def test_within(self) -> None:
        """Waits for the work, but not for ever; the work goes on, and its late end or failure disturbs nobody."""
        clock = Clock()
        work: Deferred[None] = Deferred()
        mine = within(clock, 2.0, work)
        clock.advance(1.9)
        self.assertNoResult(mine)
        clock.advance(0.1)
        self.successResultOf(mine)
        work.callback(None)
        work = Deferred()
        mine = within(clock, 2.0, work)
        work.errback(ZeroDivisionError())
        self.successResultOf(mine)
        self.failureResultOf(work, ZeroDivisionError)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_follow(self) -> None:
        """Everybody who waits has a Deferred of their own; a failure is nobody's but the work's."""
        work: Deferred[None] = Deferred()
        first, second = follow(work), follow(work)
        work.errback(ZeroDivisionError())
        self.successResultOf(first)
        self.successResultOf(second)
        self.failureResultOf(work, ZeroDivisionError)
