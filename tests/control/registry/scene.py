"""What the tests of registries share: a sink that remembers, patience with a limit, and a real server to mistreat."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

import wmesh
from wmesh.control.guard import guarded
from wmesh.control.registry.embedded import find_server
from wmesh.events import Event, InstanceAdded, InstanceRemoved, InstancesReset, InstanceUpdated
from wmesh.model import Address, InstanceRecord

PATIENCE = 10.0

# trial changes the working directory, and children must find the same wmesh as we did.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(wmesh.__file__).parents[1])}


def a_record(id: str = "pricing-1", **changes: Any) -> InstanceRecord:
    """A right record of the service "pricing"."""
    values: dict[str, Any] = {
        "service": "pricing",
        "id": id,
        "address": Address("127.0.0.1", 3007),
        "version": "1.0.0",
        "weight": 2,
        "tags": ("core",),
        "metadata": (("zone", "a"),),
        "incarnation": "first",
    }
    return InstanceRecord(**{**values, **changes})


class Recorder:
    """A sink. `events` is all it was told; `known` is what somebody who believed it would have now."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.known: dict[str, InstanceRecord] = {}

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        match event:
            case InstancesReset(_, records):
                self.known = {record.id: record for record in records}
            case InstanceAdded(record) | InstanceUpdated(record):
                self.known[record.id] = record
            case InstanceRemoved(_, id, _):
                del self.known[id]

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


async def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Wait until something is true, looking often; fail if it takes too long."""
    from twisted.internet import reactor

    limit = reactor.seconds() + PATIENCE
    while not condition():
        if reactor.seconds() > limit:
            raise AssertionError(f"waited {PATIENCE:g} s in vain for {what}")
        await deferLater(reactor, 0.005)


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

    def outReceived(self, data: bytes) -> None:
        self.output += data

    def errReceived(self, data: bytes) -> None:
        self.errors += data

    def processEnded(self, reason: Failure) -> None:
        value = reason.value
        self.ended = value.exitCode if value.exitCode is not None else -value.signal

    @property
    def pid(self) -> int:
        return int(self.transport.pid)

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessExitedAlready):
            self.transport.signalProcess(number)

    async def end(self) -> None:
        self.signal(signal.SIGKILL)
        await until(lambda: self.ended is not None, "the end of a child")


def spawn(argv: list[str]) -> Child:
    from twisted.internet import reactor

    child = Child()
    reactor.spawnProcess(child, argv[0], argv, env=ENVIRONMENT)
    return child


class Server:
    """A Valkey server on a Unix socket in a short directory of its own; it can be killed, stopped and started again."""

    def __init__(self, *flags: str) -> None:
        self.folder = tempfile.mkdtemp(prefix="wmt-")
        self.socket = f"{self.folder}/s"
        self.url = f"unix:{self.socket}"
        self.flags = flags
        self.child: Child | None = None

    async def start(self) -> None:
        fixed = ["--port", "0", "--unixsocket", self.socket, "--save", "", "--appendonly", "no", "--dir", self.folder]
        self.child = child = spawn(guarded([find_server(), *fixed, *self.flags]))
        await until(lambda: b"eady to accept" in child.output or child.ended is not None, "the server")
        assert child.ended is None, child.output

    async def kill(self) -> None:
        if self.child is not None:
            await self.child.end()
            self.child = None

    async def remove(self) -> None:
        await self.kill()
        shutil.rmtree(self.folder)

    async def ask(self, *args: object, password: str = "") -> Any:
        """One command on a connection of its own."""
        from twisted.internet import reactor
        from twisted.internet.endpoints import UNIXClientEndpoint
        from twisted.internet.protocol import Factory
        from txredisapi import RedisProtocol

        class Once(Factory):
            noisy = False

            def buildProtocol(self, addr: object) -> Any:
                protocol = RedisProtocol(charset=None, convertNumbers=False, password=password or None)
                protocol.factory = self
                return protocol

        connection = await UNIXClientEndpoint(reactor, self.socket).connect(Once())
        await connection.whenConnected()
        try:
            return await connection.execute_command(*args)
        finally:
            gone: Deferred[Any] = connection.whenDisconnected()
            connection.transport.loseConnection()
            await gone

    async def until(self, expected: Any, *args: object) -> None:
        """Ask again and again until the answer is as expected (or, given a callable, right)."""
        from twisted.internet import reactor

        limit = reactor.seconds() + PATIENCE
        while True:
            answer = await self.ask(*args)
            if expected(answer) if callable(expected) else answer == expected:
                return
            assert reactor.seconds() < limit, f"{args}: {answer}"
            await deferLater(reactor, 0.01)
