"""Child processes of tests: each finds the same wmesh as we did, and its output and its end can be looked at.

Programs of whole scenarios, with a folder and leftovers to judge, are in `scenarios/program.py`.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from signal import SIGKILL

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

import wmesh
from tests.waiting import until

# trial changes the working directory, and children must find the same wmesh as we did.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(wmesh.__file__).parents[1])}


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


class Child(ProcessProtocol):
    """A process whose output is kept and whose end can be awaited as often as one likes."""

    def __init__(self) -> None:
        self.output = b""
        self.errors = b""
        self.ended: int | None = None

    def connectionMade(self) -> None:
        # The transport forgets it as soon as the process is reaped, which may be before its output ends.
        self.pid = int(self.transport.pid)

    def outReceived(self, data: bytes) -> None:
        self.output += data

    def errReceived(self, data: bytes) -> None:
        self.errors += data

    def processEnded(self, reason: Failure) -> None:
        value = reason.value
        self.ended = value.exitCode if value.exitCode is not None else -value.signal

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessExitedAlready):
            self.transport.signalProcess(number)

    async def end(self, number: int = SIGKILL) -> None:
        self.signal(number)
        await until(lambda: self.ended is not None, "the end of a child")


def spawn(argv: list[str], folder: Path | None = None, **variables: str) -> Child:
    """Run it, in `folder` if there is one, with these variables added to the environment."""
    from twisted.internet import reactor

    child = Child()
    path = None if folder is None else str(folder)
    reactor.spawnProcess(child, argv[0], argv, env={**ENVIRONMENT, **variables}, path=path)
    return child
