"""Tests of wmesh.proxy.cache.caches: the caches of all services, for an operator."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import FirstUntried
from tests.policy.caching.scene import stored
from wmesh.cluster.cluster import Cluster
from wmesh.errors import ControlError
from wmesh.metrics.traffic import Traffic
from wmesh.model import CacheSpec, RouteSpec, ServiceSpec
from wmesh.policy.caching.second_level import URL, Invalidation
from wmesh.proxy.cache.caches import Caches
from wmesh.proxy.plan import Plans


class CachesTests(SynchronousTestCase):
    def setUp(self) -> None:
        services = (ServiceSpec("shop", cache=CacheSpec(enabled=True)), ServiceSpec("plain"))
        self.caches = Caches(services, 1_000_000, "wmesh")
        for target in (b"/a", b"/b"):
            self.caches.store.add(stored("Cache-Control: max-age=60", key=b"shop http://shop.example" + target))

    def purge(self, service: str = "shop", url: str = "", prefix: str = "", tag: str = "") -> int:
        return self.caches.purge(service, url=url, prefix=prefix, tag=tag)

    def test_who_has_one(self) -> None:
        """Services that want one; they share the memory."""
        self.assertEqual(list(self.caches.by_service), ["shop"])
        found = self.caches.describe()
        self.assertEqual((found["objects"], found["limit_bytes"], found["evicted"]), (2, 1_000_000, 0))
        self.assertGreater(found["size_bytes"], 1000)
        self.assertEqual(found["services"]["shop"]["hits"], 0)

    def test_purge(self) -> None:
        """URLs in any spelling of scheme and host."""
        self.assertEqual(self.purge(url="HTTP://Shop.Example/a"), 1)
        self.assertEqual(self.purge(url="/a"), 0)
        self.assertEqual(self.purge(prefix="http://shop.example"), 1)
        self.assertEqual(self.purge(), 0)

    def test_what_other_gateways_say(self) -> None:
        """It holds here for the service that is meant; what was missed may have been about anything."""
        said = Invalidation(b"shop", URL, b"/a")
        for other in (said._replace(service=b"plain"), said._replace(service=b"\xff")):
            self.caches.invalidated(other)
        self.assertEqual(self.caches.store.count, 2)
        self.caches.invalidated(said)
        self.assertEqual(self.caches.store.count, 1)
        self.caches.lost_touch()
        self.assertEqual(self.caches.store.count, 0)
        self.assertIsNone(self.caches.describe()["second_level"])

    def test_what_makes_no_sense(self) -> None:
        """It is said, and nothing goes."""
        for status, service, asked in (
            (409, "plain", {}),
            (422, "shop", {"url": "list"}),
            (422, "shop", {"prefix": "ftp://shop.example/"}),
            (422, "shop", {"url": "http:///a"}),
            (422, "shop", {"url": "/caf\u00e9"}),
            (422, "shop", {"tag": "a b"}),
        ):
            error = self.assertRaises(ControlError, self.purge, service, **asked)
            self.assertEqual(error.status, status, asked)
        self.assertEqual(self.caches.store.count, 2)

    def test_some_routes(self) -> None:
        """A service that wants a cache for some of its requests only has one, and the others do without."""
        routes = (RouteSpec("", "/"), RouteSpec("", "/img/", options=(("cache.enabled", True), ("cache.ttl", 60.0))))
        spec = ServiceSpec("shop", routes=routes)
        caches = Caches((spec,), 1_000_000, "wmesh").by_service
        plans = Plans((spec,), {"shop": Cluster(spec, lambda spec: FirstUntried())}, {"shop": Traffic()}, caches=caches)
        plain, images = (plans.plan(spec, route) for route in routes)
        self.assertIsNone(plain.cache)
        self.assertIs(images.cache, caches["shop"])
        self.assertEqual(images.spec.cache.ttl, 60.0)
