"""Deployment on a clock that the test turns: order, timeouts, scaling and stopping, each decision by itself."""

from __future__ import annotations

import json

from twisted.internet.defer import Deferred

from tests.control.scene import CHECK, DeploymentCase, service
from wmesh.control.deployment import Deployed
from wmesh.errors import ConfigError, ControlError, RegistryError
from wmesh.events import AdminStateChanged, InstanceAdded
from wmesh.model import (
    Address,
    AdminState,
    CheckSpec,
    InstanceRecord,
    LoadSample,
    ScalingSpec,
    ServiceSpec,
    StaticInstance,
)


class OrderTests(DeploymentCase):
    def test_one_service(self) -> None:
        """Launched, registered, found healthy: one line says so, with address and time."""
        self.scene(service("pricing", port=3007))
        done = self.deploy()
        self.assertEqual(self.successResultOf(done), Deployed(("pricing",), {}))
        self.assertEqual(self.lines, ["pricing: 1 of 1 healthy at 127.0.0.1:3007 (0.0 s)"])
        member = self.directory.member("pricing", "pricing-1")
        self.assertEqual((member.record.address, member.record.origin), (Address("127.0.0.1", 3007), "registry"))
        self.assertEqual(len(member.record.incarnation), 16)

    def test_dependencies_first(self) -> None:
        """A service is launched only when what it depends on is healthy, not when it merely runs."""
        self.scene(service("pricing", "api"), service("api"))
        self.sick("api")
        done = self.deploy()
        self.pass_time(5)
        self.assertEqual(self.launcher.history, ["api-1"])
        self.well("api")
        self.pass_time(2)
        self.assertEqual(self.launcher.history, ["api-1", "pricing-1"])
        self.assertEqual(self.successResultOf(done).healthy, ("api", "pricing"))

    def test_as_many_as_needed(self) -> None:
        """min_instances of the dependency must be healthy, not just one of them."""
        self.scene(service("pricing", "api"), service("api", port=3100, least=2))
        self.probe.says(False, "slow", Address("127.0.0.1", 3101))
        self.deploy()
        self.pass_time(5)
        self.assertEqual(self.launcher.history, ["api-1", "api-2"])
        self.probe.says(True, "", Address("127.0.0.1", 3101))
        self.pass_time(2)
        self.assertIn("pricing-1", self.launcher.history)
        self.assertIn("api: 2 of 2 healthy at 127.0.0.1:3101", self.lines[1])

    def test_priority(self) -> None:
        """What could start at the same time starts in the order of priority."""
        self.scene(
            service("c", deployment_priority=1),
            service("a", deployment_priority=2),
            service("b", deployment_priority=2),
        )
        self.deploy()
        self.assertEqual(self.launcher.history, ["c-1", "a-1", "b-1"])
        self.assertEqual([line.split(":")[0] for line in self.lines], ["c", "a", "b"])

    def test_run_by_others(self) -> None:
        """What the mesh does not launch is waited for all the same."""
        static = ServiceSpec(
            "db", check=CHECK, instances=(StaticInstance(Address("10.0.0.1", 5432)),), scaling=ScalingSpec(2, 2)
        )
        self.scene(service("pricing", "db"), static)
        self.deploy()
        self.assertEqual(self.launcher.history, [])
        self.directory.apply(InstanceAdded(InstanceRecord("db", "db-x", Address("10.0.0.1", 5432), origin="static")))
        self.pass_time(0.2)
        self.assertEqual(self.launcher.history, ["pricing-1"])
        self.assertEqual(self.lines[0], "db: 1 of 1 healthy, not started by this mesh (0.1 s)")
        self.assertEqual((self.state("db")["launched"], self.state("db")["desired"]), (False, None))

    def test_without_checks(self) -> None:
        """Checks off: registered is healthy."""
        self.scene(service("pricing", "api"), ServiceSpec("api", command=("run",), check=CheckSpec(enabled=False)))
        self.assertEqual(self.successResultOf(self.deploy()).healthy, ("api", "pricing"))

    def test_scaled_to_zero(self) -> None:
        """min_instances = 0 is up with nothing running, and nobody waits for it."""
        self.scene(service("pricing", "api"), service("api", least=0))
        self.assertEqual(self.successResultOf(self.deploy()).healthy, ("api", "pricing"))
        self.assertEqual(self.launcher.history, ["pricing-1"])

    def test_a_cycle(self) -> None:
        """Made by hand, past the configuration's checks: refused."""
        self.assertRaises(ConfigError, self.scene, service("a", "b"), service("b", "a"))


