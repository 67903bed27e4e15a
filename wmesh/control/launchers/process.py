"""Instances as child processes of the gateway.

Strategy: every child is started through `wmesh.control.guard`, which gives it a session of its own and ties its life
to ours; so one signal to its process group reaches what it started, too. A note in the state directory says what was
launched, for the gateway that comes after one that was killed (`sweep`). What the child prints goes to the log, stdout
at debug and stderr at warn, and the last lines are kept.

```
            it exits by itself: exited(reason)
RUNNING ───────────────────────────────────────► ENDED
   │ stop(): SIGTERM to the group                  ▲
   ▼                                               │
STOPPING ──────────────────────────────────────────┘
     it exits, by SIGKILL to the group after the timeout; stop() is done
```
It has ended when the process is gone and its output was read to the end; what is left of its group is killed then.
"""

from __future__ import annotations

import enum
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ProcessTerminated
from twisted.internet.interfaces import IDelayedCall, IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from wmesh.control.guard import guarded
from wmesh.control.launchers.identity import environment_of
from wmesh.control.launchers.notes import Note, Notes, note_for, survivors
from wmesh.control.launchers.usage import UsageMeter
from wmesh.errors import LaunchError
from wmesh.interfaces import Launched
from wmesh.model import Address, InstanceRecord, LoadSample, ServiceSpec

KEPT_LINES = 100
MAX_LINE = 8192
DRAIN_OUTPUT = 1.0
"""Seconds that a dead child's output may still take, should somebody else hold the other end of the pipe."""

SWEEP_PATIENCE = 3.0
SWEEP_STEP = 0.05


class ReactorForProcesses(Protocol):
    """What the launcher asks of a reactor: processes and time."""

    def spawnProcess(self, processProtocol: Any, executable: Any, args: Any, env: Any = None) -> IProcessTransport: ...

    def callLater(self, delay: float, callable: Any, *args: Any) -> IDelayedCall: ...

    def seconds(self) -> float: ...


def fill_in(command: Sequence[str], spec: ServiceSpec, id: str, address: Address) -> list[str]:
    """The command with its placeholders filled in. Fails with LaunchError on one that is not known."""
    values = {
        "port": address.port,
        "host": address.host,
        "id": id,
        "python": sys.executable,
        "name": spec.name,
    }
    try:
        return [argument.format_map(values) for argument in command]
    except (KeyError, ValueError, IndexError, AttributeError) as error:
        known = ", ".join(f"{{{name}}}" for name in values)
        raise LaunchError(f"the command of {spec.name} has an unknown placeholder ({error}); known: {known}") from error


class State(enum.IntEnum):
    RUNNING = 0
    STOPPING = 1
    ENDED = 2


class LaunchedProcess(ProcessProtocol):
    """One child. Implements `wmesh.interfaces.Launched`; `lines` holds the last lines that it printed."""

    _log = Logger()
    transport: IProcessTransport

    def __init__(
        self, reactor: ReactorForProcesses, id: str, address: Address, exited: Callable[[str], None], notes: Notes
    ) -> None:
        self.id = id
        self.address = address
        self.state = State.RUNNING
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.pid = 0
        self.began = reactor.seconds()
        self._reactor = reactor
        self._exited = exited
        self._notes = notes
        self._gone = False
        self._stopped: list[Deferred[None]] = []
        self._insist_later: IDelayedCall | None = None
        self._meter: UsageMeter | None = None
        self._output = _Lines(self._printed)
        self._errors = _Lines(self._complained)
        self._last_complaint = ""

    # wmesh.interfaces.Launched

    def stop(self, timeout: float) -> Deferred[None]:
        """Asking again may shorten the patience, never lengthen it."""
        if self.state is State.ENDED:
            return succeed(None)
        if self.state is State.RUNNING:
            self.state = State.STOPPING
            self._signal(signal.SIGTERM)
            self._insist_later = self._reactor.callLater(timeout, self._signal, signal.SIGKILL)
        elif (later := self._insist_later) is not None and later.active():
            later.reset(min(timeout, max(0.0, later.getTime() - self._reactor.seconds())))
        stopped: Deferred[None] = Deferred()
        self._stopped.append(stopped)
        return stopped

    def load(self) -> LoadSample:
        return self._meter.sample() if self._meter is not None and not self._gone else LoadSample()

    def describe(self) -> Mapping[str, Any]:
        return {"pid": self.pid, "started": self.began, "state": self.state.name.lower()}

    # What Twisted calls.

    def connectionMade(self) -> None:
        self.pid = self.transport.pid
        self._meter = UsageMeter(self.pid)

    def outReceived(self, data: bytes) -> None:
        self._output.feed(data)

    def errReceived(self, data: bytes) -> None:
        self._errors.feed(data)

    def processExited(self, reason: Failure) -> None:
        self._gone = True
        if self._insist_later is not None and self._insist_later.active():
            self._insist_later.cancel()
        # Its pid cannot have been given to anybody else while members of its group live, and they must not survive it.
        _kill_group(self.pid, signal.SIGKILL)
        self._insist_later = self._reactor.callLater(DRAIN_OUTPUT, self.transport.loseConnection)

    def processEnded(self, reason: Failure) -> None:
        if self._insist_later is not None and self._insist_later.active():
            self._insist_later.cancel()
        self._output.end()
        self._errors.end()
        asked = self.state is State.STOPPING
        self.state = State.ENDED
        self._notes.remove(self.id)
        if not asked:
            self._exited(self._epitaph(reason))
        waiting, self._stopped = self._stopped, []
        for stopped in waiting:
            stopped.callback(None)

    def _epitaph(self, reason: Failure) -> str:
        """How it ended. Who ends by himself says why on stderr, last; who is killed says nothing about that."""
        problem = reason.value
        if not isinstance(problem, ProcessTerminated):
            return "exited with code 0"
        if problem.signal is not None:
            known = problem.signal in set(signal.Signals)
            return f"killed by {signal.Signals(problem.signal).name if known else f'signal {problem.signal}'}"
        text = f"exited with code {problem.exitCode}"
        return f"{text}: {self._last_complaint}" if self._last_complaint else text

    def _signal(self, number: signal.Signals) -> None:
        # In its first milliseconds, before the guard made it a session, it has no group of its own.
        if not self._gone and not _kill_group(self.pid, number):
            os.kill(self.pid, number)

    def _printed(self, line: str) -> None:
        self.lines.append(line)
        self._log.debug("{id}: {line}", id=self.id, line=line)

    def _complained(self, line: str) -> None:
        self.lines.append(line)
        if line.strip():
            self._last_complaint = line.strip()
        self._log.warn("{id}: {line}", id=self.id, line=line)


