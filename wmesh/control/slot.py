"""One slot: a place among the instances of a service that the mesh keeps filled, life after life.

```
              launched                      it ended by itself
STARTING ──────────────────► RUNNING ─────────────────────────────┐
   ▲  │ cannot be started                                         ▼
   │  └───────────────────────────────────────────────────────► PAUSING
   └────────────────────────── the pause is over ─────────────────┘

STARTING, RUNNING, PAUSING ── leave() ──► LEAVING ── drained and stopped ──► GONE
```
A life is: find a port, launch, register, wait for the end. An end that nobody asked for takes the instance out of the
Directory and the registry at once; the next life comes after a pause that grows (`wmesh.policy.backoff`). The id stays,
the incarnation does not, so nobody takes the new life for the old one.

Leaving never cuts a launch or a registration in the middle: it lets that finish, and then undoes it. So there is
nothing that could be left behind. The registry may be slow or away; nobody waits for it for more than
`REGISTRY_PATIENCE`.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredLock, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from wmesh.cluster.directory import Directory
from wmesh.cluster.member import Member
from wmesh.errors import LaunchError, MeshError
from wmesh.events import AdminStateChanged, InstanceRemoved
from wmesh.interfaces import Launched, Launcher
from wmesh.model import Address, AdminState, Health, InstanceRecord, LoadSample, ServiceSpec
from wmesh.policy.backoff import RESTART, Backoff

REGISTRY_PATIENCE = 2.0
REGISTER_AGAIN = 1.0
DRAIN_STEP = 0.05

EXITED = "process exited"
"""Why an instance is gone that ended by itself."""

STOPPED = "stopped"
"""Why an instance is gone that was stopped before the registry had taken it out."""


@dataclass(frozen=True, slots=True)
class Means:
    """What slots work with. `warn` is told, a line each, what went wrong; what goes well is the deployment's news.
    `allocate` finds a port for a slot's next life, or fails with LaunchError.
    """

    launcher: Launcher
    registry_add: Callable[[InstanceRecord], Awaitable[None]]
    registry_remove: Callable[[str, str], Awaitable[None]]
    directory: Directory
    clock: IReactorTime
    random: Random
    warn: Callable[[str], None]
    allocate: Callable[[Slot], int]


class State(enum.IntEnum):
    STARTING = 0
    RUNNING = 1
    PAUSING = 2
    LEAVING = 3
    GONE = 4


class Slot:
    """`began` is when the present life began, `healthy_since` when it was first found healthy (None: not now)."""

    _log = Logger()

    def __init__(self, spec: ServiceSpec, id: str, means: Means) -> None:
        self.spec = spec
        self.id = id
        self.state = State.STARTING
        self.address: Address | None = None
        self.launched: Launched | None = None
        self.record: InstanceRecord | None = None
        self.began = 0.0
        self.healthy_since: float | None = None
        self.restarts = 0
        self.last_exit: str | None = None
        self._means = means
        self._backoff = Backoff(RESTART)
        self._registration = _Registration(means)
        self._nap = _Nap(means.clock)
        self._well_for = 0.0
        self._was_healthy = False
        self._leaving = False
        self._draining: Member | None = None
        self._withdrawn: Deferred[None] | None = None
        self._ending: Deferred[str] = Deferred()
        self._life: Deferred[None] | None = None

    @property
    def leaving(self) -> bool:
        """It was asked to go, so it does not count any more."""
        return self._leaving

    def start(self) -> None:
        """Fill the slot, and keep it filled."""
        self._life = Deferred.fromCoroutine(self._live())
        self._life.addErrback(lambda failure: self._log.failure("The slot {id} broke", failure, id=self.id))

    def withdraw(self) -> Deferred[None]:
        """No new requests from now on: draining, deregistered, not restarted. It still runs. Never fails."""
        if self._withdrawn is None:
            self._leaving = True
            if self.state is not State.GONE:
                self.state = State.LEAVING
            # Held on to, for the Directory forgets it as soon as it is deregistered, and requests may still be out.
            self._draining = self._member()
            if self._draining is not None:
                # For this life only: the next instance in a slot of this name is to serve.
                drained = AdminStateChanged(self.spec.name, self.id, AdminState.DRAIN, lasting=False)
                self._means.directory.apply(drained)
            self._nap.wake()
            taken = self._registration.take(self.spec.name, self.id)
            self._withdrawn = within(self._means.clock, REGISTRY_PATIENCE, taken)
        return follow(self._withdrawn)

    def leave(self) -> Deferred[None]:
        """Withdraw, let requests finish (at most `stop_timeout`), stop. Done when nothing is left. Never fails."""
        self.withdraw()
        if not self._ending.called:
            self._ending.callback("asked to stop")
        return follow(self._life) if self._life is not None else succeed(None)

    def observe(self) -> bool:
        """The Directory has news of this instance. True when it is healthy for the first time in this life."""
        member = self._member()
        now = self._means.clock.seconds()
        if member is not None and member.health.state is Health.HEALTHY:
            if self.healthy_since is None:
                self.healthy_since = now
            first, self._was_healthy = not self._was_healthy, True
            return first
        self._well_for = max(self._well_for, self._healthy_for(now))
        self.healthy_since = None
        return False

    def load(self) -> LoadSample | None:
        """What it uses; None when nothing runs that is registered."""
        return self.launched.load() if self.launched is not None and self.record is not None else None

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values for the admin API."""
        pid = self.launched.describe().get("pid") if self.launched is not None else None
        return {
            "id": self.id,
            "address": str(self.address) if self.address is not None else None,
            "state": self.state.name.lower(),
            "healthy": self.healthy_since is not None,
            "pid": pid,
            "restarts": self.restarts,
            "last_exit": self.last_exit,
        }

    def trouble(self) -> str:
        """Why it is not healthy, for people."""
        member = self._member()
        if member is not None and member.health.state is not Health.HEALTHY:
            return member.health.reason
        return self.last_exit or "not registered yet"

    # One life after the other.

    async def _live(self) -> None:
        while not self._leaving:
            reason = await self._one_life()
            if self._leaving:
                break
            pause = self._backoff.failed(self._well_for, self._means.random.random())
            self.last_exit = reason
            self.state = State.PAUSING
            self._means.warn(f"{self.id}: {reason}; starting it again in {pause:.1f} s")
            await self._nap.sleep(pause)
            self.restarts += 1
        self.state = State.GONE

    async def _one_life(self) -> str:
        """Why it ended."""
        self.state = State.STARTING
        self.began = self._means.clock.seconds()
        self.healthy_since = None
        self._was_healthy = False
        self._well_for = 0.0
        ending = self._ending = Deferred()
        try:
            self.address = Address(self.spec.host, self._means.allocate(self))
            record = self._new_record(self.address)
            self.launched = await self._means.launcher.launch(self.spec, record, self._exited)
        except LaunchError as error:
            return f"cannot be started: {error}"
        if not ending.called and not self._leaving:
            self.record = record
            self.state = State.RUNNING
            self._registration.put(self.record)
        reason = await ending
        if self._leaving:
            self.state = State.LEAVING
            await self._drain()
        else:
            await within(self._means.clock, REGISTRY_PATIENCE, self._registration.take(self.spec.name, self.id))
        # Stopping what has ended already costs nothing, so every life ends here.
        stopping = Deferred.fromCoroutine(self._stop(self.launched))
        stopping.addErrback(lambda failure: self._log.failure("Stopping {id} failed", failure, id=self.id))
        await stopping
        self.launched = self.record = None
        return reason

    def _exited(self, reason: str) -> None:
        """The launcher's word: it ended by itself. The data plane must know before the registry does."""
        self._well_for = max(self._well_for, self._healthy_for(self._means.clock.seconds()))
        self.healthy_since = None
        if self._member() is not None:
            self._means.directory.apply(InstanceRemoved(self.spec.name, self.id, EXITED))
        if not self._ending.called:
            self._ending.callback(reason)

    async def _drain(self) -> None:
        """Until no request is out, or `stop_timeout`."""
        clock = self._means.clock
        await self.withdraw()
        member = self._draining
        last = clock.seconds() + self.spec.stop_timeout
        while member is not None and member.in_flight > 0 and clock.seconds() < last:
            await deferLater(clock, DRAIN_STEP)
        if self._member() is not None:
            self._means.directory.apply(InstanceRemoved(self.spec.name, self.id, STOPPED))

    async def _stop(self, launched: Launched) -> None:
        await launched.stop(self.spec.stop_timeout)

    def _new_record(self, address: Address) -> InstanceRecord:
        return InstanceRecord(
            service=self.spec.name,
            id=self.id,
            address=address,
            version=self.spec.version,
            weight=self.spec.weight,
            tags=self.spec.tags,
            incarnation=f"{self._means.random.getrandbits(64):016x}",
        )

    def _member(self) -> Member | None:
        """This life's member of the Directory."""
        member = self._means.directory.member(self.spec.name, self.id)
        if member is None or self.record is None or member.record.incarnation != self.record.incarnation:
            return None
        return member

    def _healthy_for(self, now: float) -> float:
        return now - self.healthy_since if self.healthy_since is not None else 0.0


