"""The place of an embedded registry: who may use a state directory, where the socket is, what an earlier run left.

Strategy: a lock that the kernel takes back whatever happens to its holder (flock), and beside it a note about the
server that was started. Whoever holds the lock may believe that the writer of the note is gone, so a server that the
note describes and that still runs is a leftover. It is ended only if pid, start time and command line all agree, and
through a pidfd, so that a reused pid never costs a stranger his life. Where there is no /proc, nothing is ended.

    state_dir/registry.lock     held while a gateway uses the directory
    state_dir/registry.json     {"pid", "started", "socket"} of the server
    state_dir/registry.sock     the socket, or in a private directory below the system's temporary one if the path would
                                be longer than a socket address can be
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from wmesh.control.lock import Lock
from wmesh.errors import RegistryError

# sockaddr_un holds 108 bytes, and a final zero is one of them.
LONGEST_SOCKET_PATH = 107
GRACE = 3.0
_PRIVATE = "wmesh-registry-"
_POLL = 0.02


class Premises:
    """A state directory of ours, between `enter` and `leave`. `socket` is known once inside."""

    _log = Logger()

    def __init__(self, state_dir: str, clock: IReactorTime) -> None:
        self._folder = Path(os.path.abspath(state_dir))
        self._clock = clock
        self._lock = Lock(self._folder / "registry.lock", RegistryError)
        self._note = self._folder / "registry.json"
        self._private: Path | None = None
        self.socket = ""

    async def enter(self) -> None:
        """Take the directory, making it if need be, and clear away what is left there. Fails with RegistryError."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.take()
            await self._clear()
            self.socket = self._place()
        except OSError as error:
            self.leave()
            raise RegistryError(f"{self._folder} cannot keep an embedded registry: {error.strerror}") from error

    def note(self, pid: int) -> None:
        """Write down which server is ours, for the next run to find if we cannot clear up ourselves."""
        fresh = self._note.with_suffix(".new")
        fresh.write_text(json.dumps({"pid": pid, "started": _start_time(pid), "socket": self.socket}))
        fresh.replace(self._note)

    def leave(self) -> None:
        """Remove all that is ours and give the directory back. The server must have ended. Twice is no error."""
        if not self._lock.held:
            return
        if self.socket:
            _remove(Path(self.socket))
        if self._private is not None:
            shutil.rmtree(self._private, ignore_errors=True)
            self._private = None
        _remove(self._note)
        self._lock.release()

    async def _clear(self) -> None:
        """End the server that the note describes, and remove its socket."""
        note = self._read_note()
        path = Path(note["socket"]) if note else self._folder / "registry.sock"
        if note:
            await self._end(note)
            if path.parent.name.startswith(_PRIVATE) and path.parent.parent == Path(tempfile.gettempdir()):
                shutil.rmtree(path.parent, ignore_errors=True)
        if path.name == "registry.sock":
            _remove(path)
        _remove(self._folder / "registry.sock")
        _remove(self._note)

    def _read_note(self) -> dict[str, Any] | None:
        try:
            note = json.loads(self._note.read_text())
        except FileNotFoundError:
            return None
        except (ValueError, OSError):
            note = None
        right = (
            isinstance(note, dict)
            and isinstance(note.get("pid"), int)
            and isinstance(note.get("started"), int)
            and isinstance(note.get("socket"), str)
        )
        if not right:
            self._log.warn("{path} cannot be read and is removed", path=self._note)
            return None
        return dict(note)

    async def _end(self, note: dict[str, Any]) -> None:
        with contextlib.ExitStack() as stack:
            try:
                process = os.pidfd_open(note["pid"])
            except (AttributeError, OSError):
                return
            stack.callback(os.close, process)
            # Looked at after the pidfd is held: from here on the pid cannot become somebody else's unnoticed.
            if note["started"] == 0 or _start_time(note["pid"]) != note["started"]:
                return
            if note["socket"].encode() not in _command_line(note["pid"]):
                return
            self._log.warn("An embedded registry of an earlier run still lives (pid {pid}): ending it", pid=note["pid"])
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(process, number)
                for _ in range(round(GRACE / _POLL)):
                    if select.select([process], [], [], 0)[0]:
                        return
                    await deferLater(self._clock, _POLL)
        raise RegistryError(f"an embedded registry of an earlier run (pid {note['pid']}) cannot be ended")

    def _place(self) -> str:
        path = self._folder / "registry.sock"
        if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
            self._private = Path(tempfile.mkdtemp(prefix=_PRIVATE))
            path = self._private / "registry.sock"
        return str(path)


def _start_time(pid: int) -> int:
    """When a process started, in the kernel's ticks since boot: with the pid it names one process. 0: not known."""
    try:
        # The second field is the command's name in parentheses and may hold anything, so count from behind it.
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def _command_line(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
