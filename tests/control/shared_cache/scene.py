"""Gateways' ends of a shared cache, on a real server: each with a memory that writes down what it is told."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.control.registry.scene import Server
from tests.policy.caching.scene import asks, stored
from tests.waiting import until
from wmesh.control.shared_cache.share import Share
from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.question import Question
from wmesh.policy.caching.second_level import Invalidation
from wmesh.registry_url import parse_target

NEWS = "{test}:cache:news"
KEY = b"shop http://shop.example/a"
FRESH = "Cache-Control: max-age=60"


class First:
    """The memory of a gateway. `lost` counts how often it was told that it missed something."""

    def __init__(self) -> None:
        self.told: list[Invalidation] = []
        self.lost = 0

    def invalidated(self, what: Invalidation) -> None:
        self.told.append(what)

    def lost_touch(self) -> None:
        self.lost += 1


class ShareCase(TestCase):
    timeout = 60

    async def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.server = Server()
        self.addCleanup(lambda: self.server.remove())
        await self.server.start()

    async def share(self, *, wait: bool = True, **more: Any) -> tuple[Share, First]:
        """One gateway's end, in touch unless it is not waited for."""
        options = {"timeout": 2.0, "patience": 5.0, "retry_max": 0.1, "rng": random.Random(1), **more}
        target = options.pop("target", None) or parse_target(self.server.url)
        share, first = Share(target, "test", self.reactor, now=self.reactor.seconds, **options), First()
        share.start(first)
        self.addCleanup(share.stop)
        if wait:
            await until(lambda: share.ready, "being in touch")
        return share, first

    def entry(self, *fields: str, **more: Any) -> Entry:
        return stored(*(fields or (FRESH,)), now=self.reactor.seconds(), key=more.pop("key", KEY), **more)

    async def put(self, share: Share, entry: Entry) -> bool:
        """Was it written?"""
        before = share.written, share.unwritten
        share.put(entry)
        await until(lambda: (share.written, share.unwritten) != before and not share._writing, "the write")
        return share.written > before[0]

    async def find(self, share: Share, question: Question | None = None, key: bytes = KEY) -> Entry | None:
        answer: Deferred[Entry | None] = Deferred()
        share.find(key, question or asks(), answer.callback)
        return await answer
