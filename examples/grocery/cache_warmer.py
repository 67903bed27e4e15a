"""walmart-cache-warmer: asks for the popular prices before the customers do.

Every round it GETs each popular price through the gateway, a few at a time, so that the gateway's cache has it when
somebody needs it. The time between rounds is jittered, or all warmers of the world would knock at the same moment.
A price that cannot be had is written down and tried again in the next round: a warmer that retries at once would be
one more load on a service that is in trouble already.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

import app
from catalog import POPULAR
from mesh_client import Mesh, MeshError
from rest import Call, Reply

AT_ONCE = 3
JITTER = 0.2
FIRST_SECONDS = 1.0


@dataclass(slots=True)
class Warmth:
    """What is known of one price: the last try, and how often it went well or badly."""

    tried: float | None = None
    warmed: float | None = None
    status: int | None = None
    seconds: float = 0.0
    cache: str | None = None
    hits: int = 0
    errors: int = 0
    last_error: str | None = None

    def document(self, now: float) -> dict[str, object]:
        return {
            "status": self.status,
            "age_seconds": None if self.warmed is None else round(now - self.warmed, 1),
            "latency_ms": None if self.tried is None else round(self.seconds * 1000, 1),
            "cache": self.cache,
            "warmed": self.hits,
            "errors": self.errors,
            "last_error": self.last_error,
        }


class Rounds:
    """`clock` is monotonic seconds; a round never starts while another runs."""

    log = Logger()

    def __init__(
        self,
        mesh: Mesh,
        reactor: IReactorTime,
        random: Random,
        interval: float,
        skus: Sequence[str] = POPULAR,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.warmth = {sku: Warmth() for sku in skus}
        self.clock = clock
        self.count = 0
        self.running = False
        self._mesh = mesh
        self._reactor = reactor
        self._random = random
        self._interval = interval
        self._next: IDelayedCall | None = None
        self._stopped = False

    def start(self) -> None:
        self._later(FIRST_SECONDS)

    def stop(self) -> None:
        self._stopped = True
        self._unplan()

    def round(self) -> bool:
        """Begin a round now; False if one is running, which then serves as well."""
        if self.running or self._stopped:
            return False
        self._unplan()
        self.running = True
        self.count += 1
        slots = DeferredSemaphore(AT_ONCE)
        all_of_them = gatherResults([slots.run(self._warm, sku) for sku in self.warmth])
        all_of_them.addBoth(lambda _: self._ended())
        return True

    def next_seconds(self) -> float | None:
        return None if self._next is None else round(self._next.getTime() - self._reactor.seconds(), 1)

    def _ended(self) -> None:
        self.running = False
        self._later(self._interval)

    def _later(self, seconds: float) -> None:
        if not self._stopped:
            self._next = self._reactor.callLater(seconds * self._random.uniform(1 - JITTER, 1 + JITTER), self.round)

    def _unplan(self) -> None:
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = None

    def _warm(self, sku: str) -> Deferred[None]:
        tried = Deferred.fromCoroutine(self._try(sku))
        return tried.addErrback(lambda failure: self.log.failure("{sku} could not be warmed", failure=failure, sku=sku))

    async def _try(self, sku: str) -> None:
        warmth = self.warmth[sku]
        began = warmth.tried = self.clock()
        try:
            answer = await self._mesh.get(f"/walmart-pricing/api/price/{quote(sku)}")
        except MeshError as error:
            warmth.status = error.status
            warmth.errors += 1
            warmth.last_error = error.reason
        else:
            warmth.status = 200
            warmth.hits += 1
            warmth.warmed = self.clock()
            fields = (answer.headers.getRawHeaders(name) for name in ("Cache-Status", "X-Cache"))
            warmth.cache = next((field[-1] for field in fields if field), None)
        warmth.seconds = self.clock() - began


class CacheWarmer(app.Program):
    def __init__(self, rounds: Rounds) -> None:
        super().__init__("walmart-cache-warmer")
        self._rounds = rounds
        self.api.route("GET", "/api/warmed", self.warmed)
        self.api.route("POST", "/api/warm", self.warm)
        self.api.route("GET", "/api/health", self.health)

    def start(self) -> None:
        self._rounds.start()

    def stop(self) -> Deferred[None]:
        self._rounds.stop()
        return super().stop()

    def warmed(self, call: Call) -> Reply:
        rounds = self._rounds
        now = rounds.clock()
        return Reply(
            {
                "round": rounds.count,
                "running": rounds.running,
                "next_round_seconds": rounds.next_seconds(),
                "prices": {sku: warmth.document(now) for sku, warmth in rounds.warmth.items()},
            }
        )

    def warm(self, call: Call) -> Reply:
        """Begins a round and does not wait for it; `/api/warmed` tells how it went."""
        begun = self._rounds.round()
        return Reply({"round": self._rounds.count, "begun": begun}, 202, {"Location": "warmed"})


def build(options: Namespace, reactor: Any) -> CacheWarmer:
    mesh = Mesh(options.gateway, "walmart-cache-warmer", reactor)
    return CacheWarmer(Rounds(mesh, reactor, Random(), options.interval))


if __name__ == "__main__":
    parser = app.arguments("walmart-cache-warmer", 3006, __doc__)
    parser.add_argument("--interval", type=float, default=15.0, help="seconds between rounds (default %(default)s)")
    app.run(parser, build)
