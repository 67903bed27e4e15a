"""TLS before a registry's server that has none: a relay of bytes between a port and the server's socket."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.protocol import Factory, Protocol

from tests.control.registry.scene import Server


def tls_front(server: Server, options: Any, interface: str = "127.0.0.1") -> Any:
    """A listening port, with these options of a TLS server."""
    from twisted.internet import reactor

    class Outside(_Side):
        def connectionMade(self) -> None:
            connecting = UNIXClientEndpoint(reactor, server.socket).connect(Factory.forProtocol(_Side))
            connecting.addCallback(self.join)

        def join(self, inner: _Side) -> None:
            self.other, inner.other = inner, self
            inner.transport.write(self.early)

    factory = Factory.forProtocol(Outside)
    factory.noisy = False
    return reactor.listenSSL(0, factory, options, interface=interface)


class _Side(Protocol):
    other: Protocol | None = None
    early = b""

    def dataReceived(self, data: bytes) -> None:
        if self.other is None:
            self.early += data
        else:
            self.other.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        if self.other is not None:
            self.other.transport.loseConnection()
