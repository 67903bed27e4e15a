"""Rules between options: each broken one is told at the right line, with the way out."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.config.texts import RuleTests, good, launched, problems, service


class DependencyTests(RuleTests):
    def test_unknown(self) -> None:
        """A dependency on a service that is not there, with the one that was probably meant."""
        problem = self.only(service(name="pricing") + service("dependencies = pricng"))
        self.assertEqual((problem.line, problem.option, problem.hint), (5, "dependencies", "did you mean pricing?"))

    def test_cycle(self) -> None:
        """A cycle is printed as the path that somebody would have to walk."""
        text = launched("a", 1, "dependencies = b") + launched("b", 2, "dependencies = c")
        problem = self.only(text + launched("c", 3, "dependencies = a"))
        self.assertIn("a -> b -> c -> a", problem.message)
        self.assertEqual(problem.section, "service:c")

    def test_cycle_of_one(self) -> None:
        """A service that waits for itself waits for ever."""
        self.assertIn("a -> a", self.only(launched("a", 1, "dependencies = a")).message)

    def test_only_the_cycle_is_named(self) -> None:
        """Whoever merely depends on a cycle is not part of the path."""
        text = launched("x", 9, "dependencies = a") + launched("a", 1, "dependencies = b")
        self.assertTrue(self.only(text + launched("b", 2, "dependencies = a")).message.endswith(": a -> b -> a"))

    def test_no_cycle(self) -> None:
        """Two ways to the same service are no cycle, and a priority against the order is no mistake."""
        text = launched("a", 1, "dependencies = b, c", "deployment_priority = 1")
        text += launched("b", 2, "dependencies = d") + launched("c", 3, "dependencies = d")
        self.assertEqual(problems(text + launched("d", 4, "deployment_priority = 9")), ())

    def test_a_long_chain(self) -> None:
        """However many services wait for each other in a row, the answer comes."""
        text = "".join(launched(f"s{n}", n + 2000, f"dependencies = s{n + 1}") for n in range(1500))
        self.assertEqual(problems(text + launched("s1500", 1999)), ())


class RouteTests(RuleTests):
    def test_collision(self) -> None:
        """Two services cannot have the same requests; both lines are named."""
        text = service("routes = Host.example/x/", name="a") + service("routes = host.example/x/", name="b")
        problem = self.only(text)
        self.assertEqual(problem.line, 6)
        self.assertIn("[service:a] (mesh.ini:3)", problem.message)

    def test_default_route_collides_as_well(self) -> None:
        """A route that another service has without saying so is taken all the same."""
        self.assertEqual(self.only(service(name="a") + service("routes = /a/", name="b")).line, 5)

    def test_admin_routes(self) -> None:
        """The admin side's routes are taken, unless they are given away or the admin side is off."""
        self.assertIn("wmesh-admin", self.only(service("routes = /health")).message)
        for gateway in ("admin_routes =", "admin_listen ="):
            self.assertEqual(problems(f"[gateway]\n{gateway}\n" + service("routes = /health")), ())

    def test_neighbours(self) -> None:
        """Routes that differ in anything do not collide: the longest wins."""
        text = service("routes = /, /a/, h/a/", name="a") + service("routes = /aa, /a/b/, i/a/", name="b")
        self.assertEqual(problems(text), ())

    def test_a_slash_makes_no_difference(self) -> None:
        """/a and /a/ take the same requests, so the second of the two would never get one."""
        problem = self.only(service("routes = /a/", name="a") + service("routes = /a", name="b"))
        self.assertEqual((problem.line, problem.option), (6, "routes"))