class ProcessLauncher:
    """Implements `wmesh.interfaces.Launcher` with child processes; notes about them go to `state_dir`/launched."""

    _log = Logger()

    def __init__(self, reactor: ReactorForProcesses, state_dir: str) -> None:
        self._reactor = reactor
        self._notes = Notes(state_dir)

    def launch(self, spec: ServiceSpec, record: InstanceRecord, exited: Callable[[str], None]) -> Deferred[Launched]:
        """Start `spec.command` with the mesh's variables added to our environment."""
        try:
            return succeed(self._launch(spec, record, exited))
        except LaunchError:
            return fail()

    async def sweep(self, patience: float = SWEEP_PATIENCE) -> list[str]:
        """End what a killed gateway left behind; answers the ids of the instances that were still alive.

        They are asked, and killed after `patience` seconds; those seconds are waited once more for them to be gone.
        """
        notes = list(self._notes.stale())
        found = {note: pids for note in notes if (pids := survivors(note))}
        for note, pids in found.items():
            self._log.warn(
                "Ending {id}, left behind by a gateway that was killed (pid {pids})",
                id=note.id,
                pids=", ".join(map(str, pids)),
            )
            _kill_all(pids, signal.SIGTERM)
        if not await self._all_gone(found, patience, None):
            await self._all_gone(found, patience, signal.SIGKILL)
        for note in notes:
            self._notes.remove(note.id)
        return [note.id for note in found]

    async def _all_gone(
        self, found: Mapping[Note, Sequence[int]], patience: float, number: signal.Signals | None
    ) -> bool:
        """Wait for their end, repeating the signal meanwhile; False if our patience ended first."""
        for _ in range(max(1, round(patience / SWEEP_STEP))):
            alive = [pid for note in found for pid in survivors(note)]
            if not alive:
                return True
            if number is not None:
                _kill_all(alive, number)
            step: Deferred[None] = Deferred()
            self._reactor.callLater(SWEEP_STEP, step.callback, None)
            await step
        return False

    def _launch(self, spec: ServiceSpec, record: InstanceRecord, exited: Callable[[str], None]) -> LaunchedProcess:
        name, address = record.id, record.address
        command = fill_in(spec.command, spec, name, address)
        if not command:
            raise LaunchError(f"{spec.name} has no command")
        if shutil.which(command[0]) is None:
            raise LaunchError(f"{command[0]}: no such command; give a path, or a name found on PATH")
        child = LaunchedProcess(self._reactor, name, address, exited, self._notes)
        argv = guarded(command)
        try:
            self._reactor.spawnProcess(child, argv[0], argv, env={**environment_of(record), "PYTHONUNBUFFERED": "1"})
        except OSError as error:
            raise LaunchError(f"{command[0]} cannot be started: {error.strerror}") from error
        try:
            self._notes.write(note_for(name, child.pid, tuple(command)))
        except OSError as error:
            child.stop(0.0)
            raise LaunchError(f"no note about {name} can be left in the state directory: {error}") from error
        if child.state is State.ENDED:
            self._notes.remove(name)
        return child


def _kill_group(group: int, number: signal.Signals) -> bool:
    """False if there is no such group."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _kill_all(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


class _Lines:
    """Cuts a byte stream into lines of text; one that has no end is cut at MAX_LINE bytes."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *whole, rest = (self._rest + data).split(b"\n")
        for line in whole:
            self._tell(line)
        while len(rest) > MAX_LINE:
            self._tell(rest[:MAX_LINE])
            rest = rest[MAX_LINE:]
        self._rest = rest

    def end(self) -> None:
        if self._rest:
            self._tell(self._rest)
            self._rest = b""

    def _tell(self, line: bytes) -> None:
        self._told(line.decode("utf-8", "replace").rstrip("\r"))
