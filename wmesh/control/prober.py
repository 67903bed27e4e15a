"""Who is checked when: active health for every member of the Directory.

Strategy: each member that is to be checked has a `_Watch` with its own next due time; a heap orders them, so a sweep
costs as much as there is to do, not as there are members. A LoopingCall sweeps, and its interval is the time until the
first in the heap is due: where nobody is, the gateway sleeps. What becomes due in between (a member that just appeared,
a check that ended while others queued) does not wait for it. Results go to `Directory.observe`, which judges them.

No more than `concurrency` checks run at once, one per member. When a rack burns, its checks last for the whole timeout
each, and would keep everybody else waiting: so no more than half of these checks are for members whose last one failed,
and a quarter is left to those whose last one passed. Who finds his part of the room full waits in a line of his own.

How often: `interval` normally; `fast_interval` while the evidence is changing; and while an instance starts (it was
never healthy and is younger than `start_timeout`) in pauses that grow from 0.1 s by a quarter, so that its readiness
is noticed no later than a quarter of the time that it took. Every pause is jittered by 15%, and the first normal one
falls anywhere in the interval: a fleet that appeared at once is checked evenly from then on.

An instance from the registry that does not answer yet while it starts is not sick: its failures are kept as the reason
of its unknown health and are not counted. A static instance was there before us, so its failures count from the first.
Nor is a failure forgiven that is proof: a stranger at its address is no sign of starting.

A suspect (its source vouches for it no longer) is checked within `fast_interval`, and gets no forgiveness for starting:
what is asked of it is whether it is there at all.

Not checked: members in MAINT, services whose checks are off, and what is part of the gateway itself.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from random import Random

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from wmesh.cluster.directory import Directory
from wmesh.cluster.member import Member
from wmesh.events import AdminStateChanged, Event, InstanceAdded, InstanceRemoved, SuspicionChanged
from wmesh.interfaces import Probe
from wmesh.model import AdminState, CheckResult, Health, ServiceSpec

SWEEP = 0.05
"""The fewest seconds between two sweeps of the LoopingCall: the precision of all pauses."""

IDLE = 3600.0
"""The interval of the LoopingCall while there is nothing that it could wait for."""

JITTER = 0.15
START_PAUSE = 0.1
START_GROWTH = 1.25

Key = tuple[str, str]

_PASSED, _NEW, _FAILED = range(3)


class _Watch:
    """One member under watch. `turn` tells its newest heap entry from the ones that it replaced.

    `doubt`: did its last check pass, was there none, or did it fail; `running_as` is that of when the check began that
    runs now.
    """

    __slots__ = (
        "checks",
        "doubt",
        "member",
        "parked",
        "proven",
        "running",
        "running_as",
        "since",
        "spec",
        "spread",
        "started",
        "turn",
    )

    def __init__(self, member: Member, spec: ServiceSpec, now: float) -> None:
        self.member = member
        self.spec = spec
        self.since = now
        self.parked = False
        self.proven = member.health.state is Health.HEALTHY
        self.running: Deferred[CheckResult] | None = None
        self.started = 0.0
        self.checks = 0
        self.spread = False
        self.turn = 0
        self.doubt = _NEW
        self.running_as = _NEW


_Entry = tuple[float, int, _Watch]
"""When it is due, the turn that this belongs to, and who it is."""


class Prober:
    """Checks the members of `directory` until stopped. `probe_for` is asked once for each service."""

    _log = Logger()
    _surviving = _log.failureHandler("A health check could not be begun or its result not be taken")

    def __init__(
        self,
        directory: Directory,
        clock: IReactorTime,
        random: Random,
        probe_for: Callable[[ServiceSpec], Probe],
        concurrency: int = 256,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._random = random
        self._probe_for = probe_for
        self._concurrency = concurrency
        self._probes: dict[str, Probe] = {}
        self._watches: dict[Key, _Watch] = {}
        self._heap: list[_Entry] = []
        self._turns = 0
        self._running: set[_Watch] = set()
        self._running_as = [0, 0, 0]
        self._lines: tuple[deque[_Entry], ...] = (deque(), deque(), deque())
        self._next = 0.0
        self._warned: set[tuple[str, str]] = set()
        self._unheard: set[_Watch] = set()
        self._rounds: list[Deferred[None]] = []
        self._soon: IDelayedCall | None = None
        self._sweeps: LoopingCall | None = None
        directory.subscribe(self._heard)

    def start(self) -> None:
        """Check everybody who is there, at once, and go on. Starting twice is no error."""
        if self._sweeps is not None:
            return
        self._sweeps = LoopingCall(self._sweep)
        self._sweeps.clock = self._clock
        for cluster in self._directory.clusters.values():
            for member in cluster.members.values():
                self._watch(member)
        self._unheard = set(self._watches.values())
        self._sweeps.start(IDLE, now=False)
        self._aim()

    def stop(self) -> None:
        """Stop at once; checks on their way are given up and change nothing."""
        if self._sweeps is None:
            return
        self._sweeps.stop()
        self._sweeps = None
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        self._heap.clear()
        for line in self._lines:
            line.clear()
        for watch in list(self._watches.values()):
            self._forget(watch)
        self._watches.clear()
        self._round_over()

    def first_round(self, timeout: float = 5.0) -> Deferred[None]:
        """Fires when everybody who was there at `start()` has been checked once, or after `timeout` seconds."""
        over: Deferred[None] = Deferred()
        if self._unheard:
            self._rounds.append(over)
            late = self._clock.callLater(timeout, self._give_up_round, over)
            over.addBoth(_cancel_first, late)
        else:
            over.callback(None)
        return over

    # Who is watched.

    def _heard(self, event: Event) -> None:
        """The Directory's word. Nothing is checked from here: later sinks have not heard of this event yet."""
        if self._sweeps is None:
            return
        if isinstance(event, InstanceAdded):
            member = self._directory.member(event.record.service, event.record.id)
            if member is not None:
                self._watch(member)
        elif isinstance(event, InstanceRemoved):
            watch = self._watches.pop((event.service, event.id), None)
            if watch is not None:
                self._forget(watch)
        elif isinstance(event, AdminStateChanged):
            watch = self._watches.get((event.service, event.id))
            if watch is not None and watch.parked:
                watch.parked = False
                self._schedule(watch, self._clock.seconds())

        elif isinstance(event, SuspicionChanged) and event.reason:
            watch = self._watches.get((event.service, event.id))
            # One that was never checked is due at once anyway.
            if watch is not None and watch.running is None and watch.checks and not watch.parked:
                # Many become suspects at the same moment; they need not all be asked at the same moment.
                soon = self._random.uniform(0.0, min(watch.spec.check.fast_interval, watch.spec.check.interval))
                self._schedule(watch, self._clock.seconds() + soon)

    def _watch(self, member: Member) -> None:
        record = member.record
        spec = self._directory.clusters[record.service].spec
        if spec.check.enabled and record.origin != "builtin":
            now = self._clock.seconds()
            watch = self._watches[record.service, record.id] = _Watch(member, spec, now)
            self._schedule(watch, now)

    def _forget(self, watch: _Watch) -> None:
        watch.turn = -1
        if watch.running is not None:
            watch.running.cancel()
        self._heard_of(watch)

    # When: the heap.

    def _schedule(self, watch: _Watch, due: float) -> None:
        self._turns += 1
        watch.turn = self._turns
        heapq.heappush(self._heap, (due, watch.turn, watch))
        if due <= self._clock.seconds():
            self._sweep_soon()
        elif due < self._next:
            self._aim()

    def _aim(self) -> None:
        """Have the LoopingCall sweep when the first is due. Where there is no room, the end of a check sweeps."""
        if self._sweeps is None:
            return
        now = self._clock.seconds()
        waits = bool(self._heap) and len(self._running) < self._concurrency
        pause = min(max(SWEEP, self._heap[0][0] - now), IDLE) if waits else IDLE
        self._next = now + pause
        # From inside a sweep, reset() does nothing, and the LoopingCall goes by these two.
        self._sweeps.interval, self._sweeps.starttime = pause, now
        self._sweeps.reset()

    def _sweep_soon(self) -> None:
        if self._soon is None:
            self._soon = self._clock.callLater(0, self._sweep_now)

    def _sweep_now(self) -> None:
        self._soon = None
        self._sweep()

    def _sweep(self) -> None:
        """Start what is due, as far as there is room. Its errors end here: LoopingCall stops for good at the first."""
        with self._surviving:
            now = self._clock.seconds()
            while len(self._running) < self._concurrency and (entry := self._first_due(now)) is not None:
                _, turn, watch = entry
                if turn != watch.turn or watch.running is not None:
                    continue
                if watch.member.admin is AdminState.MAINT:
                    watch.parked = True
                    self._heard_of(watch)
                else:
                    self._check(watch, now)
        self._aim()

    def _first_due(self, now: float) -> _Entry | None:
        """Whose turn it is. Who finds no room for his like is put into their line."""
        _, new, failed = self._running_as
        most = self._concurrency
        doubtful = new + failed < most - most // 4
        room = (True, doubtful, doubtful and failed < max(1, most // 2))
        for line, free in zip(self._lines, room, strict=True):
            if line and free:
                return line.popleft()
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            doubt = entry[2].doubt
            if room[doubt]:
                return entry
            self._lines[doubt].append(entry)
        return None

    # One check.

    def _check(self, watch: _Watch, now: float) -> None:
        watch.started = now
        watch.checks += 1
        watch.running_as = watch.doubt
        self._running_as[watch.running_as] += 1
        self._running.add(watch)
        running = Deferred.fromCoroutine(self._ask(watch))
        watch.running = running
        running.addBoth(self._ended, watch)

    async def _ask(self, watch: _Watch) -> CheckResult:
        spec = watch.spec
        probe = self._probes.get(spec.name)
        if probe is None:
            probe = self._probes[spec.name] = self._probe_for(spec)
        return await probe(watch.member.record, spec.check)

    def _ended(self, outcome: CheckResult | Failure, watch: _Watch) -> None:
        full = len(self._running) == self._concurrency or any(self._lines)
        self._running.discard(watch)
        watch.running = None
        self._running_as[watch.running_as] -= 1
        if isinstance(outcome, Failure):
            if not isinstance(outcome.value, CancelledError):
                # A probe promises not to fail; but users write probes, too.
                self._log.failure("The probe of {service} failed itself", outcome, service=watch.spec.name)
            outcome = CheckResult(False, "the check itself failed", 0.0)
        watch.doubt = _PASSED if outcome.ok else _FAILED
        if watch.turn >= 0:
            with self._surviving:
                self._take(watch, outcome)
        self._heard_of(watch)
        # Taking the result may have ended the watch: sinks do as they like.
        if watch.turn >= 0:
            now = self._clock.seconds()
            self._schedule(watch, max(now, watch.started + self._pause(watch, now)))
        if full and self._sweeps is not None:
            self._sweep_soon()

    def _take(self, watch: _Watch, result: CheckResult) -> None:
        member = watch.member
        if not result.ok and not result.proof and self._excused(watch):
            member.health.excuse(f"starting: {result.reason}")
        else:
            self._directory.observe(member, result)
        watch.proven = watch.proven or member.health.state is Health.HEALTHY
        self._warn(watch.spec.name, result.warning)

    def _warn(self, service: str, warning: str) -> None:
        """Once for each text, however many instances say it however often."""
        if warning and (service, warning) not in self._warned:
            self._warned.add((service, warning))
            # Not under the name "warning": Twisted's legacy observers take such events for Python's warnings.
            self._log.warn("{service}: {what}", service=service, what=warning)

    def _pause(self, watch: _Watch, now: float) -> float:
        """Seconds from the beginning of this check to the next."""
        check = watch.spec.check
        fast = min(check.fast_interval, check.interval)
        if self._starting(watch, now):
            # The exponent is bounded: long before, the pause has reached any sensible fast_interval.
            pause = min(fast, START_PAUSE * START_GROWTH ** min(watch.checks - 1, 50))
        elif not watch.member.health.settled:
            pause = fast
        elif watch.spread:
            pause = check.interval
        else:
            watch.spread = True
            return self._random.uniform(fast, check.interval)
        return pause * self._random.uniform(1.0 - JITTER, 1.0 + JITTER)

    def _starting(self, watch: _Watch, now: float) -> bool:
        """Never healthy, and young enough to be forgiven."""
        return not watch.proven and now - watch.since < watch.spec.start_timeout

    def _excused(self, watch: _Watch) -> bool:
        member = watch.member
        vouched_for = member.record.origin == "registry" and not member.suspect
        return vouched_for and self._starting(watch, self._clock.seconds())

    # The first round.

    def _heard_of(self, watch: _Watch) -> None:
        if watch in self._unheard:
            self._unheard.discard(watch)
            if not self._unheard:
                self._round_over()

    def _round_over(self) -> None:
        self._unheard.clear()
        rounds, self._rounds = self._rounds, []
        for over in rounds:
            over.callback(None)

    def _give_up_round(self, over: Deferred[None]) -> None:
        self._rounds.remove(over)
        over.callback(None)


def _cancel_first(result: None, late: IDelayedCall) -> None:
    if late.active():
        late.cancel()
