"""Tests of wmesh.proxy.plan: routes as they are compiled."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import FirstUntried, a_spec
from tests.proxy.samples import plan
from wmesh.cluster.cluster import Cluster
from wmesh.errors import ConfigError
from wmesh.metrics.traffic import Traffic
from wmesh.model import QueueSpec, RouteSpec, ServiceSpec, StickySpec, Subset
from wmesh.proxy.plan import compile_routes


class TargetTests(SynchronousTestCase):
    def test_stripped(self) -> None:
        """The instance sees what is left of the path, and always a path."""
        for prefix in ("/shop", "/shop/"):
            stripped = plan(prefix)
            for target, seen in (
                (b"/shop", b"/"),
                (b"/shop/", b"/"),
                (b"/shop/a/b?c=/shop/", b"/a/b?c=/shop/"),
                (b"/shop?x", b"/?x"),
                (b"/shop//a", b"/a"),  # two slashes at the front would name a host
            ):
                self.assertEqual(stripped.target(target), seen, (prefix, target))
            self.assertEqual(stripped.prefix_line, b"X-Forwarded-Prefix: /shop\r\n")

    def test_not_stripped(self) -> None:
        """Left alone, nothing is told of a prefix."""
        whole = plan("/shop/", strip_prefix=False)
        self.assertEqual(whole.target(b"/shop/a"), b"/shop/a")
        self.assertEqual(whole.prefix_line, b"")

    def test_the_root(self) -> None:
        """A route that takes everything has no prefix to strip."""
        root = plan("/")
        self.assertEqual((root.target(b"/a"), root.target(b"/"), root.prefix_line), (b"/a", b"/", b""))


class WayTests(SynchronousTestCase):
    def test_keys_only_where_they_are_hashed(self) -> None:
        """Other strategies pay nothing; ip_hash hashes the client whatever else is said."""
        for strategy, hash_on, keyed, found in (
            ("round_robin", "client", False, False),
            ("ip_hash", "client", True, False),
            ("consistent_hash", "client", True, False),
            ("consistent_hash", "path:1", True, True),
        ):
            one = plan("/", strategy=strategy, hash_on=hash_on)
            self.assertEqual((one.keyed, one.key_of is not None), (keyed, found), strategy)

    def test_waiting(self) -> None:
        """Only where there is a queue."""
        self.assertTrue(plan("/").waits)
        self.assertFalse(plan("/", queue=QueueSpec(length=0)).waits)


class CompileTests(SynchronousTestCase):
    def compiled(self, *specs: ServiceSpec) -> Any:
        clusters = {spec.name: Cluster(spec, lambda spec: FirstUntried()) for spec in specs}
        return compile_routes(specs, clusters, {spec.name: Traffic() for spec in specs})

    def test_by_service(self) -> None:
        """Each route leads to its own service; all routes of a service count together."""
        router = self.compiled(
            a_spec("a", routes=(RouteSpec("", "/a/"), RouteSpec("a.test", "/"))),
            a_spec("b", routes=(RouteSpec("", "/"),)),
        )
        one, two = router.match(b"x", b"/a/1"), router.match(b"a.test", b"/any")
        self.assertEqual((one.service, two.service, router.match(b"x", b"/b").service), ("a", "a", "b"))
        self.assertIs(one.traffic, two.traffic)
        self.assertIs(one.cluster, two.cluster)

    def test_subsets_and_stickiness(self) -> None:
        """Equal subsets share their queue; all routes of a sticky service share its cookie, and others have none."""
        routes = (RouteSpec("", "/a/", Subset("2")), RouteSpec("", "/b/", Subset("2")), RouteSpec("", "/c/"))
        router = self.compiled(a_spec("a", routes=routes, sticky=StickySpec(enabled=True)), a_spec("b"))
        one, two, three = (router.match(b"x", path) for path in (b"/a/", b"/b/", b"/c/"))
        self.assertIs(one.selection, two.selection)
        self.assertIs(three.selection, three.cluster.whole)
        self.assertIsNot(one.selection, three.selection)
        self.assertIs(one.sticky, three.sticky)
        self.assertIsNotNone(one.sticky)
        self.assertIsNone(self.compiled(a_spec("b", routes=routes)).match(b"x", b"/a/").sticky)

    def test_not_proxied(self) -> None:
        """A service that is not to be reached from outside has no routes."""
        router = self.compiled(a_spec("a", routes=(RouteSpec("", "/"),), proxy_enabled=False))
        self.assertIsNone(router.match(b"x", b"/"))

    def test_websockets(self) -> None:
        """Only services of that protocol may switch."""
        self.assertTrue(plan("/", protocol="websocket").websocket)
        self.assertFalse(plan("/").websocket)

    def test_options_of_a_route(self) -> None:
        """They are in the plan of this route only; what all requests of the service share stays one."""
        own = (("retry.attempts", 0), ("retry_statuses", ((500, 500),)), ("timeout_request", 2.0))
        own += (("fallback.status", 503),)
        routes = (RouteSpec("", "/a/"), RouteSpec("", "/a/b/", name="b", options=own, within="/a/"))
        router = self.compiled(a_spec("a", routes=routes))
        one, two = router.match(b"x", b"/a/c"), router.match(b"x", b"/a/b/c")
        self.assertEqual((one.retry.attempts, one.timed, one.fallback), (2, one.timed, None))
        self.assertEqual((two.retry.attempts, two.retry_statuses, two.timed), (0, {500}, True))
        self.assertEqual((two.repeatable, two.spec.timeout_request), (frozenset(), 2.0))
        self.assertIsNotNone(two.fallback)
        self.assertIs(one.budget, two.budget)
        self.assertIs(one.cluster, two.cluster)
        self.assertEqual((two.target(b"/a/b/c"), two.prefix_line), (b"/b/c", b"X-Forwarded-Prefix: /a\r\n"))

    def test_a_file_of_a_route(self) -> None:
        """One that is not there is told with the section that names it."""
        own = (("fallback.status", 503), ("fallback.file", "/nowhere/x"))
        routes = (RouteSpec("", "/a/", name="b", options=own),)
        error = self.assertRaises(ConfigError, self.compiled, a_spec("a", routes=routes))
        self.assertEqual([problem.section for problem in error.problems], ["route:b"])
