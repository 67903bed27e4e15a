"""Moments at which somebody wants to be looked at again: many, soon, and mostly for nothing.

A timer of the reactor for each of them would cost more than all that it is for. Here they stand in a heap under one
timer, and what has ended before its moment is thrown away when it comes to the top. `Deadlines` is for what may be a
little late.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Protocol

from twisted.logger import Logger

log = Logger()

NEVER = float("inf")


class Watched(Protocol):
    @property
    def over(self) -> bool:
        """Nobody needs to look any more."""

    def due(self, now: float) -> None:
        """Its moment has come."""


class Watches:
    """`clock` is that of the mesh, monotonic seconds. The timer is set for `_wakes`; NEVER: there is none."""

    __slots__ = ("_clock", "_count", "_heap", "_reactor", "_timer", "_wakes")

    def __init__(self, reactor: Any, clock: Callable[[], float]) -> None:
        self._reactor = reactor
        self._clock = clock
        self._heap: list[tuple[float, int, Watched]] = []
        self._count = 0
        self._timer: Any = None
        self._wakes = NEVER

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, when: float, watched: Watched) -> None:
        self._count += 1
        heappush(self._heap, (when, self._count, watched))
        if when < self._wakes:
            self._wake(when)

    def _wake(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._wakes = when
        self._timer = self._reactor.callLater(max(0.0, when - self._clock()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._wakes = -NEVER  # whoever is added meanwhile starts no timer: that is done below, once for all
        heap = self._heap
        now = self._clock()
        due = []
        while heap and (heap[0][0] <= now or heap[0][2].over):
            due.append(heappop(heap)[2])
        for watched in due:
            if watched.over:
                continue
            try:
                watched.due(now)
            except Exception:  # noqa: BLE001 - the others are to be looked at, whatever is wrong with this one
                log.failure("{watched} could not be looked at", watched=watched)
        self._wakes = NEVER
        if heap:
            self._wake(heap[0][0])

    def stop(self) -> None:
        """Nobody is looked at any more."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self._wakes = NEVER
        self._heap.clear()
