"""What the kernel knows of a process and its children: CPU time, memory, and how busy a core is. Linux only.

CPU time is the first field of /proc/PID/task/TID/schedstat, nanoseconds on a core, summed over every thread of the
process tree. It is exact where the tick-based counters of /proc/PID/stat are rounded to 10 ms. Kernel work done on
behalf of a process (its system calls, and the loopback delivery that its own sends set off) is in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

Spent = Mapping[tuple[int, int], int]
"""Nanoseconds on a core by (process id, thread id)."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a process tree. RSS counts shared pages once per process, PSS shares them out; PSS sums up right."""

    rss: int
    pss: int


@dataclass(frozen=True, slots=True)
class CoreTime:
    """Clock ticks of one core since boot: `busy` doing anything, `stolen` by the machine below this one."""

    busy: int
    stolen: int

    @property
    def total(self) -> int:
        """What an idle core would have had to give, and did not."""
        return self.busy + self.stolen


def parse_schedstat(text: str) -> int:
    """Nanoseconds on a core: the first of the three fields."""
    return int(text.split(None, 1)[0])


def parse_parent(stat: str) -> int:
    """The parent's id in /proc/PID/stat. The command name before it may hold blanks and parentheses."""
    return int(stat.rpartition(")")[2].split()[1])


def parse_smaps_rollup(text: str) -> Memory:
    """Rss and Pss lines, which are in kB."""
    sizes = {}
    for line in text.splitlines()[1:]:
        name, _, value = line.partition(":")
        sizes[name] = int(value.split()[0]) * 1024
    return Memory(sizes["Rss"], sizes["Pss"])


def parse_core(stat: str, core: int) -> CoreTime:
    """The `cpuN` line of /proc/stat: user nice system idle iowait irq softirq steal (guest time is within user)."""
    for line in stat.splitlines():
        fields = line.split()
        if fields[0] == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
            return CoreTime(user + nice + system + irq + softirq, steal)
    raise LookupError(f"/proc/stat has no core {core}")


def family(root: int) -> list[int]:
    """A process and all its descendants, the process first."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                parent = parse_parent((entry / "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def cpu_time(pids: Iterable[int]) -> Spent:
    """What every thread of these processes has spent so far."""
    spent: dict[tuple[int, int], int] = {}
    for pid in pids:
        for task in (PROC / str(pid) / "task").iterdir():
            try:
                spent[pid, int(task.name)] = parse_schedstat((task / "schedstat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue
    return spent


def waited(pid: int) -> int:
    """Nanoseconds in which the first thread of a process could have run, and somebody else had its core."""
    return int((PROC / str(pid) / "schedstat").read_text().split()[1])


def between(before: Spent, after: Spent) -> int:
    """Nanoseconds spent from one reading to the next. What ended in between is lost (no peer's does)."""
    return sum(now - before.get(task, 0) for task, now in after.items())


def memory(pids: Iterable[int]) -> Memory:
    parts = [parse_smaps_rollup((PROC / str(pid) / "smaps_rollup").read_text()) for pid in pids]
    return Memory(sum(part.rss for part in parts), sum(part.pss for part in parts))


def core_time(core: int) -> CoreTime:
    return parse_core((PROC / "stat").read_text(), core)


def ticks_per_second() -> int:
    return os.sysconf("SC_CLK_TCK")
