"""Who is checked when, on a clock that the test turns. Nothing here waits, and nothing is left to luck."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from wmesh.balance.round_robin import RoundRobin
from wmesh.cluster.directory import Directory
from wmesh.control.prober import Prober
from wmesh.events import AdminStateChanged, Event, HealthChanged, InstanceAdded, InstanceRemoved
from wmesh.model import Address, AdminState, CheckResult, CheckSpec, Health, InstanceRecord, ServiceSpec
from wmesh.testing import ScriptedProbe

CHECK = CheckSpec(path="/health", interval=15.0, fast_interval=1.0, fall=3, rise=2)


def record(id: str = "a-1", port: int = 1, service: str = "a", origin: str = "registry") -> InstanceRecord:
    return InstanceRecord(service, id, Address("10.0.0.1", port), incarnation="1", origin=origin)


class ProberCase(SynchronousTestCase):
    """A directory with service "a", whose checks the test scripts."""

    def scene(self, *specs: ServiceSpec, concurrency: int = 64) -> None:
        self.clock = Clock()
        self.directory = Directory(
            specs or (ServiceSpec("a", check=CHECK, start_timeout=30.0),),
            lambda spec: RoundRobin(spec, Random(1)),
            self.clock.seconds,
        )
        self.probe = ScriptedProbe()
        self.prober = Prober(self.directory, self.clock, Random(1), lambda spec: self.probe, concurrency)
        self.events: list[Event] = []
        self.directory.subscribe(self.events.append)

    def setUp(self) -> None:
        self.scene()

    def add(self, *records: InstanceRecord) -> None:
        for one in records:
            self.directory.apply(InstanceAdded(one))

    def health(self, id: str = "a-1", service: str = "a") -> Health:
        member = self.directory.member(service, id)
        assert member is not None
        return member.health.state

    def pass_time(self, seconds: float, step: float = 0.05) -> None:
        for _ in range(round(seconds / step)):
            self.clock.advance(step)

    def checked_at(self, seconds: float) -> list[float]:
        """When checks begin in the next `seconds`."""
        times: list[float] = []
        for _ in range(round(seconds / 0.01)):
            before = len(self.probe.calls)
            self.clock.advance(0.01)
            times += [self.clock.seconds()] * (len(self.probe.calls) - before)
        return times


class FirstChecksTests(ProberCase):
    def test_a_new_member_is_checked_at_once(self) -> None:
        """It does not wait for a sweep: one turn of the reactor, no time at all."""
        self.prober.start()
        self.clock.advance(0.2)
        self.add(record())
        self.assertEqual(self.probe.calls, [])
        self.clock.advance(0)
        self.assertEqual(self.probe.calls, [Address("10.0.0.1", 1)])
        self.assertIs(self.health(), Health.HEALTHY)

    def test_later_sinks_hear_first_things_first(self) -> None:
        """Even with a probe that answers at once, nobody hears of health before hearing of the instance."""
        self.prober.start()
        self.add(record())
        self.clock.advance(0)
        self.assertEqual([type(event) for event in self.events], [InstanceAdded, HealthChanged])

    def test_starting_instances_are_asked_often(self) -> None:
        """0.1 s at first, growing to fast_interval: readiness is seen within a quarter of the time that it took."""
        self.probe.says(False, "refused")
        self.prober.start()
        self.add(record())
        self.clock.advance(0)
        times = self.checked_at(12.0)
        pauses = [after - before for before, after in pairwise([0.0, *times])]
        self.assertLess(pauses[0], 0.2)
        self.assertGreater(len([time for time in times if time < 1.0]), 4)
        for time, pause in zip(times, pauses, strict=True):
            self.assertLess(pause, 0.4 * time + 0.1)
            self.assertLess(pause, 1.0 * 1.15 + 0.06)
        self.assertGreater(pauses[-1], 0.8)

    def test_starting_is_not_sick(self) -> None:
        """What does not answer yet while it starts stays UNKNOWN, with the reason; one good answer is enough then."""
        self.probe.says(False, "refused")
        self.prober.start()
        self.add(record())
        self.pass_time(5)
        self.assertIs(self.health(), Health.UNKNOWN)
        self.assertEqual(self.directory.member("a", "a-1").health.reason, "starting: refused")
        self.probe.says(True)
        self.pass_time(1.3)
        self.assertIs(self.health(), Health.HEALTHY)

    def test_a_stranger_is_not_starting(self) -> None:
        """Proof that somebody else answers is not forgiven, and not waited for a second time."""
        self.probe.says(False, "answers as b-1, expected a-1", proof=True)
        self.prober.start()
        self.add(record())
        self.clock.advance(0)
        self.assertEqual((len(self.probe.calls), self.health()), (1, Health.UNHEALTHY))
        self.assertEqual(self.directory.member("a", "a-1").health.reason, "answers as b-1, expected a-1")

    def test_late_starters_are_sick(self) -> None:
        """After start_timeout failures count, and three of them decide."""
        self.probe.says(False, "refused")
        self.prober.start()
        self.add(record())
        self.pass_time(30)
        self.assertIs(self.health(), Health.UNKNOWN)
        self.pass_time(4.5)
        self.assertIs(self.health(), Health.UNHEALTHY)

    def test_static_instances_get_no_grace(self) -> None:
        """They were there before us: three failures in a row, and they are sick. They are still asked often."""
        self.add(record(origin="static"))
        self.probe.says(False, "refused")
        self.prober.start()
        self.pass_time(1)
        self.assertIs(self.health(), Health.UNHEALTHY)
        self.probe.says(True)
        self.pass_time(1.5)
        self.assertIs(self.health(), Health.HEALTHY)


class CadenceTests(ProberCase):
    def test_the_normal_interval(self) -> None:
        """A settled instance is asked every 15 s, 15% more or less."""
        self.prober.start()
        self.add(record())
        self.clock.advance(0)
        times = self.checked_at(200)
        pauses = [after - before for before, after in pairwise(times)]
        self.assertGreater(len(pauses), 10)
        for pause in pauses:
            self.assertTrue(12.7 <= pause <= 17.4, pause)
        self.assertGreater(len({round(pause, 1) for pause in pauses}), 5)

    def test_a_failure_makes_it_faster(self) -> None:
        """While the evidence is changing, checks come every second: three failures take 2 s, not half a minute."""
        self.prober.start()
        self.add(record())
        self.clock.advance(0)
        self.probe.says(False, "status 503")
        while len(self.probe.calls) < 2:
            self.clock.advance(0.05)
        self.assertIs(self.health(), Health.HEALTHY)
        self.pass_time(1.5)
        self.assertIs(self.health(), Health.HEALTHY)
        self.pass_time(1.0)
        self.assertIs(self.health(), Health.UNHEALTHY)

    def test_a_fleet_is_spread(self) -> None:
        """A thousand that appeared together are asked evenly afterwards: no second gets more than thrice its share."""
        self.prober.start()
        self.add(*(record(f"a-{number}", number) for number in range(1, 1001)))
        self.clock.advance(0)
        self.assertEqual(len(self.probe.calls), 1000)
        self.pass_time(2)
        for _ in range(45):
            before = len(self.probe.calls)
            self.pass_time(1)
            self.assertLess(len(self.probe.calls) - before, 3 * 1000 / 15)

    def test_it_sleeps_until_somebody_is_due(self) -> None:
        """The LoopingCall's interval is the time until the next check: no wake-up finds nothing to do."""
        sweeps = []
        original = self.prober._sweep
        self.patch(self.prober, "_sweep", lambda: (sweeps.append(self.clock.seconds()), original()))
        self.prober.start()
        self.pass_time(3000, step=1.0)
        self.assertEqual(sweeps, [])
        self.add(record())
        self.pass_time(600)
        self.assertGreater(len(self.probe.calls), 30)
        self.assertLessEqual(len(sweeps), len(self.probe.calls) + 1)

    def test_many_are_begun_together(self) -> None:
        """With a check due every millisecond, it still wakes up no more than twenty times a second."""
        self.prober.start()
        self.add(*(record(f"a-{number}", number) for number in range(1, 10_001)))
        while len(self.probe.calls) < 10_000:
            self.clock.advance(0)
        self.pass_time(20)
        sweeps = []
        original = self.prober._sweep
        self.patch(self.prober._sweeps, "f", lambda: (sweeps.append(1), original()))
        before = len(self.probe.calls)
        self.pass_time(3, step=0.001)
        self.assertGreater(len(self.probe.calls) - before, 1500)
        self.assertLessEqual(len(sweeps), 61)

    def test_a_sweep_costs_what_there_is_to_do(self) -> None:
        """With nothing due, a sweep looks at one entry, however many members there are."""
        self.prober.start()
        self.add(*(record(f"a-{number}", number) for number in range(1, 1001)))
        self.clock.advance(0)
        looks = []
        due = self.prober._heap[0][0]
        original = self.prober._check
        self.patch(self.prober, "_check", lambda watch, now: (looks.append(watch), original(watch, now)))
        while self.clock.seconds() + 0.05 < due:
            self.clock.advance(0.05)
        self.assertEqual(looks, [])
        self.assertEqual(len(self.prober._heap), 1000)


