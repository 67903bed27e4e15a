"""Everybody who wants the same at the same time, and the fetches that are under way for them.

One fetch is enough, if its answer is for all. If it is not, nobody is kept waiting behind another one's answer: all are
let go, each with a fetch of his own, and for a while nobody waits at this URI at all. If the fetch fails, it fails for
all, for a thousand more requests would not help an instance that cannot answer one. If it takes long, another one is
sent after it, which may meet a better instance, and so on, one at a time: the first answer serves all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.vary import Names
from wmesh.proxy.cache.reader import Reader
from wmesh.proxy.local_reply import LocalReply

if TYPE_CHECKING:
    from wmesh.proxy.cache.cache import Cache
    from wmesh.proxy.cache.fetch import Fetch
    from wmesh.proxy.plane import DataPlane


class Crowd:
    """`waiting` are in the order they came, without those who lead a fetch. `since` is when the last one was sent."""

    __slots__ = ("cache", "fetches", "key", "plane", "since", "wait", "waiting")

    def __init__(self, cache: Cache, key: bytes, plane: DataPlane) -> None:
        self.cache = cache
        self.plane = plane
        self.key = key
        self.waiting: dict[Reader, None] = {}
        self.fetches: list[Fetch] = []
        self.since = 0.0
        self.wait = 0.0

    def join(self, reader: Reader) -> None:
        reader.crowd = self
        self.waiting[reader] = None

    def send(self, fetch: Fetch, now: float) -> None:
        """Another fetch goes out for this crowd."""
        self.fetches.append(fetch)
        self.since = now
        self.wait = fetch.spec.wait
        self.plane.deadlines.watch(self, self.wait)
        fetch.begin(now)

    def left(self, reader: Reader) -> None:
        """A client is gone. A fetch that nobody waits for any more ends with the last one."""
        self.waiting.pop(reader, None)
        for fetch in list(self.fetches):
            if fetch.leader is reader:
                fetch.leader = None
        if not self.waiting:
            for fetch in list(self.fetches):
                if fetch.leader is None and not fetch.background:
                    fetch.cancel()
            self._close_if_done()

    def arrived(self, fetch: Fetch) -> None:
        """A head is there that is good for all whom it suits."""
        waiting = self._end(fetch)
        for reader in waiting:
            reader.crowd = None
            if reader.exchange.done:
                continue
            if fetch.suits(reader.question):
                self.cache.collapsed += 1
                fetch.admit(reader)
            else:
                self.cache.again(reader, fetch.names)

    def served(self, fetch: Fetch, entry: Entry, line: bytes, now: float) -> None:
        """What was stored is good for all: after a 304, or instead of a failure."""
        for reader in self._end(fetch):
            reader.crowd = None
            if not reader.exchange.done:
                self.cache.collapsed += 1
                self.cache.write(reader.exchange, entry, reader.question, line, now)

    def private(self, fetch: Fetch, names: Names) -> None:
        """The answer is for its leader only: everybody asks for himself."""
        for reader in self._end(fetch):
            reader.crowd = None
            if not reader.exchange.done:
                self.cache.again(reader, names, alone=True)

    def failed(self, fetch: Fetch, reply: LocalReply, now: float) -> None:
        """There is no answer. While other fetches are under way, those who came after this one began wait on."""
        self._forget(fetch)
        waited = now - fetch.started
        failing = [reader for reader in self.waiting if not self.fetches or now - reader.since >= waited]
        for reader in failing:
            del self.waiting[reader]
            reader.crowd = None
        self._close_if_done()
        for reader in failing:
            if not reader.exchange.done:
                reader.exchange.answer(reply)

    def sweep(self, now: float) -> None:
        if self.waiting and now - self.since > self.wait:
            reader = next(iter(self.waiting))
            del self.waiting[reader]
            self.cache.lead(self, reader, now)

    def release(self, fetch: Fetch) -> list[Reader]:
        """Who waited; they are left to whoever asks."""
        return self._end(fetch)

    def forget(self, fetch: Fetch) -> None:
        """This fetch is no more."""
        self._forget(fetch)
        self._close_if_done()

    def _forget(self, fetch: Fetch) -> None:
        if fetch in self.fetches:
            self.fetches.remove(fetch)

    def _end(self, fetch: Fetch) -> list[Reader]:
        self._forget(fetch)
        return self.disperse()

    def disperse(self) -> list[Reader]:
        """This crowd is over; new ones who want the same begin another one. Answers who waited."""
        waiting, self.waiting = list(self.waiting), {}
        self._disband()
        return waiting

    def _close_if_done(self) -> None:
        if not self.waiting and not self.fetches:
            self._disband()

    def _disband(self) -> None:
        self.cache.disband(self)
        self.plane.deadlines.forget(self)
