"""The test kit of wmesh: parts of a mesh that run in memory, for the tests of programs that use or extend it.

These are real implementations of the plug points in `wmesh.interfaces`, not mocks: they keep the promises written
there, and what a test wants to happen it makes happen by a call ("crash", "says"). Together with a
`twisted.internet.task.Clock` and a `random.Random(1)`, days in the life of a mesh pass in milliseconds, the same way
each time.

`FakeLauncher` starts instances that exist only in name, `ScriptedProbe` checks what it was told to find. The registry
in memory is no fake: `wmesh.control.registry.memory.MemoryRegistry`, the one behind `[registry] url = memory:`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from wmesh.errors import LaunchError
from wmesh.interfaces import Launched
from wmesh.model import Address, CheckResult, CheckSpec, InstanceRecord, LoadSample, ServiceSpec

__all__ = ["FakeLaunched", "FakeLauncher", "ScriptedProbe"]


class FakeLaunched:
    """An instance in name only. `sample` is what `load()` answers; `stopped` tells whether it was asked to stop."""

    def __init__(self, launcher: FakeLauncher, id: str, address: Address, pid: int) -> None:
        self.id = id
        self.address = address
        self.pid = pid
        self.sample = LoadSample()
        self.stopped = False
        self.ended = False
        self._launcher = launcher
        self._waiting: list[Deferred[None]] = []

    def stop(self, timeout: float) -> Deferred[None]:
        """Ends at once, unless the launcher holds stops: then when `end` is called."""
        self.stopped = True
        if self.ended:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        if not self._launcher.hold_stops:
            self.end()
        return waiting

    def load(self) -> LoadSample:
        return self.sample

    def describe(self) -> Mapping[str, Any]:
        return {"pid": self.pid}

    def end(self) -> None:
        """The process is gone."""
        self.ended = True
        self._launcher.running.pop(self.id, None)
        waiting, self._waiting = self._waiting, []
        for stopped in waiting:
            stopped.callback(None)


class FakeLauncher:
    """Implements `wmesh.interfaces.Launcher`. `running` holds what runs, by id; `history` every id, as it was launched.

    `hold_launches` and `hold_stops` make launching and stopping take until the test says so (`proceed`, and `end` of
    the instance).
    """

    def __init__(self) -> None:
        self.running: dict[str, FakeLaunched] = {}
        self.history: list[str] = []
        self.hold_launches = False
        self.hold_stops = False
        self._pids = count(1000)
        self._exits: dict[str, Callable[[str], None]] = {}
        self._failures: dict[str, list[str]] = {}
        self._held: list[tuple[Deferred[Launched], FakeLaunched]] = []

    def launch(self, spec: ServiceSpec, record: InstanceRecord, exited: Callable[[str], None]) -> Deferred[Launched]:
        name = record.id
        self.history.append(name)
        if failures := self._failures.get(name):
            return fail(LaunchError(failures.pop(0)))
        launched = self.running[name] = FakeLaunched(self, name, record.address, next(self._pids))
        self._exits[name] = exited
        if not self.hold_launches:
            return succeed(launched)
        held: Deferred[Launched] = Deferred()
        self._held.append((held, launched))
        return held

    def proceed(self) -> None:
        """Let all launches that are held finish."""
        held, self._held = self._held, []
        for launch, launched in held:
            launch.callback(launched)

    def fail(self, id: str, *reasons: str) -> None:
        """The next launches of this id fail, one for each reason."""
        self._failures.setdefault(id, []).extend(reasons)

    def crash(self, id: str, reason: str = "killed by SIGKILL") -> None:
        """A running instance ends without being asked. Fails with KeyError if it does not run."""
        self.running[id].end()
        self._exits.pop(id)(reason)


class ScriptedProbe:
    """Implements `wmesh.interfaces.Probe`: every address is well until it is said not to be. `calls`: who was asked.

    Use it for all services: `Prober(directory, clock, random, lambda spec: probe)`.
    """

    def __init__(self) -> None:
        self.calls: list[Address] = []
        self.under_way: dict[Address, list[Deferred[CheckResult]]] = {}
        self._answers: dict[Address | None, CheckResult | None] = {None: CheckResult(True, "well", 0.0)}

    def __call__(self, record: InstanceRecord, spec: CheckSpec) -> Deferred[CheckResult]:
        address = record.address
        self.calls.append(address)
        result = self._answers.get(address, self._answers[None])
        if result is not None:
            return succeed(result)
        waiting: Deferred[CheckResult] = Deferred(lambda waiting: self.under_way[address].remove(waiting))
        self.under_way.setdefault(address, []).append(waiting)
        return waiting

    def says(
        self, ok: bool, reason: str = "as scripted", address: Address | None = None, *, proof: bool = False
    ) -> None:
        """From now on checks of this address (None: of every one not named otherwise) end so, at once.

        With `proof`, as they do where somebody else answers.
        """
        self._answers[address] = CheckResult(ok, reason, 0.0, proof)

    def hangs(self, address: Address | None = None) -> None:
        """From now on checks of this address (None: of every one not named otherwise) end when `answer` is called."""
        self._answers[address] = None

    def answer(self, address: Address, ok: bool, reason: str = "as scripted") -> None:
        """End the oldest check of this address that is under way. Fails with LookupError if there is none."""
        self.under_way[address].pop(0).callback(CheckResult(ok, reason, 0.0))
