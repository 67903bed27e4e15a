"""What a process and its children use, from /proc (Linux, proc(5)). Elsewhere nothing is known, and nothing breaks.

Strategy: the text of /proc/PID/stat is parsed by a pure function; `UsageMeter` walks the tree of children and
remembers the last sample, because a CPU percentage is a difference. Both clock and ticks come from the kernel
(/proc/uptime), so changes of wall time do no harm. Children that ended are counted through their parent's cutime and
cstime.

Limits: a grandchild that detached itself (double fork) is not in the tree. Resident memory is the sum over the tree,
so pages shared between parent and child count twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from wmesh.model import LoadSample

PROC = "/proc"
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """What we read of /proc/PID/stat. `ticks` is CPU time (user and system) of it and its ended children; `started` is
    in ticks since boot; `resident` in pages."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    ticks: int
    started: int
    resident: int

    @property
    def ended(self) -> bool:
        """Dead, and only waiting for its parent to notice."""
        return self.state in "ZX"


def parse_stat(text: str) -> ProcessStat:
    """Fails with ValueError if that is no stat line. The command's name, in parentheses, may hold anything."""
    pid, _, rest = text.partition(" (")
    _, closed, tail = rest.rpartition(") ")
    fields = tail.split()
    if not closed or len(fields) < 22:
        raise ValueError(f"not a line of /proc/PID/stat: {text[:80]!r}")
    return ProcessStat(
        pid=int(pid),
        state=fields[0],
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        ticks=sum(int(field) for field in fields[11:15]),
        started=int(fields[19]),
        resident=int(fields[21]),
    )


def read_stat(pid: int, proc: str = PROC) -> ProcessStat | None:
    """None if there is no such process, or no /proc."""
    try:
        with open(f"{proc}/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return parse_stat(file.read())
    except (OSError, ValueError):
        return None


def all_stats(proc: str = PROC) -> Iterator[ProcessStat]:
    """Every process there is: one file each, so not for what happens often."""
    try:
        names = os.listdir(proc)
    except OSError:
        return
    for name in names:
        stat = read_stat(int(name), proc) if name.isdigit() else None
        if stat is not None:
            yield stat


def tree(pid: int, proc: str = PROC) -> list[ProcessStat]:
    """The process and all its living descendants, it first; empty if it is gone."""
    found: list[ProcessStat] = []
    waiting = [pid]
    seen = set()
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        stat = read_stat(current, proc)
        if stat is not None:
            found.append(stat)
            waiting.extend(_children(current, proc))
    return found


class UsageMeter:
    """Measures one process tree. The first sample covers the time since the process started."""

    def __init__(self, pid: int, proc: str = PROC) -> None:
        self._pid = pid
        self._proc = proc
        self._last: tuple[float, int] | None = None

    def sample(self) -> LoadSample:
        """CPU in percent of one core since the last sample, and resident bytes; None for what is not known."""
        stats = tree(self._pid, self._proc)
        uptime = _uptime(self._proc)
        if not stats or stats[0].ended:
            return LoadSample()
        memory = sum(stat.resident for stat in stats) * PAGE
        if uptime is None:
            return LoadSample(None, memory)
        ticks = sum(stat.ticks for stat in stats)
        before, spent = self._last or (stats[0].started / TICKS, 0)
        if uptime - before < 1.0 / TICKS:
            return LoadSample(None, memory)
        self._last = (uptime, ticks)
        # A child that ended and was never waited for takes its time with it: never below zero.
        cpu = max(0.0, 100.0 * (ticks - spent) / TICKS / (uptime - before))
        return LoadSample(round(cpu, 1), memory)


def _uptime(proc: str) -> float | None:
    """Seconds since boot."""
    try:
        with open(f"{proc}/uptime", encoding="ascii") as file:
            return float(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _children(pid: int, proc: str) -> Iterator[int]:
    """Each thread lists the children that it forked itself."""
    try:
        threads = os.listdir(f"{proc}/{pid}/task")
    except OSError:
        return
    for thread in threads:
        try:
            with open(f"{proc}/{pid}/task/{thread}/children", encoding="ascii") as file:
                yield from map(int, file.read().split())
        except (OSError, ValueError):
            continue
