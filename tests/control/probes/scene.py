"""A server on a real socket that answers what a test tells it to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from wmesh.model import Address, InstanceRecord

Answer = Callable[[ITCPTransport], None]


class Server(Protocol):
    """Answers when the head of a request is complete; remembers what came, and how it was left."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.head = b""

    def connectionMade(self) -> None:
        self.scene.connections += 1
        self.scene.open.add(self)
        self.scene.greeting(self.transport)

    def dataReceived(self, data: bytes) -> None:
        self.head += data
        if self.head.endswith(b"\r\n\r\n"):
            self.scene.requests.append(self.head)
            self.scene.answer(self.transport)

    def connectionLost(self, reason: Failure) -> None:
        self.scene.open.discard(self)
        lost, self.scene.lost = self.scene.lost, Deferred()
        lost.callback(reason.type.__name__)


class Scene(TestCase):
    """`address` is where the server listens; `answer` is called with the transport of each request."""

    timeout = 10

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor = reactor
        self.connections = 0
        self.requests: list[bytes] = []
        self.open: set[Server] = set()
        self.lost: Deferred[str] = Deferred()
        self.answer: Answer = lambda transport: None
        self.greeting: Answer = lambda transport: None
        port = reactor.listenTCP(0, self.factory(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(self.all_gone)
        self.address = Address("127.0.0.1", port.getHost().port)
        self.record = InstanceRecord("pricing", "pricing-1", self.address, incarnation="life-1")

    def factory(self) -> Factory:
        factory = Factory.forProtocol(lambda: Server(self))
        factory.noisy = False
        return factory

    def listen_tls(self, options: CertificateOptions) -> InstanceRecord:
        """The same server over TLS; the record of the instance there."""
        port = self.reactor.listenSSL(0, self.factory(), options, interface="127.0.0.1")
        # Ports are closed after their connections, which is the reverse order.
        self.addCleanup(port.stopListening)
        self.addCleanup(self.all_gone)
        return replace(self.record, address=Address("127.0.0.1", port.getHost().port))

    def folder(self) -> Path:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        return folder

    def says(self, *pieces: bytes, close: bool = True) -> None:
        """Answer with these pieces, one write each."""

        def answer(transport: ITCPTransport) -> None:
            for piece in pieces:
                transport.write(piece)
            if close:
                transport.loseConnection()

        self.answer = answer

    def greets(self, words: bytes | None) -> None:
        """Say this to whoever connects, before he asks; None: hang up at once."""
        self.greeting = lambda transport: transport.write(words) if words else transport.loseConnection()

    async def all_gone(self) -> None:
        """A check must leave no connection: the server sees each of them end."""
        while self.open:
            await self.lost

    async def nobody(self) -> InstanceRecord:
        """The record of an instance at an address of this machine where nobody listens."""
        factory = Factory()
        factory.noisy = False
        port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        return replace(self.record, address=Address("127.0.0.1", number))
