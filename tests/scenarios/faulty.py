"""An instance that fails in one chosen way, on the bare socket: what no HTTP server could be made to say.

It reads whole requests (heads, and bodies with a Content-Length), writes down each of them, and then does what its
fault says. Without a fault it answers 200 to everything and keeps the connection.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

network: Any = reactor

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
STEP = 0.02
"""Seconds between the pieces of what is said without an end."""

STAY, CLOSE, RESET = "stay", "close", "reset"
CONNECT, HEAD, REQUEST = "connect", "head", "request"


@dataclass(frozen=True, slots=True)
class Fault:
    """`when` something happens: at the connection, at the end of a request's head, or of the whole request. `said` is
    sent, then `endless` again and again; and then the connection is left open, closed, or reset. `good` requests on
    each connection are answered well before."""

    name: str
    said: bytes = b""
    then: str = STAY
    when: str = REQUEST
    endless: bytes = b""
    good: int = 0

    def __str__(self) -> str:
        return self.name


class Conversation(Protocol):
    factory: Faulty

    def __init__(self) -> None:
        self._data = b""
        self._served = 0
        self._failing = False
        self._again: Any = None

    def connectionMade(self) -> None:
        self.factory.connections.append(self)
        if self.factory.fault is not None and self.factory.fault.when == CONNECT:
            self._fail(self.factory.fault)

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        while not self._failing:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return
            fault = self.factory.fault
            if fault is not None and fault.when == HEAD:
                self._note(head)
                self._fail(fault)
                return
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            size = int(fields.get(b"content-length", b"0"))
            if len(rest) < size:
                return
            self._data = rest[size:]
            self._note(head)
            if fault is None or self._served < fault.good:
                self._served += 1
                self.transport.write(GOOD)
            else:
                self._fail(fault)

    def _note(self, head: bytes) -> None:
        self.factory.requests.append(head.split(b" ", 2)[1].decode())

    def _fail(self, fault: Fault) -> None:
        self._failing = True
        if fault.said:
            self.transport.write(fault.said)
        if fault.endless:
            self._say(fault.endless)
        elif fault.then == CLOSE:
            self.transport.loseConnection()
        elif fault.then == RESET:
            # What was said is on its way first.
            self._again = network.callLater(STEP, self.transport.abortConnection)

    def _say(self, piece: bytes) -> None:
        self.transport.write(piece)
        self._again = network.callLater(STEP, self._say, piece)

    def connectionLost(self, reason: Failure) -> None:
        if self._again is not None and self._again.active():
            self._again.cancel()


class Faulty(Factory):
    """Listens at `port` of the loopback until closed. `requests` are the targets of what came, in order."""

    protocol = Conversation
    noisy = False

    def __init__(self, fault: Fault | None = None) -> None:
        self.fault = fault
        self.requests: list[str] = []
        self.connections: list[Conversation] = []
        self._port: Any = network.listenTCP(0, self, interface="127.0.0.1")
        self.port: int = self._port.getHost().port

    def close(self) -> None:
        self._port.stopListening()
        for connection in self.connections:
            connection.transport.abortConnection()


def black_hole() -> tuple[int, Callable[[], None]]:
    """(a port where connections are neither accepted nor refused, what ends it). Its queue is full, so the kernel drops
    what else would like to connect."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = []
    for _ in range(4):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        waiting.append(client)

    def end() -> None:
        for each in (*waiting, listener):
            each.close()

    return listener.getsockname()[1], end
