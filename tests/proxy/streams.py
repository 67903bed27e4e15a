"""What the tests of streams share: protocols that note what they are told, and a stream whose other end is a socket.

No test stands here, and nothing that knows of requests: that is `support.py`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import interfaces
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from wmesh.proxy.poller import Poller
from wmesh.proxy.transport import Stream


class Listening:
    """A protocol that notes what it is told."""

    closes_inline = False

    def __init__(self) -> None:
        self.transport: Any = None
        self.told: list[str] = []
        self.data = b""
        self.reason: Failure | None = None

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure) -> None:
        self.told.append("lost")
        self.reason = reason


class Inline(Listening):
    closes_inline = True


@implementer(interfaces.IHalfCloseableProtocol)
class HalfClosing(Listening):
    def readConnectionLost(self) -> None:
        self.told.append("read closed")

    def writeConnectionLost(self) -> None:
        self.told.append("write closed")


@implementer(interfaces.IPushProducer)
class Pushing:
    def __init__(self) -> None:
        self.told: list[str] = []
        self.on_resume: Callable[[], None] | None = None

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")
        if self.on_resume is not None:
            self.on_resume()

    def stopProducing(self) -> None:
        self.told.append("stop")


class StreamScene(TestCase):
    timeout = 10

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.poller = Poller(reactor)
        self.addCleanup(self._close)

    async def _close(self) -> None:
        self.poller.close()
        await self.turn()

    async def turn(self, count: int = 3) -> None:
        for _ in range(count):
            await deferLater(self.reactor, 0)

    def stream(self, protocol: Listening | None = None, *, small: bool = True) -> tuple[Stream, Any, socket.socket]:
        """A stream, its protocol, and the other end. `small`: the kernel takes little in."""
        near, far = socket.socketpair()
        if small:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        near.setblocking(False)
        far.setblocking(False)
        self.addCleanup(far.close)
        protocol = protocol or Listening()
        stream = Stream(near, self.poller, far.getpeername(), True)
        stream.start(protocol)
        return stream, protocol, far

    def tcp_stream(self, protocol: Listening | None = None) -> tuple[Stream, Any, socket.socket]:
        """The same over TCP."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        far = socket.create_connection(listener.getsockname())
        self.addCleanup(far.close)
        near, peer = listener.accept()
        near.setblocking(False)
        protocol = protocol or Listening()
        stream = Stream(near, self.poller, peer, True)
        stream.start(protocol)
        return stream, protocol, far

    async def all_of(self, far: socket.socket, size: int = 0) -> bytes:
        """What comes at the other end: so many bytes, or all until the end."""
        data = b""
        while not size or len(data) < size:
            try:
                piece = far.recv(1 << 20)
            except BlockingIOError:
                await self.turn(1)
                continue
            if not piece:
                break
            data += piece
        return data
