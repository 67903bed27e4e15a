"""Instances that live in the test's own process, so that a scenario can make them slow, sick or curious at will.

`Instance` is a small twisted.web server that tells what reached it; `Bulk` speaks HTTP on the bare socket, because what
it is for is to send and take very many bytes, and to stop doing so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer

network: Any = reactor

PIECE = bytes(65536)


class QuietSite(Site):
    noisy = False

    def log(self, request: Request) -> None:
        """No access log."""


class Instance(Resource):
    """Answers `/health` with what `check` says (a status, or a Deferred of one), `/slow` when `release` is called, and
    everything else with JSON about the request: method, path, headers (lower case). `tls` are options of a server."""

    isLeaf = True

    def __init__(self, name: str, port: int = 0, interface: str = "127.0.0.1", tls: Any = None) -> None:
        super().__init__()
        self.name = name
        self.check: Callable[[], int | Deferred[int]] = lambda: 200
        self.checks = 0
        self.requests = 0
        self.waiting: list[Request] = []
        factory: Any = QuietSite(self)
        if tls is not None:
            factory = TLSMemoryBIOFactory(tls, False, factory)
        self._factory = factory
        self._port: Any = network.listenTCP(port, factory, interface=interface)
        self.port: int = self._port.getHost().port

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def render(self, request: Request) -> int:
        if request.path == b"/health":
            self.checks += 1
            status = self.check()
            if isinstance(status, Deferred):
                status.addCallback(lambda found: self._say(request, found))
            else:
                self._say(request, status)
            return NOT_DONE_YET
        self.requests += 1
        if request.path == b"/slow":
            self.waiting.append(request)
            request.notifyFinish().addErrback(lambda _: None)
        else:
            self._say(request, 200)
        return NOT_DONE_YET

    def release(self) -> None:
        """Answer whoever waits."""
        waiting, self.waiting = self.waiting, []
        for request in waiting:
            self._say(request, 200)

    def _say(self, request: Request, status: int) -> None:
        document = {
            "instance": self.name,
            "method": request.method.decode(),
            "path": request.uri.decode(),
            "headers": {
                name.decode().lower(): b", ".join(values).decode("latin-1")
                for name, values in request.requestHeaders.getAllRawHeaders()
            },
        }
        body = json.dumps(document).encode()
        request.setResponseCode(status)
        request.setHeader("Content-Type", "application/json")
        request.setHeader("Content-Length", str(len(body)))
        request.setHeader("X-Served-By", self.name)
        request.write(body)
        request.finish()

    async def close(self) -> None:
        """May be called again."""
        await maybeDeferred(self._port.stopListening)

    def drop(self) -> None:
        """End all connections of an instance over TLS."""
        for connection in list(self._factory.protocols):
            connection.abortConnection()


@implementer(IPushProducer)
class Bulk(Protocol):
    """GET answers with `factory.size` zero bytes; POST is answered, when its last byte has come, with their number.

    `factory.stop_at` bytes into a request body it stops reading, until `go_on`. `sent` and `received` count body bytes.
    """

    factory: BulkFactory

    def __init__(self) -> None:
        self.head = b""
        self.left = 0
        self.sent = 0
        self.received = 0
        self.posting = False

    def connectionMade(self) -> None:
        self.factory.connections.append(self)

    def dataReceived(self, data: bytes) -> None:
        if not self.posting:
            self.head += data
            head, end, data = self.head.partition(b"\r\n\r\n")
            if not end:
                return
            self.head = b""
            if head.startswith(b"GET /health"):
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                return
            if head.startswith(b"GET"):
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self.factory.size)
                self.sent = 0
                self.transport.registerProducer(self, True)
                self.resumeProducing()
                return
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            self.posting = True
            self.left = int(fields[b"content-length"])
            self.received = 0
        self.received += len(data)
        if self.received == self.left:
            self.posting = False
            text = b"%d" % self.received
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
        elif self.received >= self.factory.stop_at:
            self.transport.pauseProducing()

    def go_on(self) -> None:
        self.factory.stop_at = self.factory.size
        self.transport.resumeProducing()

    # As the producer of its answer.

    running = False
    looping = False

    def resumeProducing(self) -> None:
        self.running = True
        if not self.looping:
            self.looping = True
            network.callLater(0, self._send)

    def _send(self) -> None:
        self.looping = False
        if self.running and self.sent < self.factory.size:
            piece = PIECE[: self.factory.size - self.sent]
            self.sent += len(piece)
            self.transport.write(piece)
            if self.sent == self.factory.size:
                self.transport.unregisterProducer()
            elif self.running:
                self.resumeProducing()

    def pauseProducing(self) -> None:
        self.running = False

    def stopProducing(self) -> None:
        self.running = False


class BulkFactory(Factory):
    """Listens at `port` of the loopback until closed."""

    protocol = Bulk
    noisy = False

    def __init__(self, size: int) -> None:
        self.size = size
        self.stop_at = size
        self.connections: list[Bulk] = []
        self._port: Any = network.listenTCP(0, self, interface="127.0.0.1")
        self.port: int = self._port.getHost().port

    def close(self) -> None:
        self._port.stopListening()
        for connection in self.connections:
            connection.transport.abortConnection()
