"""Listeners: any Twisted server endpoint string, with this package's own acceptors and transports underneath.

Endpoints ask a reactor to listen; here they are given a stand-in that makes `Acceptor`s, so that "tcp:", "unix:",
"systemd:", "ssl:" and every endpoint plugin built on them get eager transports without anything being patched.

An acceptor is Twisted's Port with another accept loop: no address objects, no log prefix, no session strings, and the
first read is tried at once, because a client that connects has usually sent its request already. WHY: bench "connect".
"""

from __future__ import annotations

import errno
import socket
from typing import Any, cast

from twisted.internet import tcp, unix
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols import tls
from twisted.python.failure import Failure

from wmesh.proxy.downstream import Downstream
from wmesh.proxy.plane import DataPlane
from wmesh.proxy.poller import Poller
from wmesh.proxy.transport import Stream
from wmesh.wire.forwarded import Peers

log = Logger()

BACKLOG = 1024


def _stream(sock: Any, protocol: Any, peer: Any, port: Any, number: int, poller: Poller) -> Stream:
    """What Twisted's own loop makes of a socket that it accepted on its way out of a shortage of descriptors."""
    sock.setblocking(False)
    stream = Stream(sock, poller, peer, True)
    stream.join(protocol)
    return stream


class _Accepting:
    """The accept loop, mixed into Twisted's ports."""

    transport: Any = staticmethod(_stream)

    socket: socket.socket
    factory: Any
    reactor: Any
    numberAccepts: int

    def doRead(self) -> None:
        accepted = 0
        poller: Poller = self.reactor
        build = getattr(self.factory, "build", None)
        for _ in range(self.numberAccepts):
            try:
                sock, peer = self.socket.accept()
            except BlockingIOError:
                break
            except OSError as problem:
                if problem.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    # Twisted's own loop knows how to get out of this: it gives up a reserved descriptor, closes the
                    # clients that wait, and says so in the log.
                    super().doRead()  # type: ignore[misc]
                break
            accepted += 1
            sock.setblocking(False)
            stream = Stream(sock, poller, peer, True)
            try:
                if build is not None:
                    protocol = build(peer[0] if self.socket.family != socket.AF_UNIX else "unix")
                else:
                    protocol = self.factory.buildProtocol(_address(self.socket.family, peer))
                if protocol is None:
                    sock.close()
                    continue
                stream.start(protocol)
                stream.doRead()
            except Exception:  # noqa: BLE001 - one client's bad luck must not close the door to all others
                failure = Failure()  # type: ignore[no-untyped-call]
                log.failure("A connection failed on an error of our own; it is closed", failure)
                poller.end(stream, failure)
        # As many as came this time, or more if there were more: a single waiting client costs a single accept.
        self.numberAccepts = self.numberAccepts * 2 if accepted == self.numberAccepts else max(1, accepted)

    def hungUp(self) -> None:
        """Listening sockets do not hang up."""

    def connectionLost(self, reason: Any) -> None:
        self.reactor.forget(self.socket.fileno())
        super().connectionLost(reason)  # type: ignore[misc]


class Acceptor(_Accepting, tcp.Port):
    """A TCP listener."""

    def startListening(self) -> None:
        super().startListening()
        # Accepted sockets inherit it; a small last write must not wait for an acknowledgement.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)


class UnixAcceptor(_Accepting, unix.Port):
    """A Unix socket listener."""


class ListeningReactor:
    """What an endpoint needs of a reactor, making this package's acceptors. The rest is the real reactor's."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)

    def listenTCP(self, port: Any, factory: Any, backlog: int = BACKLOG, interface: str = "") -> Any:
        acceptor: Any = Acceptor(port, factory, max(backlog, BACKLOG), interface, self._poller)
        acceptor.startListening()
        return acceptor

    def listenSSL(
        self, port: Any, factory: Any, contextFactory: Any, backlog: int = BACKLOG, interface: str = ""
    ) -> Any:
        return self.listenTCP(port, tls.TLSMemoryBIOFactory(contextFactory, False, factory), backlog, interface)

    def listenUNIX(
        self, address: Any, factory: Any, backlog: int = BACKLOG, mode: int = 0o666, wantPID: bool = False
    ) -> Any:
        acceptor: Any = UnixAcceptor(address, factory, max(backlog, BACKLOG), mode, self._poller, wantPID)
        acceptor.startListening()
        return acceptor

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Any:
        if addressFamily == socket.AF_UNIX:
            acceptor = cast(Any, UnixAcceptor)._fromListeningDescriptor(self._poller, fileDescriptor, factory)
        else:
            adopt = cast(Any, Acceptor)._fromListeningDescriptor
            acceptor = adopt(self._poller, fileDescriptor, addressFamily, factory)
        acceptor.startListening()
        return acceptor


class DownstreamFactory(Factory):
    """Makes the protocol of each client connection of one listener."""

    noisy = False

    def __init__(self, plane: DataPlane, peers: Peers) -> None:
        self._plane = plane
        self._peers = peers

    def build(self, address: str) -> Downstream:
        """`address` is the client's IP address, or "unix"."""
        plane = self._plane
        plane.accepted += 1
        return Downstream(plane, self._peers, self._peers(address))

    def buildProtocol(self, addr: Any) -> Any:
        return self.build(getattr(addr, "host", "unix"))


def is_secure(description: str) -> bool:
    """Does this endpoint speak TLS?"""
    return description.partition(":")[0] in ("ssl", "tls")


def listen(plane: DataPlane, description: str, peers: Peers) -> Deferred[IListeningPort]:
    """Open one listener. Fails with CannotListenError, or ValueError where the string is no endpoint."""
    endpoint: Any = serverFromString(ListeningReactor(plane.poller), description)  # type: ignore[no-untyped-call]
    listening: Deferred[IListeningPort] = endpoint.listen(DownstreamFactory(plane, peers))
    return listening


def _address(family: int, peer: Any) -> Any:
    if family == socket.AF_INET:
        return IPv4Address("TCP", peer[0], peer[1])
    if family == socket.AF_INET6:
        return IPv6Address("TCP", *peer)
    return None
