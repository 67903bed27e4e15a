"""Tests of wmesh.control.shared_cache: whether there is a second level."""

from __future__ import annotations

import random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from wmesh.control.shared_cache import share_for
from wmesh.control.shared_cache.share import Share
from wmesh.model import GatewaySpec, MeshConfig, MeshSpec, RegistrySpec


class ShareForTests(SynchronousTestCase):
    def share(self, url: str) -> Any:
        config = MeshConfig(MeshSpec(), GatewaySpec(cache_redis_url=url), RegistrySpec(), ())
        return share_for(config, None, lambda: 0.0, random.Random(1))

    def test_only_where_it_is_asked_for(self) -> None:
        """Off unless there is a URL, whose password is shown to nobody."""
        self.assertIsNone(self.share(""))
        share = self.share("redis://me:s3cret@cache.test/1")
        self.assertIsInstance(share, Share)
        self.assertEqual(share.describe()["url"], "redis://me@cache.test:6379/1")
        self.assertNotIn("s3cret", repr(GatewaySpec(cache_redis_url="redis://me:s3cret@cache.test/1")))