class PortTests(RuleTests):
    def test_two_services(self) -> None:
        """Two services that are launched at the same port."""
        problem = self.only(launched("a", 3000, "host = localhost") + launched("b", 3000))
        self.assertEqual((problem.line, problem.option), (6, "port"))
        self.assertIn("[service:a] port (mesh.ini:2)", problem.message)

    def test_a_service_and_a_listener(self) -> None:
        """A service cannot be launched where the gateway itself listens."""
        self.assertIn("[gateway] listen", self.only(launched("a", 8000)).message)
        self.assertIn("[gateway] admin_listen", self.only(launched("a", 8001)).message)
        self.assertEqual(problems("[gateway]\nlisten = tcp:80\nadmin_listen = tcp:0\n" + launched("a", 8000)), ())

    def test_two_listeners(self) -> None:
        """The admin side cannot share a port with the clients' side, on whatever interface."""
        interfaces = ("tcp:8000:interface=127.0.0.1", "tcp:8000:interface=\\:\\:")
        for endpoint in ("tcp:8000", "tcp:port=8000", "ssl:8000", *interfaces):
            self.assertEqual(self.only(f"[gateway]\nadmin_listen = {endpoint}\n").option, "admin_listen")

    def test_the_same_port_elsewhere(self) -> None:
        """The same port on another interface, or of a service that does not listen here, is another port."""
        text = "[gateway]\nlisten = tcp:8000:interface=127.0.0.1\n[registry]\nurl = redis://h\n"
        text += launched("a", 8000, "host = 127.0.0.2") + "[service:b]\nhost = 10.9.9.9\nport = 8000\n"
        self.assertEqual(problems(text + service("port = 8000", name="c")), ())

    def test_further_instances_reserve_nothing(self) -> None:
        """A service that may have three instances takes one port of its own; the others are free ones."""
        self.assertEqual(problems(launched("a", 3000, "max_instances = 3") + launched("b", 3001)), ())

    def test_the_gateway_as_its_own_instance(self) -> None:
        """A mesh that sends requests to itself would do so for ever."""
        self.assertIn("circles", self.only("[service:a]\ninstances = localhost:8000\n").message)
        self.assertIn("circles", self.only("[service:a]\ninstances = srv:web.test, dns:localhost:8000\n").message)


class SourceTests(RuleTests):
    def test_command_and_instances(self) -> None:
        """Instances are either started by the mesh or found at fixed addresses."""
        self.assertIn("either", self.only(launched("a", 1, "instances = h:1")).message)

    def test_command_without_port(self) -> None:
        """The first instance must know where to listen."""
        self.assertIn("port", self.only("[service:a]\ncommand = run\n").message)

    def test_neither(self) -> None:
        """Where instances can come from depends on the registry: nowhere, maybe, or certainly."""
        text = "[registry]\nurl = {}\n[service:a]\n"
        self.assertEqual(self.only(text.format("memory:")).line, 3)
        self.assertIn("register themselves", good(text.format("embedded:")).config.notes[0])
        self.assertEqual(good(text.format("redis://h")).config.notes, ())


class BoundTests(RuleTests):
    def test_min_above_max(self) -> None:
        """A range of instances must not be empty."""
        self.assertEqual(self.only(launched("a", 1, "min_instances = 3", "max_instances = 2")).option, "min_instances")

    def test_fast_checks_slower_than_others(self) -> None:
        """Fast checks that are slower than the usual ones are a mix-up."""
        text = service("health_check_interval = 1s", "health_check_fast_interval = 2s")
        self.assertEqual(self.only(text).option, "health_check_fast_interval")

    def test_heartbeat_and_lease(self) -> None:
        """A lease that ends between two heartbeats would flap."""
        self.assertEqual(self.only("[registry]\nheartbeat = 15s\n").option, "heartbeat")
        self.assertEqual(self.only("[registry]\nlease = 5s\n").option, "lease")


class NoteTests(SynchronousTestCase):
    def test_options_without_effect(self) -> None:
        """What this version accepts but does not act on is told once an option, naming the services."""
        scaled = "auto_scale = yes"
        text = service("proxy_caching_enabled = yes", scaled, name="a") + service(scaled, name="b")
        notes = good(text).config.notes
        self.assertEqual(len(notes), 1)
        self.assertTrue(notes[0].startswith("[service:a, b] auto_scale: "))

    def test_silence(self) -> None:
        """Defaults, and options that are switched off, are nothing to tell about."""
        off = ("auto_scale = no", "proxy_caching_enabled = no")
        self.assertEqual(good(service(*off, "cpu_threshold = 1")).config.notes, ())