class LateTests(DeploymentCase):
    def test_late_and_healed(self) -> None:
        """Not healthy in time: said clearly, also to whom it may concern; and when it heals, all goes on."""
        self.scene(service("api"), service("pricing", "api"), service("warmer", "pricing"))
        self.sick("api")
        done = self.deploy()
        self.pass_time(29)
        self.assertNoResult(done)
        self.pass_time(2)
        outcome = self.successResultOf(done)
        self.assertEqual(outcome.healthy, ())
        self.assertEqual(
            self.lines,
            [
                "api: not healthy after 30 s (api-1: starting: status 503); still trying",
                "pricing: waits for api",
                "warmer: waits for pricing",
            ],
        )
        self.assertEqual(self.warned, self.lines)
        self.assertEqual(outcome.failed["warmer"], "waits for pricing")
        self.assertTrue(str(outcome).startswith("0 of 3 services are healthy; api: not healthy after 30 s"))
        self.assertEqual(
            [self.state(name)["state"] for name in ("api", "pricing", "warmer")], ["late"] + ["blocked"] * 2
        )
        self.well("api")
        self.pass_time(25)
        self.assertEqual(self.launcher.history, ["api-1", "pricing-1", "warmer-1"])
        self.assertEqual([self.state(name)["state"] for name in ("api", "pricing", "warmer")], ["up"] * 3)

    def test_others_are_not_held_up(self) -> None:
        """One that is late concerns those that need it, and nobody else."""
        self.scene(service("api"), service("other"))
        self.sick("api")
        done = self.deploy()
        self.assertEqual(self.state("other")["state"], "up")
        self.pass_time(31)
        self.assertEqual(self.successResultOf(done).healthy, ("other",))

    def test_nobody_listens(self) -> None:
        """A line that cannot be printed costs that line, nothing else."""
        self.scene(service("api"))
        self.patch(self.deployment, "_tell", lambda line: 1 / 0)
        self.patch(self.deployment, "_tell_trouble", lambda line: 1 / 0)
        self.assertEqual(self.successResultOf(self.deploy()).healthy, ("api",))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.launcher.crash("api-1")
        self.pass_time(0.2)
        self.assertIn("api-1", self.launcher.running)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_degraded(self) -> None:
        """Up once, sick now: it is described so, and dependents that run are left running."""
        self.scene(service("api"), service("pricing", "api"))
        self.deploy()
        self.sick("api")
        self.pass_time(25)
        self.assertEqual(self.state("api")["state"], "degraded")
        self.assertEqual(self.state("pricing")["state"], "up")


class PortTests(DeploymentCase):
    def test_ports_of_others(self) -> None:
        """Further instances stay clear of what is declared, reserved, running or taken by strangers."""
        self.scene(service("a", port=3007), service("b", port=3008), service("c", port=3020), reserved=(3009,))
        self.taken = {3010}
        self.deploy()
        self.scale("a", 3)
        self.pass_time(0.2)
        ports = {name: launched.address.port for name, launched in self.launcher.running.items()}
        self.assertEqual(ports, {"a-1": 3007, "b-1": 3008, "c-1": 3020, "a-2": 3011, "a-3": 3012})


class ScaleTests(DeploymentCase):
    def refused(self, name: str, instances: int) -> ControlError:
        return self.failureResultOf(Deferred.fromCoroutine(self.deployment.scale(name, instances)), ControlError).value

    def test_up(self) -> None:
        """Answered at once with what was and what will be; the new ones come up by themselves."""
        self.scene(service("pricing", port=3007))
        self.deploy()
        answer = self.scale("pricing", 3)
        self.assertEqual((answer["service"], answer["before"], answer["target"]), ("pricing", 1, 3))
        self.assertEqual([one["id"] for one in answer["instances"]], ["pricing-1", "pricing-2", "pricing-3"])
        json.dumps(answer)
        self.pass_time(0.2)
        self.assertEqual(self.state("pricing")["healthy"], 3)
        self.assertEqual(self.lines[1], "pricing: scaling from 1 to 3")
        self.assertEqual(self.lines[-1], "pricing: 3 of 3 healthy at 127.0.0.1:3009 (0.0 s)")

    def test_down_drains(self) -> None:
        """The newest leave: no new requests, out of the registry, and stopped only when their last request is done."""
        self.scene(service("pricing", least=1))
        self.deploy()
        self.scale("pricing", 2)
        self.pass_time(0.2)
        member = self.directory.member("pricing", "pricing-2")
        member.in_flight = 1
        self.events.clear()
        answer = self.scale("pricing", 1)
        self.assertEqual([one["id"] for one in answer["instances"]], ["pricing-1"])
        self.assertIn(AdminStateChanged("pricing", "pricing-2", AdminState.DRAIN, lasting=False), self.events)
        self.assertIsNone(self.directory.member("pricing", "pricing-2"))
        self.pass_time(5)
        self.assertFalse(self.launcher.running["pricing-2"].stopped)
        member.in_flight = 0
        self.pass_time(0.1)
        self.assertEqual(list(self.launcher.running), ["pricing-1"])
        self.assertEqual(self.lines[-1], "pricing: pricing-2 stopped")
        self.assertEqual(len(self.state("pricing")["instances"]), 1)

    def test_calls_in_a_row(self) -> None:
        """Calls follow each other, whatever is under way: the last one counts, and no id is used twice at once."""
        self.scene(service("pricing"))
        self.deploy()
        self.launcher.hold_stops = True
        answers = [self.scale("pricing", number) for number in (3, 1, 2)]
        self.assertEqual([(one["before"], one["target"]) for one in answers], [(1, 3), (3, 1), (1, 2)])
        self.assertEqual([one["id"] for one in answers[2]["instances"]], ["pricing-1", "pricing-4"])
        for launched in list(self.launcher.running.values()):
            if launched.stopped:
                launched.end()
        self.pass_time(0.2)
        self.assertEqual(sorted(self.launcher.running), ["pricing-1", "pricing-4"])
        self.assertEqual(self.state("pricing")["desired"], 2)

    def test_while_it_waits(self) -> None:
        """Scaled before its turn has come: then it starts with that many."""
        self.scene(service("api"), service("pricing", "api"))
        self.sick("api")
        self.deploy()
        self.assertEqual(self.scale("pricing", 2)["instances"], [])
        self.well("api")
        self.pass_time(2)
        self.assertEqual(self.launcher.history, ["api-1", "pricing-1", "pricing-2"])

    def test_refusals(self) -> None:
        """Each mistake has its own status, and the message says what would be right."""
        self.scene(service("pricing", least=1, most=3), ServiceSpec("db", check=CHECK))
        self.deploy()
        for number in (0, 4, -1):
            error = self.refused("pricing", number)
            self.assertEqual(error.status, 422)
            self.assertIn("1 to 3", str(error))
        self.assertEqual(self.refused("nobody", 1).status, 404)
        self.assertEqual(self.refused("db", 1).status, 409)
        self.deployment.stop_all()
        self.assertEqual(self.refused("pricing", 2).status, 409)

    def test_loads(self) -> None:
        """What the heartbeat is told: each instance that runs and is registered, nobody else."""
        self.scene(service("pricing"))
        self.deploy()
        self.launcher.running["pricing-1"].sample = LoadSample(12.5, 1000)
        self.assertEqual(self.deployment.loads(), {("pricing", "pricing-1"): LoadSample(12.5, 1000)})
        self.launcher.crash("pricing-1")
        self.assertEqual(self.deployment.loads(), {})


class StopTests(DeploymentCase):
    def assert_nothing_left(self) -> None:
        self.prober.stop()
        self.successResultOf(self.registry.stop())
        self.assertEqual(self.launcher.running, {})
        self.assertEqual(self.registry.status()["instances"], 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_reverse_order(self) -> None:
        """All deregistered first; then dependents are stopped before what they depend on."""
        self.scene(service("api"), service("pricing", "api"), service("warmer", "pricing"))
        self.deploy()
        self.launcher.hold_stops = True
        running = dict(self.launcher.running)
        done = self.deployment.stop_all()
        self.assertEqual(self.registry.status()["instances"], 0)
        for name in ("warmer-1", "pricing-1", "api-1"):
            self.pass_time(0.1)
            self.assertEqual([one.id for one in running.values() if one.stopped and not one.ended], [name])
            running[name].end()
        self.successResultOf(done)
        self.assertEqual(
            self.lines[-3:], ["warmer: warmer-1 stopped", "pricing: pricing-1 stopped", "api: api-1 stopped"]
        )
        self.assertEqual(self.state("api")["state"], "stopped")
        self.assert_nothing_left()

    def test_twice(self) -> None:
        """Who asks again waits for the same end."""
        self.scene(service("api"))
        self.deploy()
        self.launcher.hold_stops = True
        first, second = self.deployment.stop_all(), self.deployment.stop_all()
        self.pass_time(0.1)
        self.assertNoResult(second)
        self.launcher.running["api-1"].end()
        self.successResultOf(first)
        self.successResultOf(second)
        self.successResultOf(self.deployment.stop_all())

    def test_during_the_launch(self) -> None:
        """A launch under way is not cut: it finishes, and is undone. Nothing was ever registered."""
        self.scene(service("api"), service("pricing", "api"))
        self.launcher.hold_launches = True
        deployed = self.deploy()
        done = self.deployment.stop_all()
        self.assertEqual(self.successResultOf(deployed).failed,
                         {"api": "was still starting", "pricing": "waits for api"})  # fmt: skip
        self.pass_time(1)
        self.assertNoResult(done)
        self.launcher.proceed()
        self.pass_time(0.1)
        self.successResultOf(done)
        self.assertEqual(self.events, [])
        self.assert_nothing_left()

    def test_during_a_late_start(self) -> None:
        """Late and blocked services stop as well, and none of them comes to life afterwards."""
        self.scene(service("api"), service("pricing", "api"))
        self.sick("api")
        self.deploy()
        self.pass_time(31)
        done = self.deployment.stop_all()
        self.pass_time(0.1)
        self.successResultOf(done)
        self.assert_nothing_left()

    def test_the_registry_is_away(self) -> None:
        """Registering has failed so far: stopping does not wait for it, and nothing is tried afterwards."""
        self.scene(service("api"))
        self.registry_trouble.append(RegistryError("no connection"))
        self.deploy()
        done = self.deployment.stop_all()
        self.pass_time(0.2)
        self.successResultOf(done)
        self.assert_nothing_left()

    def test_without_ever_starting(self) -> None:
        """Stopped before deploy_all: nothing to do."""
        self.scene(service("api"))
        self.successResultOf(self.deployment.stop_all())
        self.assertEqual(self.launcher.history, [])