class BoundsTests(ProberCase):
    def test_concurrency(self) -> None:
        """No more than so many at once; when one ends, the next begins without waiting for a sweep."""
        self.scene(concurrency=2)
        self.probe.hangs()
        self.prober.start()
        self.add(*(record(f"a-{number}", number) for number in range(1, 6)))
        self.clock.advance(0)
        self.assertEqual(len(self.probe.calls), 2)
        self.pass_time(1)
        self.assertEqual(len(self.probe.calls), 2)
        self.probe.answer(self.probe.calls[0], True)
        self.clock.advance(0)
        self.assertEqual(len(self.probe.calls), 3)

    def test_who_hangs_keeps_nobody_waiting(self) -> None:
        """Of those whose last check failed no more than half of the room is filled, in turns, and none is forgotten."""
        self.scene(ServiceSpec("a", check=CHECK, start_timeout=30.0), concurrency=4)
        sick = [record(f"sick-{number}", number, origin="static") for number in range(1, 11)]
        for one in sick:
            self.probe.says(False, "refused", one.address)
        self.prober.start()
        self.add(*sick)
        self.pass_time(5)
        for one in sick:
            self.probe.hangs(one.address)
        self.pass_time(20)
        self.assertEqual(len(self.prober._running), 2)
        self.add(record("well", 99))
        self.clock.advance(0)
        self.assertIs(self.health("well"), Health.HEALTHY)
        before = len(self.probe.calls)
        # MAINT on the way must not break the chain of those that wait.
        self.directory.apply(AdminStateChanged("a", "sick-9", AdminState.MAINT))
        for _ in range(30):
            waiting = next(address for address, checks in self.probe.under_way.items() if checks)
            self.probe.answer(waiting, False)
            self.pass_time(0.2)
        asked = {address.port for address in self.probe.calls[before:]}
        self.assertEqual(asked - {99}, set(range(1, 11)) - {9} | (asked & {9}))
        self.assertEqual(len(self.prober._running), 2)

    def test_many_that_never_answered(self) -> None:
        """Not even the first checks of a thousand that hang keep one waiting that is known to be well."""
        self.scene(concurrency=4)
        self.prober.start()
        self.add(record("well", 99))
        self.pass_time(1)
        self.probe.hangs()
        self.probe.says(True, "", Address("10.0.0.1", 99))
        self.add(*(record(f"new-{number}", number) for number in range(1, 1001)))
        before = len(self.probe.calls)
        self.pass_time(60)
        asked = [address.port for address in self.probe.calls[before:]]
        self.assertEqual(len([port for port in asked if port != 99]), 3)
        self.assertGreaterEqual(asked.count(99), 3)

    def test_a_new_one_among_many_that_fail(self) -> None:
        """Whoever is new does not stand in the line of those that failed before."""
        self.scene(ServiceSpec("a", check=CHECK, start_timeout=30.0), concurrency=8)
        sick = [record(f"sick-{number}", number, origin="static") for number in range(1, 101)]
        self.probe.says(False, "refused")
        self.prober.start()
        self.add(*sick)
        self.pass_time(5)
        self.probe.hangs()
        self.pass_time(20)
        self.assertEqual(len(self.prober._running), 4)
        self.probe.says(True, "", Address("10.0.0.1", 999))
        self.add(record("new", 999))
        self.clock.advance(0)
        self.assertIs(self.health("new"), Health.HEALTHY)

    def test_one_check_per_member(self) -> None:
        """A check that takes longer than the interval is not overtaken by the next."""
        self.probe.hangs()
        self.prober.start()
        self.add(record())
        self.pass_time(60)
        self.assertEqual(len(self.probe.calls), 1)

    def test_members_that_left(self) -> None:
        """A check of somebody who left is given up, and its slot is free again."""
        self.scene(concurrency=1)
        self.probe.hangs()
        self.prober.start()
        self.add(record("a-1", 1), record("a-2", 2))
        self.clock.advance(0)
        self.directory.apply(InstanceRemoved("a", "a-1", "deregistered"))
        self.assertEqual(self.probe.under_way[Address("10.0.0.1", 1)], [])
        self.clock.advance(0)
        self.assertEqual(self.probe.calls[-1], Address("10.0.0.1", 2))
        self.pass_time(60)
        self.assertEqual(len(self.probe.calls), 2)

    def test_a_new_life_of_the_same_id(self) -> None:
        """Another incarnation is watched anew; what is learned of the old one says nothing about it."""
        self.probe.hangs()
        self.prober.start()
        self.add(record(port=1))
        self.clock.advance(0)
        self.add(record(port=2))
        self.clock.advance(0)
        self.assertEqual([address.port for address in self.probe.calls], [1, 2])
        self.assertIs(self.health(), Health.UNKNOWN)


