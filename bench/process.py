"""Processes of a run: started on their cores in groups of their own, and always ended.

Every child leads a process group, so that workers go down with their master, and output goes to a log file that is
shown when the child dies too early. `children` is the one place that starts them: a context manager that ends all
groups on the way out, be it by return, error, Ctrl-C or SIGTERM (the entry point turns that into an exception). The
parent ends only groups that it made itself.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOW_PORT, HIGH_PORT = 18000, 32000
"""Below the range from which the kernel takes ports for outgoing connections, so that none of those is in the way."""

STOP_SECONDS = 5.0


class ProcessError(Exception):
    """A child did not start, or ended while it was needed. The message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run: `argv`, and what is added to the environment. The child runs in the directory of its files."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


class Child:
    """One running process with its group."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log
        self._stopped = False

    @property
    def pid(self) -> int:
        return self.process.pid

    def check(self) -> None:
        """Raise if it has ended."""
        code = self.process.poll()
        if code is not None:
            raise ProcessError(f"{self.name} ended with {code}\n{self.tail()}")

    def tail(self, lines: int = 15) -> str:
        return "\n".join("    " + line for line in self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, patience: float = STOP_SECONDS) -> None:
        """Ask the group to end, then insist. Workers that outlive their leader are killed with the group. Once: the
        number of a group that has ended may be somebody else's by now."""
        if self._stopped:
            return
        self._stopped = True
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
        self._signal(signal.SIGKILL)
        self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


Start = Callable[[str, Launch, Path, Collection[int]], Child]


@contextlib.contextmanager
def children() -> Iterator[Start]:
    """Gives a function that starts children, and stops all of them at the end, the last one first."""
    started: list[Child] = []

    def start(name: str, launch: Launch, directory: Path, cores: Collection[int]) -> Child:
        log = directory / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                launch.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env={**os.environ, **launch.environment},
                process_group=0,
                # Safe here: this program has no threads.
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )
        child = Child(name, process, log)
        started.append(child)
        return child

    try:
        yield start
    finally:
        for child in reversed(started):
            child.stop()


def wait_until(ready: Callable[[], bool], child: Child, seconds: float = 20.0) -> None:
    """Ask until the answer is yes; raise when the child ends or time is up."""
    deadline = time.monotonic() + seconds
    while not ready():
        child.check()
        if time.monotonic() > deadline:
            raise ProcessError(f"{child.name} was not ready within {seconds:.0f} s\n{child.tail()}")
        time.sleep(0.05)


def listening(port: int) -> bool:
    """Does anybody accept connections there?"""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def free_ports(count: int, taken: Sequence[int] = ()) -> list[int]:
    """The lowest ports above LOW_PORT that nobody uses on loopback."""
    found: list[int] = []
    for port in range(LOW_PORT, HIGH_PORT):
        if len(found) == count:
            return found
        if port in taken:
            continue
        with socket.socket() as probe:
            # As servers do it: connections of an earlier server in TIME_WAIT do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
    raise ProcessError(f"no {count} free ports between {LOW_PORT} and {HIGH_PORT}")


def allow_files(wanted: int) -> int:
    """Raise the soft limit of open files (children inherit it) towards `wanted`; answers what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if unlimited else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft
