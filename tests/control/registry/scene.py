"""What the tests of registries share: a sink that remembers, and a real server to mistreat."""

from __future__ import annotations

import shutil
import tempfile
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.children import Child, spawn
from tests.waiting import PATIENCE, until
from wmesh.control.guard import guarded
from wmesh.control.registry.embedded import find_server
from wmesh.events import Event, InstanceAdded, InstanceRemoved, InstancesReset, InstanceUpdated
from wmesh.model import Address, InstanceRecord


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
