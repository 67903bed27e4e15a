"""Sections of routes: what they make of a service's routes, what they may not say, and how that is told."""

from __future__ import annotations

from tests.config.texts import RuleTests, good, problems, service
from wmesh.config.routes import effective, own_options
from wmesh.config.schema import ROUTE, SERVICE
from wmesh.model import RouteSpec, ServiceSpec, Subset


def section(*lines: str, name: str = "some", of: str = "shop") -> str:
    return "\n".join([f"[route:{name}]", f"service = {of}", *lines, ""])


def shop(text: str) -> ServiceSpec:
    return next(spec for spec in good(text).config.services if spec.name == "shop")


class MakingTests(RuleTests):
    def test_options_of_its_own(self) -> None:
        """It sets what it sets, in whatever record of the service that is; the rest is the service's."""
        lines = ("retry_attempts = 0", "timeout_request = 3s", "fallback_status = 503")
        spec = shop(service("retry_max_backoff = 1s", "timeout_idle = 9s") + section("match = /shop/pay/", *lines))
        usual, route = spec.routes
        self.assertEqual((usual, route.name, route.prefix), (RouteSpec("", "/shop/"), "some", "/shop/pay/"))
        self.assertIs(spec.on(usual), spec)
        own = spec.on(route)
        self.assertEqual((own.retry.attempts, own.timeout_request, own.fallback.status), (0, 3.0, 503))
        self.assertEqual((own.retry.max_backoff, own.timeout_idle, own.name), (1.0, 9.0, "shop"))
        self.assertEqual((spec.retry.attempts, spec.timeout_request, spec.fallback.status), (2, 0.0, 0))

    def test_in_any_order_and_number(self) -> None:
        """It may stand before its service, be for several prefixes, and one of many."""
        text = section("match = /a/, h/b/ version=2", "timeout_idle = 1s") + section("match = /c/", name="c")
        routes = shop(text + service()).routes
        self.assertEqual([str(route) for route in routes], ["/shop/", "/a/", "h/b/ version=2", "/c/"])
        self.assertEqual([route.name for route in routes], ["", "some", "some", "c"])
        self.assertEqual(routes[2].subset, Subset("2"))

    def test_in_the_place_of_a_short_form(self) -> None:
        """A section for the very requests of a short form is that route, spelled with a slash at its end or without."""
        routes = shop(service("routes = /a/, /b/") + section("match = /a", "retry_attempts = 0")).routes
        self.assertEqual([(route.prefix, route.name) for route in routes], [("/a", "some"), ("/b/", "")])
        [route] = shop(service() + section("match = /shop/")).routes
        self.assertEqual(route.name, "some")

    def test_without_short_forms(self) -> None:
        """Where the service has none, the section is its only route."""
        [route] = shop(service("routes =") + section("match = /x/")).routes
        self.assertEqual((route.name, route.within), ("some", ""))

    def test_the_paths_stay_the_same(self) -> None:
        """Inside of a short form, no more is stripped than there; unless the section says what is."""
        text = service("routes = /shop/, h/shop/pay/")
        for match, lines, within in (
            ("/shop/pay/", (), "/shop/"),
            ("h/shop/pay/card/", (), "/shop/pay/"),
            ("h/shop/x/", (), "/shop/"),
            ("/shopping/", (), ""),
            ("/shop/pay/", ("strip_prefix = yes",), ""),
        ):
            route = shop(text + section(f"match = {match}", *lines)).routes[-1]
            self.assertEqual((route.prefix in match, route.within), (True, within), (match, lines))

    def test_as_written(self) -> None:
        """What is shown of the options is what could stand in the file, on one line."""
        lines = ("retry_on = reset, timeout", "fallback_status = 200", "fallback_body =\n  a\n  b", "fallback_file =")
        spec = shop(service() + section("match = /x/", *lines))
        route = spec.routes[-1]
        shown = {"retry_on": "reset, timeout", "fallback_status": "200", "fallback_body": "a b", "fallback_file": ""}
        self.assertEqual(own_options(route), shown)
        every = effective(spec.on(route))
        self.assertEqual(set(every), set(ROUTE.inherited))
        self.assertEqual({name: every[name] for name in shown}, shown)
        self.assertEqual((every["retry_attempts"], every["timeout_idle"]), ("2", "1m"))
        spec = shop(service() + section("match = /x/", "fallback_status = 503", f"fallback_body = {'x' * 500}"))
        self.assertEqual(len(effective(spec.on(spec.routes[-1]))["fallback_body"]), 101)

    def test_origins(self) -> None:
        """Where each value came from is known as for services."""
        origins = good(service() + section("match = /x/", "retry_attempts = 0")).origins
        self.assertEqual(origins["route:some", "retry_attempts"].line, 6)
        self.assertEqual(str(origins["route:some", "timeout_idle"]), "default")