class NotCheckedTests(ProberCase):
    def test_maintenance(self) -> None:
        """In MAINT nobody asks; back from it, the question comes at once. DRAIN is checked on."""
        self.prober.start()
        self.add(record())
        self.clock.advance(0)
        self.directory.apply(AdminStateChanged("a", "a-1", AdminState.MAINT))
        self.pass_time(60)
        self.assertEqual(len(self.probe.calls), 1)
        self.directory.apply(AdminStateChanged("a", "a-1", AdminState.DRAIN))
        self.clock.advance(0)
        self.assertEqual(len(self.probe.calls), 2)
        self.pass_time(20)
        self.assertGreater(len(self.probe.calls), 2)

    def test_checks_off(self) -> None:
        """Services without checks, and what is built into the gateway, are left alone."""
        self.scene(ServiceSpec("a", check=CHECK), ServiceSpec("b", check=CheckSpec(enabled=False)))
        self.prober.start()
        self.add(record("b-1", 1, "b"), record("a-1", 2, "a", origin="builtin"))
        self.pass_time(30)
        self.assertEqual(self.probe.calls, [])

    def test_after_stop(self) -> None:
        """Nothing runs, nothing is scheduled, news is ignored; and it can start again."""
        self.probe.hangs()
        self.prober.start()
        self.add(record())
        self.clock.advance(0)
        self.prober.stop()
        self.assertEqual(self.probe.under_way[Address("10.0.0.1", 1)], [])
        self.add(record("a-2", 2))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.prober.start()
        self.clock.advance(0)
        self.assertEqual(len(self.probe.calls), 3)


