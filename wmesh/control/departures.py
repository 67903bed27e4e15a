"""The log's lines about instances that are gone: a lease that vanished is a warning, a farewell is told at debug.

Strategy: a sink of the Directory, which hears of what really happened, whoever's word it was. What happens within a
second is told together at its end: each in a line of its own if they are few, all in one line if they are many, since
ten thousand lines tell nobody anything and cost the gateway the time that it needs just then. Who was evicted and taken
back meanwhile (self-preservation, which has a line of its own) was never gone, and is not told.

What counts as a farewell is a closed list, of what this program itself says; anything else is the reason of an
eviction. What instances a gateway launched, lost and stopped is the deployment's news, and here a farewell like any
other.
"""

from __future__ import annotations

from collections import Counter

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel

from wmesh.cluster.directory import ANOTHER_LIFE, LEFT_OUT, Directory
from wmesh.control.registry.changes import DEREGISTERED, REPLACED
from wmesh.control.slot import EXITED, STOPPED
from wmesh.events import Event, InstanceRemoved, SuspicionChanged

Key = tuple[str, str]

SECOND = 1.0
"""For so long departures are collected."""

FEW = 10
"""So many within that time have a line each."""

GROUPS = 5
"""So many services and reasons are named when many are summed up."""

FAREWELLS = frozenset({DEREGISTERED, REPLACED, ANOTHER_LIFE, LEFT_OUT, EXITED, STOPPED})


class Departures:
    """Subscribes itself to `directory`."""

    _log = Logger()

    def __init__(self, directory: Directory, clock: IReactorTime) -> None:
        self._clock = clock
        self._evicted: dict[Key, str] = {}
        self._left: dict[Key, str] = {}
        self._telling: IDelayedCall | None = None
        self._stopped = False
        directory.subscribe(self._heard)

    def stop(self) -> None:
        """Tell what was collected. What comes after this is told at once."""
        self._stopped = True
        if self._telling is not None:
            self._telling.cancel()
            self._tell()

    def _heard(self, event: Event) -> None:
        match event:
            case InstanceRemoved(service, id, reason):
                (self._left if reason in FAREWELLS else self._evicted)[service, id] = reason
                if self._stopped:
                    self._tell()
                elif self._telling is None:
                    self._telling = self._clock.callLater(SECOND, self._tell)
            case SuspicionChanged(service, id, reason) if reason:
                self._evicted.pop((service, id), None)

    def _tell(self) -> None:
        self._telling = None
        evicted, self._evicted = self._evicted, {}
        left, self._left = self._left, {}
        self._tell_of(LogLevel.warn, evicted)
        self._tell_of(LogLevel.debug, left)

    def _tell_of(self, level: LogLevel, gone: dict[Key, str]) -> None:
        if len(gone) <= FEW:
            for (service, name), reason in gone.items():
                self._log.emit(level, "{service}: {id} is gone: {reason}", service=service, id=name, reason=reason)
            return
        groups = Counter((service, reason) for (service, _), reason in gone.items()).most_common()
        named = [f"{count} of {service} ({reason})" for (service, reason), count in groups[:GROUPS]]
        others = sum(count for _, count in groups[GROUPS:])
        if others:
            named.append(f"{others} others")
        self._log.emit(level, "{count} instances are gone: {named}", count=len(gone), named=", ".join(named))
