"""A gateway with a cache on real sockets, and instances whose answers a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from typing import Any

from tests.proxy.support import Conversation, Message, Scene, Script, request, response, take
from tests.waiting import until
from wmesh.model import CacheSpec
from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.question import Question
from wmesh.policy.caching.second_level import Invalidation
from wmesh.proxy.cache.cache import Cache

FRESH = b"Cache-Control: max-age=60"
OLD = (b"Cache-Control: max-age=5", b"Age: 10", b'ETag: "a"')
"""An answer that is stale when it comes, can be validated, and may stand in for a while."""
MODIFIED = b"HTTP/1.1 304 Not Modified\r\n%b\r\n\r\n"


def acts(act: Callable[[Message], bytes | None]) -> Script:
    """An instance that answers each request with what `act` says; None: it resets the connection."""

    async def script(conversation: Conversation) -> None:
        while True:
            data = act(await take(conversation))
            if data is None:
                conversation.reset()
                return
            conversation.send(data)

    return script


def fresh(body: bytes = b"ok", *fields: bytes) -> bytes:
    return response(body, b"200 OK", FRESH, *fields)


class Shelf:
    """A second level that answers when a test says so. `asked` are looks that nobody has answered yet."""

    def __init__(self) -> None:
        self.ready = True
        self.asked: list[Callable[[Entry | None], None]] = []
        self.kept: list[Entry] = []
        self.said: list[Invalidation] = []

    def find(self, key: bytes, question: Question, told: Callable[[Entry | None], None]) -> None:
        self.asked.append(told)

    def put(self, entry: Entry) -> None:
        self.kept.append(entry)

    def invalidate(self, what: Invalidation) -> None:
        self.said.append(what)

    def describe(self) -> Mapping[str, Any]:
        return {"in_touch": self.ready}

    async def answer(self, entry: Entry | None) -> None:
        """Wait for a look, and answer it."""
        await until(lambda: self.asked)
        self.asked.pop(0)(entry)


class CacheScene(Scene):
    async def cached(self, act: Callable[[Message], bytes | None] | Script, *, spec: Any = None, **service: Any) -> Any:
        """Open with one instance that acts so, and a cache; answers the instance."""
        known: Any = act
        instance = self.instance(known if iscoroutinefunction(act) else acts(known))
        await self.open(instance, cache=CacheSpec(enabled=True, **(spec or {})), **service)
        return instance

    @property
    def cache(self) -> Cache:
        return self.caches["shop"]

    @property
    def store(self) -> Any:
        return self.cache.store

    async def get(self, *fields: bytes, target: bytes = b"/", method: bytes = b"GET") -> Message:
        return await self.ask(request(method, target, *fields), bodyless=method == b"HEAD")

    async def told(self, *fields: bytes, target: bytes = b"/") -> bytes:
        """What Cache-Status says of an answer."""
        return (await self.get(*fields, target=target)).value(b"Cache-Status") or b""
