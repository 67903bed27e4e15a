"""What a gateway leaves in its state directory about the processes it launched, so that the next one can clean up.

Strategy: one small JSON file per instance, `launched/ID.json`, written right after the process was started and removed
when it has ended. A note says which process (pid, start time, boot) and whose it is (the gateway's own pid and start
time). A pid alone proves nothing, for pids are reused; with the start time it is the same process or none. Notes of a
gateway that is still alive are left alone.

If the process itself is gone but others of its session live on, they are known by that session and by the instance's
id in their environment. Where there is no /proc nothing can be proved, so nothing is ended, and stale notes just go.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from wmesh.control.launchers.usage import PROC, all_stats, read_stat

FOLDER = "launched"
ID_VARIABLE = "WMESH_INSTANCE_ID"


@dataclass(frozen=True, slots=True)
class Note:
    """`started` and `owner_started` are ticks since boot (0: not known); `boot` is the kernel's id of this boot."""

    id: str
    pid: int
    started: int
    boot: str
    owner: int
    owner_started: int
    command: tuple[str, ...] = ()


def note_for(id: str, pid: int, command: tuple[str, ...]) -> Note:
    """A note about a process that this one has just started."""
    owner = os.getpid()
    return Note(id, pid, _started(pid), _boot(), owner, _started(owner), command)


class Notes:
    """The notes in one state directory. Failing to write one is an OSError: without it a crash could leave orphans."""

    def __init__(self, state_dir: str) -> None:
        self._folder = Path(state_dir) / FOLDER

    def write(self, note: Note) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(note.id)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(note), indent=1), encoding="utf-8")
        os.replace(fresh, path)

    def remove(self, id: str) -> None:
        """Never fails: a note that stays proves itself wrong by its start time, so it is only litter."""
        with suppress(OSError):
            self._path(id).unlink()

    def stale(self) -> Iterator[Note]:
        """Notes whose gateway is gone. What cannot be read is removed: it was never finished."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                note = _from_json(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                with suppress(OSError):
                    path.unlink()
                continue
            if not _same(note.owner, note.owner_started, note.boot):
                yield note

    def _path(self, id: str) -> Path:
        return self._folder / f"{quote(id, safe=':@+~[]')}.json"


def survivors(note: Note) -> list[int]:
    """Pids of the processes of this note's session that live: certainly those, or none."""
    if note.boot != _boot():
        return []
    session = [stat for stat in all_stats() if stat.session == note.pid and not stat.ended]
    if _same(note.pid, note.started, note.boot):
        # Right after the start it may not have made its session yet.
        return sorted({note.pid, *(stat.pid for stat in session)})
    mark = f"{ID_VARIABLE}={note.id}".encode()
    if any(stat.pid == note.pid for stat in session):
        return []
    return sorted(stat.pid for stat in session if mark in _environment(stat.pid))


def _same(pid: int, started: int, boot: str) -> bool:
    stat = read_stat(pid)
    return stat is not None and not stat.ended and stat.started == started and boot == _boot()


def _started(pid: int) -> int:
    stat = read_stat(pid)
    return stat.started if stat is not None else 0


def _boot() -> str:
    try:
        return Path(PROC, "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(PROC, str(pid), "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _from_json(text: str) -> Note:
    """Fails with ValueError on anything but a whole note."""
    value = json.loads(text)
    try:
        note = Note(**{**value, "command": tuple(value["command"])})
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a note: {error}") from error
    numbers = (note.pid, note.started, note.owner, note.owner_started)
    if not all(isinstance(number, int) for number in numbers) or note.pid <= 1:
        raise ValueError("not a note: pids and times are numbers")
    return note