class _Registration:
    """An instance's stay in the registry: what is put in and taken out happens in that order, however long it takes."""

    _log = Logger()

    def __init__(self, means: Means) -> None:
        self._means = means
        self._lock = DeferredLock()
        self._nap = _Nap(means.clock)
        self._wanted: InstanceRecord | None = None
        # Whether it was tried, and whether that succeeded: even a failed call may have reached the store.
        self._tried = self._inside = False

    def put(self, record: InstanceRecord) -> None:
        """Put it in, trying again for as long as it is wanted."""
        self._wanted = record
        done = self._lock.run(Deferred.fromCoroutine, self._put(record))
        done.addErrback(lambda failure: self._log.failure("Registering {id} failed", failure, id=record.id))

    def take(self, service: str, id: str) -> Deferred[None]:
        """Take out what was put in, if anything was. Never fails."""
        self._wanted = None
        self._nap.wake()
        done = self._lock.run(Deferred.fromCoroutine, self._take(service, id))
        done.addErrback(lambda failure: self._log.failure("Deregistering {id} failed", failure, id=id))
        return done

    async def _put(self, record: InstanceRecord) -> None:
        told = False
        while self._wanted is record:
            self._tried = True
            try:
                await self._means.registry_add(record)
                self._inside = True
                return
            except MeshError as error:
                if not told:
                    self._means.warn(f"{record.id}: cannot be registered: {error}; still trying")
                    told = True
            await self._nap.sleep(REGISTER_AGAIN)

    async def _take(self, service: str, id: str) -> None:
        tried, inside = self._tried, self._inside
        self._tried = self._inside = False
        if not tried:
            return
        try:
            await self._means.registry_remove(service, id)
        except MeshError as error:
            if inside:
                self._log.warn("{id} stays registered until its lease ends: {error}", id=id, error=str(error))
            else:
                self._log.info("{id} was never registered, as far as can be told: {error}", id=id, error=str(error))


class _Nap:
    """A pause that can be cut short. One at a time."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._pause: Deferred[None] | None = None

    async def sleep(self, seconds: float) -> None:
        self._pause = deferLater(self._clock, seconds)
        try:
            await self._pause
        except CancelledError:
            pass
        finally:
            self._pause = None

    def wake(self) -> None:
        if self._pause is not None:
            self._pause.cancel()


def follow(work: Deferred[None]) -> Deferred[None]:
    """A Deferred of its own for each who waits; it fires when `work` does, with None, whatever the outcome."""
    mine: Deferred[None] = Deferred()

    def tell(outcome: object) -> object:
        mine.callback(None)
        return outcome

    work.addBoth(tell)
    return mine


def within(clock: IReactorTime, seconds: float, work: Deferred[None]) -> Deferred[None]:
    """Fires with None when `work` is done, or after `seconds`; then `work` goes on, but nobody waits for it."""
    mine: Deferred[None] = Deferred()
    late = clock.callLater(seconds, mine.callback, None)

    def tell(outcome: object) -> object:
        if late.active():
            late.cancel()
            mine.callback(None)
        return outcome

    work.addBoth(tell)
    return mine
