"""Tests of wmesh.proxy.mounts: services that are named, not found by a route."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import FirstUntried, a_spec
from wmesh.cluster.cluster import Cluster
from wmesh.metrics.traffic import Traffic
from wmesh.proxy.mounts import Mounts
from wmesh.proxy.plan import Plans


class MountTests(SynchronousTestCase):
    def setUp(self) -> None:
        spec = a_spec(strip_prefix=False)
        self.name = spec.name
        cluster = Cluster(spec, lambda spec: FirstUntried())
        self.mounts = Mounts(Plans([spec], {spec.name: cluster}, {spec.name: Traffic()}), [spec.name])

    def test_the_mount_is_taken_off(self) -> None:
        """Whatever the routes of the service do; without a mount the path stays whole."""
        mounted, whole = self.mounts.plan(self.name, "/a"), self.mounts.plan(self.name)
        self.assertEqual((mounted.target(b"/a/b"), mounted.prefix_line), (b"/b", b"X-Forwarded-Prefix: /a\r\n"))
        self.assertEqual((whole.target(b"/a/b"), whole.prefix_line), (b"/a/b", b""))
        self.assertIs(self.mounts.plan(self.name, "/a"), mounted)

    def test_bounded(self) -> None:
        """However many places clients can think of, so many are kept."""
        for number in range(3 * Mounts.LIMIT):
            self.mounts.plan(self.name, f"/{number}")
        self.assertLessEqual(len(self.mounts._made), Mounts.LIMIT)

    def test_unknown(self) -> None:
        self.assertRaises(KeyError, self.mounts.plan, "nobody")