class ProblemTests(RuleTests):
    def test_which_service(self) -> None:
        """It must name one that there is, and that takes requests."""
        problem = self.only(service() + section("match = /x/", of="shpo"))
        self.assertEqual((problem.line, problem.option, problem.hint), (4, "service", "did you mean shop?"))
        problem = self.only(service() + "[route:some]\nmatch = /x/\n")
        self.assertEqual((problem.line, problem.section, problem.hint), (3, "route:some", "add service = NAME"))
        problem = self.only(service("proxy_enabled = no") + section("match = /x/"))
        self.assertEqual((problem.line, problem.option), (5, "service"))
        self.assertIn("proxy_enabled = no (mesh.ini:3)", problem.message)

    def test_a_service_with_a_problem_of_its_own(self) -> None:
        """Its sections are not blamed for that."""
        problem = self.only(service(name="Bad_one") + section("match = /x/", of="shop") + service())
        self.assertEqual(problem.section, "service:Bad_one")

    def test_which_requests(self) -> None:
        self.assertEqual(self.only(service() + section("retry_attempts = 0")).hint, "add match = [HOST]/PREFIX")
        self.assertEqual(self.only(service() + section("match = x")).option, "match")
        for name in ("path", "prefix", "routes", "host", "location"):
            problem = self.only(service() + section("match = /x/", f"{name} = /x/"))
            self.assertEqual((problem.option, problem.hint), (name, "did you mean match?"))

    def test_options_of_the_service_alone(self) -> None:
        """It is said where they belong, and, of those that people may look for here, why."""
        for name, option in SERVICE.options.items():
            if option.on_route or name in ("routes", "host"):
                continue
            problem = self.only(service() + section("match = /x/", f"{name} = 1"))
            self.assertEqual((problem.line, problem.option), (6, name))
            self.assertEqual(problem.hint, "set it in the [service:NAME] that the route is for")
            self.assertEqual(problem.message.endswith(option.shared), True)
        problem = self.only(service() + section("match = /x/", "retry_budget = 10"))
        message = "a route has no retry_budget of its own: all requests to the service share one budget"
        self.assertEqual(problem.message, message)

    def test_near_misses(self) -> None:
        problem = self.only(service() + section("match = /x/", "retry_atempts = 1"))
        self.assertEqual((problem.section, problem.hint), ("route:some", "did you mean retry_attempts?"))
        self.assertEqual(self.only(service("match = /x/")).hint, "it belongs into [route:NAME]")
        self.assertEqual(self.only("[routes:x]\n").hint, "did you mean [route:x]?")
        self.assertEqual(self.only("[route]\n").hint, "write [route:NAME]")
        self.assertIn('"A" is not a name for a route', self.only("[route:A]\n").message)

    def test_taken(self) -> None:
        """Two sections, or a section and another service, cannot have the same requests."""
        text = service() + section("match = /x/") + section("match = /x", name="other")
        problem = self.only(text)
        self.assertEqual((problem.line, problem.section), (8, "route:other"))
        self.assertIn("taken already by [route:some] (mesh.ini:5)", problem.message)
        problem = self.only(service() + service(name="b") + section("match = /b/"))
        self.assertIn("taken already by [service:b]", problem.message)
        self.assertIn("wmesh-admin", self.only(service() + section("match = /health")).message)

    def test_conditions(self) -> None:
        """A section in the place of a short form must not lose its conditions; inside of one, it is worth a note."""
        text = service("routes = /a/ version=2")
        problem = self.only(text + section("match = /a/"))
        self.assertEqual((problem.option, problem.hint), ("match", "write /a/ version=2 here, or take it out there"))
        self.assertEqual(problems(text + section("match = /a/ version=2")), ())
        [note] = good(text + section("match = /a/b/")).config.notes
        self.assertIn("[route:some] match: /a/b/ goes to all instances", note)
        self.assertEqual(good(text + section("match = /a/b/ tag=x")).config.notes, ())

    def test_rules_between_options(self) -> None:
        """They hold for what the route makes of its service; what is the service's is told once, and there."""
        problem = self.only(service() + section("match = /x/", "fallback = service:spare"))
        self.assertEqual((problem.section, problem.option), ("route:some", "fallback"))
        problem = self.only(service("fallback = service:spare") + section("match = /x/", "retry_attempts = 0"))
        self.assertEqual((problem.section, problem.line), ("service:shop", 3))
        text = service("fallback_status = 503", "fallback_body = x")
        problem = self.only(text + section("match = /x/", "fallback_file = y"))
        self.assertEqual((problem.section, problem.line), ("route:some", 8))
        self.assertIn("given already (mesh.ini:4)", problem.message)
        self.assertIn("fallback_body = here", problem.hint)
        self.assertEqual(problems(text + section("match = /x/", "fallback_file = y", "fallback_body =")), ())
        self.assertEqual(problems(text + section("match = /x/", "fallback_status = 0")), ())
        [note] = good(service() + section("match = /x/", "timeout_request = 10s")).config.notes
        self.assertTrue(note.startswith("[route:some] timeout_request: 10s is no more"))
        quiet = section("match = /x/", "timeout_request = 10s", "retry_on = reset")
        self.assertEqual(good(service() + quiet).config.notes, ())
        problem = self.only(service("retry_max_backoff = 1s") + section("match = /x/", "retry_backoff = 2s"))
        self.assertEqual((problem.section, problem.option), ("route:some", "retry_backoff"))
        problem = self.only(service("retry_backoff = 2s") + section("match = /x/", "retry_attempts = 1"))
        self.assertEqual(problem.section, "service:shop")
