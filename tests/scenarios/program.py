"""The gateway as its surroundings see it: a process with output, signals and memory, with children and leftovers."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from tests.scenarios.meshes import ROOT
from tests.scenarios.waiting import until, within
from wmesh.config.environment import REDIS_VARIABLES, VARIABLES
from wmesh.control.guard import guarded

MARK = "WMESH_SCENARIO"
START_PATIENCE = 30.0
STOP_PATIENCE = 20.0

ACTIVATE = """
import os, sys
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="public")
os.execv(sys.argv[1], sys.argv[1:])
"""

_LINE = re.compile(r"^\d\d:\d\d:\d\d (\w+) +(.*)$")

processes: Any = reactor


class Program(ProcessProtocol):
    """One `twistd -n wmesh` in `folder`, which holds its mesh.ini. `output` is all that it has printed so far."""

    pid = 0

    def __init__(self, folder: Path, mark: str) -> None:
        self.folder = folder
        self.mark = mark
        self.output = ""
        self.code: int | None = None
        self.began = time.monotonic()
        self._ended: list[Deferred[None]] = []
        self._over = False

    def command(self) -> list[str]:
        """What is run, in `folder`."""
        twistd = os.path.join(os.path.dirname(sys.executable), "twistd")
        return [twistd, "-n", "--pidfile=", "wmesh", "--config", "mesh.ini"]

    def start(self, listening: socket.socket | None = None) -> None:
        """What the environment of the tests says about Redis, log levels and so on must not reach it. A `listening`
        socket is handed over as systemd does it (sd_listen_fds(3))."""
        ours = {variable.name for variable in VARIABLES} | set(REDIS_VARIABLES)
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        environment = {"PYTHONPATH": str(ROOT), **environment, MARK: self.mark, "PYTHONUNBUFFERED": "1"}
        argv = self.command()
        files: dict[int, str | int] = {0: "w", 1: "r", 2: "r"}
        if listening is not None:
            argv = [sys.executable, "-c", ACTIVATE, *argv]
            files[3] = listening.fileno()
        # Bound to the life of these tests, so that it does not outlive a run that is killed.
        argv = guarded(argv)
        processes.spawnProcess(self, argv[0], argv, env=environment, path=str(self.folder), childFDs=files)

    def connectionMade(self) -> None:
        self.pid = self.transport.pid

    def outReceived(self, data: bytes) -> None:
        self.output += data.decode("utf-8", "replace")

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        done = reason.check(ProcessDone)
        self.code = 0 if done else reason.value.exitCode
        if self.code is None:
            self.code = -reason.value.signal
        self._over = True
        waiting, self._ended = self._ended, []
        for each in waiting:
            each.callback(None)

    @property
    def running(self) -> bool:
        return not self._over

    @property
    def lines(self) -> list[str]:
        """What it said of itself, without time and level."""
        return [match[2] for line in self.output.splitlines() if (match := _LINE.match(line))]

    @property
    def complaints(self) -> list[str]:
        """What it said above the level of info, and anything that is no line of its log (a traceback, say)."""
        found = []
        for line in self.output.splitlines():
            match = _LINE.match(line)
            if match is None or match[1] in ("warn", "error", "critical"):
                found.append(line)
        return found

    def says(self, text: str, seconds: float = START_PATIENCE) -> Deferred[str]:
        """Fires with the first line that contains this text."""

        def look() -> str | None:
            found = next((line for line in self.lines if text in line), None)
            if found is None and not self.running:
                raise AssertionError(f"it ended with {self.code} before it said {text!r}; it said:\n{self.output}")
            return found

        return Deferred.fromCoroutine(until(f"the gateway says {text!r}", look, seconds))

    def ready(self, seconds: float = START_PATIENCE) -> Deferred[str]:
        return self.says(" is ready: ", seconds)

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    async def ended(self, seconds: float = STOP_PATIENCE) -> int:
        """Its exit code; a negative one is the signal that ended it."""
        waiting: Deferred[None] = succeed(None) if self._over else Deferred()
        if not self._over:
            self._ended.append(waiting)
        await within("the gateway ends", waiting, seconds)
        assert self.code is not None
        return self.code

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.send(number)
        return await self.ended()

    # --- memory

    def memory(self) -> int:
        """Resident bytes now."""
        return self._status("VmRSS")

    def peak(self) -> int:
        """The most resident bytes since `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def _status(self, field: str) -> int:
        text = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE)
        assert found is not None, f"/proc/{self.pid}/status has no {field}"
        return int(found[1]) * 1024

    # --- what belongs to it

    def family(self) -> dict[int, str]:
        """Every process that it started, by their pids, itself left out; whatever session or parent they have now."""
        return {pid: command for pid, command in belongings(self.folder, self.mark).items() if pid != self.pid}


def belongings(folder: Path, mark: str) -> dict[int, str]:
    """Living processes that carry the mark in their environment, or name the folder in their command line (the
    embedded registry is started with an environment of its own). Zombies have neither."""
    found = {}
    sign = f"{MARK}={mark}".encode()
    place = os.fsencode(folder) + b"/"
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if sign in environment.split(b"\0") or place in command:
            found[int(entry.name)] = command.replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return found
