"""Keeps alive, in the registry, the instances that this process answers for.

Strategy: one beat renews all leases in one call, with what each instance uses now. Beats are jittered by a fifth either
way, so that many gateways that started together do not beat together. The heart holds the records themselves: what the
registry no longer knows (it was emptied, or we were away longer than a lease) is registered again, without asking
anybody. Nothing stops it but `stop()`: a failed beat is logged when things go wrong and when they are right again, not
once per beat.

It decides nothing about health: an instance that answers badly is the prober's matter, one that ended is taken out by
whoever watched it end (`remove`).
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from wmesh.errors import RegistryError
from wmesh.model import InstanceRecord, LoadSample

Key = tuple[str, str]

JITTER = 0.2


class Leases(Protocol):
    """The part of `wmesh.interfaces.Registry` that a heart needs."""

    def register(self, record: InstanceRecord) -> Awaitable[None]: ...

    def renew(self, beats: Mapping[Key, LoadSample]) -> Awaitable[Sequence[Key]]: ...


class Heartbeat:
    """Renews the leases of added records every `interval` seconds (plus or minus a fifth) on `clock`.

    `collect()` says what instances use now, by (service, id); instances it leaves out are renewed without a sample.
    """

    _log = Logger()

    def __init__(
        self,
        registry: Leases,
        interval: float,
        clock: IReactorTime,
        rng: random.Random,
        collect: Callable[[], Mapping[Key, LoadSample]],
    ) -> None:
        self._registry = registry
        self._interval = interval
        self._clock = clock
        self._rng = rng
        self._collect = collect
        self._records: dict[Key, InstanceRecord] = {}
        self._beating: Deferred[None] | None = None
        self._wanted = False
        self._problem = ""
        self._measures = True

    def add(self, record: InstanceRecord) -> None:
        """Answer for this record from now on. It is the caller who registers it first."""
        self._records[record.service, record.id] = record

    def remove(self, service: str, id: str) -> None:
        """Answer for it no longer. It is the caller who deregisters it. Unknown ids are no error."""
        self._records.pop((service, id), None)

    def holds(self, service: str, id: str) -> bool:
        """Whether this heart answers for it."""
        return (service, id) in self._records

    def start(self) -> None:
        """Begin to beat; the first beat comes after one interval. Starting twice is no error."""
        if self._beating is None:
            self._wanted = True
            self._beating = Deferred.fromCoroutine(self._run())
            self._beating.addErrback(_stopped)

    def stop(self) -> None:
        """Stop beating at once; a beat on its way is given up. Registrations stay."""
        # It may be `collect` that stops us; then the loop must see it for itself.
        self._wanted = False
        beating, self._beating = self._beating, None
        if beating is not None:
            beating.cancel()

    async def _run(self) -> None:
        while self._wanted:
            await deferLater(self._clock, self._interval * self._rng.uniform(1 - JITTER, 1 + JITTER))
            beat = Deferred.fromCoroutine(self._beat())
            beat.addCallbacks(self._went_well, self._failed)
            await beat

    async def _beat(self) -> None:
        if not self._records:
            return
        loads = await maybeDeferred(self._collect).addCallbacks(self._measured, self._unmeasured)
        beats = {key: loads.get(key, LoadSample()) for key in self._records}
        for key in await self._registry.renew(beats):
            # It may have been removed while we waited for the answer.
            record = self._records.get(key)
            if record is not None:
                await self._registry.register(record)
                self._log.info("The registry did not know {service}/{id}: registered again", service=key[0], id=key[1])

    def _unmeasured(self, failure: Failure) -> Mapping[Key, LoadSample]:
        """Leases matter, samples are hints: what cannot be measured must not cost an instance its lease."""
        if self._measures:
            self._log.failure("The load of instances cannot be measured", failure)
        self._measures = False
        return {}

    def _measured(self, loads: Mapping[Key, LoadSample]) -> Mapping[Key, LoadSample]:
        if not self._measures:
            self._log.info("The load of instances can be measured again")
        self._measures = True
        return loads

    def _went_well(self, _: None) -> None:
        if self._problem:
            self._log.info("Heartbeats reach the registry again")
            self._problem = ""

    def _failed(self, failure: Failure) -> None:
        if isinstance(failure.value, CancelledError):
            raise failure.value
        problem = failure.getErrorMessage()
        if not isinstance(failure.value, RegistryError):
            self._log.failure("A heartbeat failed for no fault of the registry", failure)
        elif not self._problem:
            self._log.warn("Heartbeats do not reach the registry: {problem}", problem=problem)
        self._problem = problem


def _stopped(failure: Failure) -> Failure | None:
    return None if isinstance(failure.value, CancelledError) else failure
