"""One connected stream socket, lean and eager: the transport under every connection of the data plane.

Twisted's own `tcp.Connection` queues each write, turns write interest on, waits a loop turn, sends, and turns it off
again; it keeps its state in instance dictionaries; and it builds address and log objects per connection. This one sends
at once when nothing is queued and hands only the unsent rest to the poller, keeps its state in slots, and makes address
objects when asked. WHY: bench cases "small", "connect" and "idle".

It speaks Twisted's words (ITCPTransport, IPushProducer, IConsumer), so Twisted protocols, TLS among them, run on it
unchanged. Differences, on purpose: `loseConnection` with nothing queued closes before it returns for protocols that
say `closes_inline`; a failed send does not end the connection by itself, because what the peer sent before it went may
still be read (an early answer with a reset behind it is an answer).
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Iterable
from typing import Any, cast

from twisted.internet import error, interfaces
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.python.failure import Failure
from zope.interface import implementer

from wmesh.proxy.poller import Poller

READ_SIZE = 65536
MOST_READ = 262144
HIGH_WATER = 65536
"""Unsent bytes above which the producer is paused; it resumes when all are sent."""

SEND_LIMIT = 262144
GATHER = 16384
"""Bytes from which several pieces are handed to the kernel as they are instead of being joined."""

_LINGER = struct.pack("ii", 1, 0)
AGAIN = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR, errno.ENOBUFS)

DONE = Failure(error.ConnectionDone())  # type: ignore[no-untyped-call]
LOST = Failure(error.ConnectionLost())  # type: ignore[no-untyped-call]
ABORTED = Failure(error.ConnectionAborted())  # type: ignore[no-untyped-call]


@implementer(
    interfaces.ITCPTransport, interfaces.IPushProducer, interfaces.IConsumer, interfaces.IReadWriteDescriptor
)
class Stream:
    """A connected, non-blocking socket with a protocol.

    `unsent` is how many bytes wait for the peer to read; `sent` grows with every queued byte that left, so that a sweep
    can tell a slow peer from a stuck one.
    """

    __slots__ = (
        "_buffer",
        "_closing",
        "_fd",
        "_half_closing",
        "_paused",
        "_producer",
        "_read_size",
        "_reading",
        "_streaming",
        "_write_broken",
        "connected",
        "peer",
        "poller",
        "protocol",
        "sent",
        "server_side",
        "socket",
        "unsent",
    )

    disconnecting = False

    def __init__(self, sock: socket.socket, poller: Poller, peer: Any, server_side: bool) -> None:
        self.socket = sock
        self._fd = sock.fileno()
        self.poller = poller
        self.peer = peer
        self.server_side = server_side
        self.protocol: Any = None
        self.connected = True
        self.unsent = 0
        self.sent = 0
        self._buffer: list[bytes] | None = None
        self._closing = False
        self._half_closing = False
        self._write_broken = False
        self._producer: Any = None
        self._streaming = False
        self._paused = False
        self._reading = False
        self._read_size = READ_SIZE

    def start(self, protocol: Any) -> None:
        """Begin to read for this protocol, and tell it."""
        self.join(protocol)
        protocol.makeConnection(self)

    def join(self, protocol: Any) -> None:
        """Begin to read for this protocol."""
        self.protocol = protocol
        self._reading = True
        self.poller.watch(self, self._fd)

    # --- reading

    def doRead(self) -> None:
        if not self._reading:
            return
        try:
            data = self.socket.recv(self._read_size)
        except BlockingIOError:
            return
        except OSError as problem:
            if problem.errno not in AGAIN:
                self.connectionLost(LOST)
            return
        if data:
            if len(data) == self._read_size:
                # There is more than was asked for: a body streams. Ask for more at once until it does not any more.
                self._read_size = MOST_READ
            elif len(data) < READ_SIZE < self._read_size:
                self._read_size = READ_SIZE
            self.protocol.dataReceived(data)
        else:
            self._read_closed()

    def _read_closed(self) -> None:
        self.pauseProducing()
        if interfaces.IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.readConnectionLost()
        else:
            self.connectionLost(DONE)

    def hungUp(self) -> None:
        if self._reading:
            self.doRead()
        elif self.server_side or self._write_broken:
            self.connectionLost(LOST)
        else:
            # The instance is gone, but bytes of its answer may wait here for the client to make room.
            self.poller.detach(self)

    def pauseProducing(self) -> None:
        if self._reading:
            self._reading = False
            self.poller.removeReader(self)

    def resumeProducing(self) -> None:
        if not self._reading and self.connected and not self._closing:
            self._reading = True
            self.poller.addReader(self)

    def stopProducing(self) -> None:
        self.loseConnection()

    # --- writing

    def write(self, data: bytes) -> None:
        if not self.connected or self._closing or self._half_closing or not data or self._write_broken:
            return
        if self._buffer is None:
            try:
                count = self.socket.send(data)
            except BlockingIOError:
                count = 0
            except OSError as problem:
                if problem.errno not in AGAIN:
                    self._break_writing()
                    return
                count = 0
            if count == len(data):
                return
            self._buffer = [data[count:]]
            self.unsent = len(data) - count
            self.poller.addWriter(self)
        else:
            self._buffer.append(data)
            self.unsent += len(data)
        if self.unsent > HIGH_WATER and self._producer is not None and self._streaming and not self._paused:
            self._paused = True
            self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        parts = tuple(data)
        size = sum(map(len, parts))
        if size < GATHER or self._buffer is not None or self._closing or self._half_closing or not self.connected:
            self.write(b"".join(parts))
            return
        # The kernel gathers: copying so much into one piece first would cost more than the call does.
        try:
            count = self.socket.sendmsg(parts)
        except OSError:
            count = 0  # whatever it is, the ordinary way finds out and deals with it
        if count < size:
            self.write(b"".join(parts)[count:])

    def doWrite(self) -> None:
        buffer = self._buffer
        if buffer is None:
            if self._producer is not None and not self._streaming:
                self._producer.resumeProducing()
            else:
                self.poller.removeWriter(self)
            return
        data = buffer[0] if len(buffer) == 1 else b"".join(buffer)
        try:
            count = self.socket.send(data if len(data) <= SEND_LIMIT else memoryview(data)[:SEND_LIMIT])
        except BlockingIOError:
            self._buffer = [data]
            return
        except OSError as problem:
            if problem.errno not in AGAIN:
                self._break_writing()
            return
        self.sent += count
        if count < len(data):
            self._buffer = [data[count:]]
            self.unsent -= count
            return
        self._drained()

    def _drained(self) -> None:
        self._buffer = None
        self.unsent = 0
        self.poller.removeWriter(self)
        if self._producer is not None and not self._streaming:
            self.poller.addWriter(self)  # a pull producer is asked whenever there is room: see doWrite
        elif self._paused:
            self._paused = False
            self._producer.resumeProducing()
        elif self._closing:
            self.connectionLost(DONE)
        elif self._half_closing:
            self._shutdown_writing()

    def _break_writing(self) -> None:
        """The peer takes no more. Reading tells the rest: the last bytes it sent, then the end."""
        self._write_broken = True
        self._buffer = None
        self.unsent = 0
        self.poller.removeWriter(self)
        if self._closing:
            self.poller.callLater(0, self.connectionLost, LOST)
        elif self._paused:
            self._paused = False
            self._producer.resumeProducing()
        if not self._reading and self.server_side:
            self.poller.callLater(0, self.connectionLost, LOST)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self._producer is not None:
            raise RuntimeError(f"{producer!r} cannot be registered: {self._producer!r} still is")
        if not self.connected:
            producer.stopProducing()
            return
        self._producer = producer
        self._streaming = streaming
        self._paused = False
        if not streaming:
            self.poller.addWriter(self)
            producer.resumeProducing()
        elif self.unsent > HIGH_WATER:
            self._paused = True
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        self._producer = None
        self._paused = False
        if self._closing and self.connected and self._buffer is None:
            self.connectionLost(DONE)

    # --- closing

    def loseConnection(self, _reason: Failure = DONE) -> None:
        """Close when everything queued is sent."""
        if not self.connected or self._closing:
            return
        self._closing = True
        if self._buffer is not None or self._producer is not None:
            return
        if self.protocol is not None and getattr(self.protocol, "closes_inline", False):
            self.connectionLost(DONE)
        else:
            self.pauseProducing()
            self.poller.callLater(0, self.connectionLost, DONE)

    def abortConnection(self) -> None:
        """Close now with a reset, dropping what is queued: the peer must see that something is missing."""
        if not self.connected:
            return
        with contextlib.suppress(OSError):  # already reset by the peer: what was wanted
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        if self.protocol is not None and getattr(self.protocol, "closes_inline", False):
            self.connectionLost(ABORTED)
        else:
            self._closing = True
            self.pauseProducing()
            self.poller.callLater(0, self.connectionLost, ABORTED)

    def loseWriteConnection(self) -> None:
        """Half-close (a FIN) when everything queued is sent; reading goes on."""
        if self.connected and not self._closing and not self._half_closing:
            self._half_closing = True
            if self._buffer is None:
                self._shutdown_writing()

    def _shutdown_writing(self) -> None:
        with contextlib.suppress(OSError):  # the peer was quicker: reading will tell
            self.socket.shutdown(socket.SHUT_WR)
        if interfaces.IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.writeConnectionLost()

    def connectionLost(self, reason: Failure) -> None:
        if not self.connected:
            return
        self.connected = False
        self._reading = False
        self.poller.forget(self._fd)
        self._fd = -1
        self.socket.close()
        self._buffer = None
        self.unsent = 0
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            protocol.connectionLost(reason)

    # --- facts

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        return "stream"

    def getHandle(self) -> socket.socket:
        return self.socket

    def getPeer(self) -> Any:
        return _address(self.socket.family, self.peer)

    def getHost(self) -> Any:
        return _address(self.socket.family, self.socket.getsockname())

    def getTcpNoDelay(self) -> bool:
        return bool(self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def setTcpNoDelay(self, enabled: bool) -> None:
        if self.socket.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, bool(enabled))

    def getTcpKeepAlive(self) -> bool:
        return bool(self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, bool(enabled))


def _address(family: int, peer: Any) -> IPv4Address | IPv6Address | UNIXAddress:
    if family == socket.AF_INET:
        return IPv4Address("TCP", peer[0], peer[1])
    if family == socket.AF_INET6:
        return IPv6Address("TCP", *peer)
    return UNIXAddress(cast(bytes, peer) or None)
