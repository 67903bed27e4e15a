"""An instance that fails in one chosen way, on the bare socket: what no HTTP server could be made to say.

It reads whole requests, writes down each of them, and then does what its fault says (`bench.answers.faults`, where all
of them are). Without a fault it answers 200 to everything and keeps the connection.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from bench.answers.faults import CLOSE, CONNECT, RESET, STEP, Fault, Reading

network: Any = reactor


class Conversation(Protocol):
    factory: Faulty

    def __init__(self) -> None:
        self._reading = Reading()
        self._again: Any = None

    def connectionMade(self) -> None:
        self.factory.connections.append(self)
        if self.factory.fault is not None and self.factory.fault.when == CONNECT:
            self._reading.failing = True
            self._fail(self.factory.fault)

    def dataReceived(self, data: bytes) -> None:
        if self._reading.failing:
            return
        targets, said = self._reading.feed(data, self.factory.fault)
        self.factory.requests += targets
        if said:
            self.transport.write(said)
        if self._reading.failing and self.factory.fault is not None:
            self._fail(self.factory.fault)

    def _fail(self, fault: Fault) -> None:
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