class WarningTests(ProberCase):
    def test_told_once(self) -> None:
        """However many instances warn of the same however often, the log says it once; the member keeps it."""
        self.probe._answers[None] = CheckResult(True, "status 200", 0.5, warning="the certificate ends on 2030-01-01")
        with capturedLogs() as events:
            self.prober.start()
            self.add(record("a-1", 1), record("a-2", 2))
            self.pass_time(60)
            self.assertEqual(self.directory.member("a", "a-2").warning, "the certificate ends on 2030-01-01")
            self.assertEqual(self.directory.member("a", "a-2").checked, 0.5)
            self.probe.says(False, "refused")
            self.pass_time(20)
            self.assertEqual(self.directory.member("a", "a-2").warning, "the certificate ends on 2030-01-01")
            self.probe.says(True)
            self.pass_time(20)
        self.assertEqual(self.directory.member("a", "a-2").warning, "")
        lines = [formatEvent(event) for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(lines, ["a: the certificate ends on 2030-01-01"])


class TroubleTests(ProberCase):
    def test_a_probe_that_breaks(self) -> None:
        """A probe promises not to fail; when one does, that is a bad result, and checking goes on."""
        self.add(record(origin="static"))
        self.patch(self.prober, "_probe_for", lambda spec: _broken)
        self.prober.start()
        self.pass_time(3)
        self.assertIs(self.health(), Health.UNHEALTHY)
        self.assertEqual(self.directory.member("a", "a-1").health.reason, "the check itself failed")
        self.assertGreaterEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)

    def test_a_sink_that_breaks(self) -> None:
        """Not even a failure in the middle of everything stops the sweeps."""
        self.add(record(origin="static"))

        def breaks(event: Event) -> None:
            raise ZeroDivisionError

        self.directory.subscribe(breaks)
        self.prober.start()
        self.clock.advance(0)
        self.pass_time(40)
        self.assertGreater(len(self.probe.calls), 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class FirstRoundTests(ProberCase):
    def test_fires_when_all_have_answered(self) -> None:
        """Everybody who was there at the start counts, also one that fails; who comes later does not."""
        self.probe.hangs()
        self.add(record("a-1", 1), record("a-2", 2))
        self.prober.start()
        over = self.prober.first_round()
        self.add(record("a-3", 3))
        self.clock.advance(0)
        self.probe.answer(Address("10.0.0.1", 1), True)
        self.assertNoResult(over)
        self.probe.answer(Address("10.0.0.1", 2), False)
        self.successResultOf(over)

    def test_nobody_there(self) -> None:
        """With nobody to wait for it has fired already."""
        self.prober.start()
        self.successResultOf(self.prober.first_round())

    def test_timeout(self) -> None:
        """One that hangs cannot hold up the start for longer than agreed."""
        self.probe.hangs()
        self.add(record())
        self.prober.start()
        over = self.prober.first_round(timeout=2.0)
        self.pass_time(1.9)
        self.assertNoResult(over)
        self.pass_time(0.2)
        self.successResultOf(over)

    def test_those_who_leave(self) -> None:
        """Who leaves, or is in maintenance, is not waited for."""
        self.probe.hangs()
        self.add(record("a-1", 1), record("a-2", 2))
        self.directory.apply(AdminStateChanged("a", "a-2", AdminState.MAINT))
        self.prober.start()
        over = self.prober.first_round()
        self.clock.advance(0)
        self.assertNoResult(over)
        self.directory.apply(InstanceRemoved("a", "a-1", "deregistered"))
        self.successResultOf(over)

    def test_stop(self) -> None:
        """Who waits for the first round is not left waiting when everything stops."""
        self.probe.hangs()
        self.add(record())
        self.prober.start()
        over = self.prober.first_round()
        self.prober.stop()
        self.successResultOf(over)
        self.assertEqual(self.clock.getDelayedCalls(), [])


def _broken(address: Address, spec: CheckSpec) -> Deferred[None]:
    raise ZeroDivisionError
