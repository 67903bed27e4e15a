"""The registry in a Redis or Valkey server (6.2 or later), shared by any number of gateways and programs.

Strategy: every change is one Lua script, atomic on the server and measured by the server's clock; the scripts are the
truth about the data model (see prelude.lua). This side holds three duties, each on its own: the *watch* tells the sink
what others change (`watch.py`, on a link of its own because it blocks); the *sweep*, about once a second, has the
server evict leases that ended and reads the load samples of others; and what was *registered through this object is
held* (`holdings.py`), and put back whenever the watch had a gap, so that a server that lost everything is whole again
as soon as it answers.

Nothing here keeps a registry alive by itself: renewing leases is the heartbeat's business (`wmesh.control.heartbeat`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from wmesh.control.registry import scripts
from wmesh.control.registry.changes import ORIGIN
from wmesh.control.registry.codec import decode_load, encode_load, member_name, shown
from wmesh.control.registry.holdings import CHUNK, Holdings, Key
from wmesh.control.registry.link import Link, way_to
from wmesh.control.registry.sentinel import Lookout
from wmesh.control.registry.watch import PORTION, Watch
from wmesh.control.registry.will_codec import encode_will
from wmesh.errors import RecordError, RegistryError
from wmesh.events import InstancesReset, LoadReported
from wmesh.interfaces import EventSink
from wmesh.model import InstanceRecord, LoadSample, RegistrySpec, Will
from wmesh.registry_url import Target, check_namespace, show_place

LONGEST_SWEEP = 1.0
SHORTEST_SWEEP = 0.02


class RedisRegistry:
    """One client of a namespace in `target`; implements `wmesh.interfaces.Registry`.

    `timeout` (seconds) bounds each command and the start. If the server is not there by then, `start` fails, or, with
    `patient`, tells the sink that nothing is known, finishes, and goes on trying. `retry_max` bounds the pause between
    two attempts to connect. `now` is a monotonic clock.
    """

    _log = Logger()

    def __init__(
        self,
        target: Target,
        spec: RegistrySpec,
        reactor: Any,
        *,
        timeout: float = 3.0,
        patient: bool = False,
        retry_max: float = 5.0,
        rng: random.Random | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._namespace = check_namespace(spec.namespace)
        self._keys = scripts.keys(spec.namespace)
        self._lease = max(1, round(spec.lease * 1000))
        self._load_interval = spec.heartbeat
        self._discovery_interval = spec.discovery_interval
        self._clock: IReactorTime = reactor
        self._timeout = timeout
        self._patient = patient
        self._now = now
        rng = rng or random.Random()
        self._way = way_to(target, reactor, timeout=timeout, rng=rng)
        self._commands, self._changes = (
            Link(target, reactor, timeout=timeout, retry_max=retry_max, rng=rng, now=now, way=self._way)
            for _ in range(2)
        )
        self._sink: EventSink | None = None
        self._watch: Watch | None = None
        self._sweeping: Deferred[None] | None = None
        self._holdings = Holdings(self._commands, self._keys, self._lease)
        self._loads: dict[str, bytes] = {}
        self._bad_loads: set[str] = set()
        # Until when we evict nobody; and how many milliseconds the server's clock is ahead of `now`.
        self._truce = 0.0
        self._generation = 0
        self._ahead: float | None = None
        self.evicted = 0

    def start(self, sink: EventSink) -> Deferred[None]:
        return Deferred.fromCoroutine(self._start(sink))

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop())

    def register(self, record: InstanceRecord) -> Deferred[None]:
        """As promised by the interface; and the record is held: it goes back in whenever the server turns out to have
        lost it, until `deregister`. That holds also if this fails because the server does not answer."""
        return Deferred.fromCoroutine(self._holdings.register(record))

    def deregister(self, service: str, id: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self._holdings.deregister(service, id))

    def renew(self, beats: Mapping[Key, LoadSample]) -> Deferred[Sequence[Key]]:
        return Deferred.fromCoroutine(self._renew(beats))

    def direct(self, wills: Sequence[Will], now: int) -> Deferred[None]:
        """As promised by the interface, by the clock of the server. Out of touch it fails at once."""
        return Deferred.fromCoroutine(self._direct(wills))

    def status(self) -> Mapping[str, Any]:
        watch = self._watch
        return {
            "kind": "redis",
            "url": self._target.label,
            **self._master(),
            "namespace": self._namespace,
            "connected": self._commands.connected and watch is not None and watch.in_touch,
            "age": max(0.0, self._now() - max(self._commands.last_word, self._changes.last_word)),
            "version": watch.version if watch else 0,
            "instances": len(watch.known) if watch else 0,
            "problem": self._problem() or None,
        }

    def _master(self) -> Mapping[str, Any]:
        if not isinstance(self._way, Lookout):
            return {}
        return {"master": show_place(self._way.place) if self._way.place else None}

    def _problem(self) -> str:
        return self._commands.problem or self._changes.problem or (self._watch.problem if self._watch else "")

    async def _start(self, sink: EventSink) -> None:
        if self._sink is not None:
            raise RegistryError("the registry has been started already")
        self._sink = sink
        self._watch = Watch(
            self._changes,
            self._keys,
            sink,
            self._put_back,
            clock=self._clock,
            interval=self._discovery_interval,
            now=self._now,
        )
        ready: Deferred[None] = self._watch.ready
        try:
            self._commands.start()
            self._changes.start()
            self._watch.start()
            ready.addTimeout(self._timeout, self._clock)
            await ready
        except defer.TimeoutError:
            problem = self._problem() or f"no answer within {self._timeout:g} s"
            if not self._patient:
                await self._stop()
                raise RegistryError(f"{self._target.label}: {problem}") from None
            self._log.warn("{url}: {problem}. Going on without it", url=self._target.label, problem=problem)
            sink(InstancesReset(ORIGIN, ()))
        except BaseException:
            await self._stop()
            raise
        self._sweeping = Deferred.fromCoroutine(self._sweep_for_ever())
        self._sweeping.addErrback(_stopped)

    async def _stop(self) -> None:
        sweeping, self._sweeping = self._sweeping, None
        if sweeping is not None:
            sweeping.cancel()
        if self._watch is not None:
            self._watch.stop()
        self._sink = None
        await gatherResults([Deferred.fromCoroutine(link.stop()) for link in (self._commands, self._changes)])

    async def _put_back(self) -> None:
        """Register what we hold again.

        Others who lost touch as we did need time to do the same: for the length of a lease nobody is evicted by us.
        """
        if self._watch is not None and self._watch.resets:
            self._keep_truce()
        await self._holdings.put_back()

    def _keep_truce(self) -> None:
        self._truce = self._now() + self._lease / 1000

    async def _direct(self, wills: Sequence[Will]) -> None:
        if not self._commands.connected:
            raise RegistryError(f"{self._target.label}: {self._commands.problem}")
        flat = [part for will in wills for part in (member_name(will.service, will.id).encode(), encode_will(will))]
        # Once without any: then only what is over is forgotten.
        for start in range(0, max(1, len(flat)), 2 * CHUNK):
            await self._commands.run(scripts.DIRECT, self._keys, *flat[start : start + 2 * CHUNK])

    async def _renew(self, beats: Mapping[Key, LoadSample]) -> Sequence[Key]:
        loads = {key: encode_load(sample) for key, sample in beats.items()}
        unknown = await self._holdings.renew(loads)
        # Our own samples need not wait until we read them back.
        self._tell_loads({member_name(*key): data for key, data in loads.items() if data})
        return unknown

    async def _sweep_for_ever(self) -> None:
        loads_due = self._now() + self._load_interval
        while self._sink is not None:
            sweep = Deferred.fromCoroutine(self._sweep())
            sweep.addErrback(self._unswept)
            await deferLater(self._clock, await sweep)
            if self._now() >= loads_due:
                loads_due = self._now() + self._load_interval
                reading = Deferred.fromCoroutine(self._read_loads())
                reading.addErrback(self._unswept)
                await reading

    async def _sweep(self) -> float:
        """Have the server evict what ended. Answers the seconds after which to look again.

        Nobody is evicted while we are out of touch, nor before we know what time it is for the server.
        """
        if self._commands.generation != self._generation:
            # Whatever broke this link (a server that hung, a failover) may have left the other one waiting for a server
            # that will never speak again; and leases may have ended that nobody could renew.
            if self._generation:
                self._keep_truce()
                if self._changes.opened < self._commands.lost:
                    self._changes.hang_up("lost with the other connection")
            self._generation = self._commands.generation
        in_touch = self._watch is not None and self._watch.in_touch and self._commands.connected
        limit = CHUNK if in_touch and self._ahead is not None and self._now() >= self._truce else 0
        until = round((self._now() + self._timeout) * 1000 + (self._ahead or 0))
        reply = await self._commands.run(scripts.EXPIRE, self._keys, self._lease, limit, until)
        _, evicted, due, server_time = reply
        first, self._ahead = self._ahead is None, server_time - self._now() * 1000
        self.evicted += evicted
        if first:
            return 0.0
        return LONGEST_SWEEP if due < 0 or not limit else min(LONGEST_SWEEP, max(SHORTEST_SWEEP, (due + 1) / 1000))

    async def _read_loads(self) -> None:
        """Those of everybody, taken in portions: so many samples at once would keep clients waiting."""
        flat: Sequence[bytes] = await self._commands.run(scripts.LOADS, self._keys)
        told: set[str] = set()
        for start in range(0, len(flat), 2 * PORTION):
            if start:
                await deferLater(self._clock, 0.0)
            part = flat[start : start + 2 * PORTION]
            pairs = zip(part[::2], part[1::2], strict=True)
            loads = {member.decode(errors="surrogateescape"): data for member, data in pairs}
            told.update(loads)
            self._tell_loads(loads)
        for gone in self._loads.keys() - told:
            del self._loads[gone]
        self._bad_loads &= told

    def _tell_loads(self, loads: Mapping[str, bytes]) -> None:
        """Tell the sink what differs from what it was told before, of instances that are known."""
        watch, sink = self._watch, self._sink
        if watch is None or sink is None:
            return
        for member, data in loads.items():
            record = watch.known.get(member)
            if record is None or self._loads.get(member) == data:
                continue
            self._loads[member] = data
            try:
                sample = decode_load(data)
            except RecordError as error:
                # Once, until a good one comes: the next beat brings the next.
                if member not in self._bad_loads:
                    self._bad_loads.add(member)
                    self._log.warn("A load sample is passed over: {member}: {why}", member=shown(member), why=error)
                continue
            self._bad_loads.discard(member)
            sink(LoadReported(record.service, record.id, sample))

    def _unswept(self, failure: Failure) -> float:
        """A sweep that failed is made up for by the next. That the server is away is told by the watch."""
        if isinstance(failure.value, CancelledError):
            raise failure.value
        if not isinstance(failure.value, RegistryError):
            self._log.failure("The registry could not be swept", failure)
        return LONGEST_SWEEP


def _stopped(failure: Failure) -> Failure | None:
    return None if isinstance(failure.value, CancelledError) else failure
