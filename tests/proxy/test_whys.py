"""Tests of wmesh.proxy.whys: the same way as a request's, up to the pick."""

from __future__ import annotations

import ipaddress
from random import Random
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import FirstUntried, a_record, a_spec
from wmesh.cluster.directory import Directory
from wmesh.errors import ControlError
from wmesh.events import InstancesReset
from wmesh.metrics.traffic import Traffic
from wmesh.model import CheckSpec, GatewaySpec, HedgeSpec, RouteSpec, StickySpec, Subset
from wmesh.policy.stickiness import Stickiness
from wmesh.proxy.plan import compile_routes
from wmesh.proxy.plane import DataPlane
from wmesh.proxy.whys import Whys

SECRET = b"0123456789abcdef"


class WhysTests(SynchronousTestCase):
    def make(self, **changes: Any) -> None:
        routes = (RouteSpec("", "/shop/"), RouteSpec("", "/next/", Subset("2")), RouteSpec("a.test", "/"))
        spec = a_spec(check=CheckSpec(enabled=False), **{"routes": routes, **changes})
        clock = Clock()
        self.directory = Directory([spec], lambda spec: FirstUntried(), clock.seconds)
        router = compile_routes([spec], self.directory.clusters, {"pricing": Traffic()}, SECRET)
        gateway = GatewaySpec(trusted_proxies=(ipaddress.ip_network("10.0.0.0/8"),), decisions=2)
        self.plane = DataPlane(gateway, router, clock, clock.seconds, Random(1))
        self.directory.apply(InstancesReset("registry", (a_record("a"), a_record("b", version="2"))))
        self.whys = Whys(self.plane, self.directory, lambda: 1000.0)

    def ask(self, path: str, host: str = "", client: str = "203.0.113.9", **fields: str) -> dict[str, Any]:
        named = [(name.replace("_", "-"), value) for name, value in fields.items()]
        return self.whys.request("GET", path, host, client, named)

    def test_the_way_of_a_request(self) -> None:
        """Route, what the instance would see, subset, pick; asking counts nothing."""
        self.make()
        found = self.ask("/shop/cart?x=1")
        self.assertEqual((found["route"], found["target"], found["pick"]), ("/shop/", "/cart?x=1", "a"))
        found = self.ask("/next/")
        self.assertEqual((found["route"], found["subset"], found["pick"]), ("/next/ version=2", "version=2", "b"))
        self.assertEqual(self.ask("/any", "A.test:8000")["route"], "a.test/")
        self.assertEqual(self.directory.clusters["pricing"].requests, 0)

    def test_no_route(self) -> None:
        """It is said so, and no service is made up."""
        self.make()
        found = self.ask("/else")
        self.assertEqual((found["service"], found["why"]), (None, "no_route: no route takes /else"))

    def test_the_key(self) -> None:
        """What a hashing strategy would hash: the header, or the client as trusted proxies vouch for it."""
        self.make(strategy="consistent_hash", hash_on="header:X-User")
        self.assertEqual(self.ask("/shop/", X_User="ann")["key"], "ann")
        self.assertEqual(self.ask("/shop/")["key"], "203.0.113.9")
        self.assertEqual(self.ask("/shop/", client="10.0.0.1", X_Forwarded_For="198.51.100.7")["key"], "198.51.100.7")
        self.assertEqual(self.ask("/shop/", client="203.0.113.9", X_Forwarded_For="198.51.100.7")["key"], "203.0.113.9")

    def test_a_bound_client(self) -> None:
        """Its cookie is read as a request's."""
        self.make(sticky=StickySpec(enabled=True, cookie="wmesh"))
        cookie = Stickiness(StickySpec(), "pricing", SECRET).token("b").decode()
        found = self.ask("/shop/", Cookie=f"wmesh={cookie}")
        self.assertEqual((found["bound"], found["pick"]), ("b", "b"))
        self.assertIsNone(self.ask("/shop/", Cookie="wmesh=else")["bound"])

    def test_what_is_no_request(self) -> None:
        """422, with what is wrong; nothing can be smuggled in by a line break."""
        self.make()
        for given in (
            {"path": "shop"},
            {"path": "/a b"},
            {"path": "/\x00"},
            {"path": "/", "host": "a b"},
            {"path": "/", "X_User": "a\x00b"},
            {"path": "/", "X_User": "a\r\nHost: b"},
            {"path": "/x\n"},
            {"path": "/" + "x" * 100_000},
            {"path": "/", "Bad Name": "x"},
        ):
            error = self.assertRaises(ControlError, self.ask, **given)
            self.assertEqual(error.status, 422, given)

    def test_a_service(self) -> None:
        """By its name alone."""
        self.make()
        self.assertEqual(self.whys.service("pricing", "::1")["pick"], "a")
        self.assertEqual(self.assertRaises(ControlError, self.whys.service, "x", "::1").status, 404)

    def test_decisions(self) -> None:
        """As many as are kept; of the others it is said how many that are."""
        self.make()
        for number in range(3):
            self.plane.decisions.append((b"r%d" % number, 0.0, 0.0, None, b"GET", b"/", 404, None, ()))
        self.assertEqual([one["request_id"] for one in self.whys.recent(9)], ["r2", "r1"])
        self.assertEqual(self.whys.decision("r1")["status"], 404)
        error = self.assertRaises(ControlError, self.whys.decision, "r0")
        self.assertEqual((error.status, "the last 2 are" in str(error)), (404, True))

    def test_options_of_the_route(self) -> None:
        """What holds for such a request, and what of it the route has otherwise than its service."""
        own = (("timeout_idle", 2.0), ("retry.attempts", 2))
        self.make(routes=(RouteSpec("", "/shop/"), RouteSpec("", "/pay/", name="pay", options=own)))
        self.whys = Whys(
            self.plane,
            self.directory,
            lambda: 1000.0,
            lambda spec: {"retry_attempts": str(spec.retry.attempts), "timeout_idle": f"{spec.timeout_idle:g}"},
        )
        found = self.ask("/pay/1")
        self.assertEqual((found["section"], found["overridden"]), ("route:pay", ["timeout_idle"]))
        self.assertEqual(found["options"], {"retry_attempts": "2", "timeout_idle": "2"})
        found = self.ask("/shop/")
        self.assertEqual((found["section"], found["overridden"], found["options"]["timeout_idle"]), (None, [], "60"))

    def test_hedging(self) -> None:
        """After how long another instance would be asked, where that is done at all."""
        self.make()
        self.assertIsNone(self.ask("/shop/")["hedging"])
        self.make(hedge=HedgeSpec(delay=0.25))
        self.assertEqual(self.ask("/shop/")["hedging"], {"after_ms": 250.0, "samples": None})
        self.make(hedge=HedgeSpec(quantile=90))
        self.assertEqual(self.ask("/shop/")["hedging"], {"after_ms": None, "samples": 0})
