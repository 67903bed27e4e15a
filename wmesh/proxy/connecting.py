"""A connection being made: the short life of a socket before it is a `Stream`.

Twisted's own connector resolves names, builds factories and addresses, and waits a turn of the loop before it begins;
this is a non-blocking connect and a wait for the socket to be writable, nothing else. Names are resolved before, and
deadlines kept, by `wmesh.proxy.pool`.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.python.failure import Failure

from wmesh.proxy.poller import Poller
from wmesh.proxy.transport import Stream


class Connecting:
    """A connection being made: answers `connected(stream)` or `failed(OSError)` to its maker, exactly once."""

    __slots__ = ("_fd", "_maker", "_poller", "_socket", "_stream_class", "address")

    def __init__(
        self, poller: Poller, family: int, address: Any, maker: Any, stream_class: type[Stream] = Stream
    ) -> None:
        """`maker` has `connected(stream)` and `failed(problem)`; neither is called before `begin` returns."""
        self._poller = poller
        self._maker = maker
        self._stream_class = stream_class
        self.address = address
        self._socket: socket.socket | None = None
        self._fd = -1
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket = sock
        self._fd = sock.fileno()
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)

    def begin(self) -> None:
        sock = self._socket
        assert sock is not None
        code = sock.connect_ex(self.address)
        if code in (0, errno.EINPROGRESS):
            self._poller.addWriter(self)
        else:
            self._poller.callLater(0, self._fail, OSError(code, os.strerror(code)))

    def doWrite(self) -> None:
        sock = self._socket
        if sock is None:
            return
        # Asking again tells how it went. It may be under way still: the event was for an earlier owner of this number.
        code = sock.connect_ex(self.address)
        if code in (errno.EALREADY, errno.EINPROGRESS):
            return
        if code not in (0, errno.EISCONN):
            self._fail(OSError(code, os.strerror(code)))
            return
        self._socket = None
        self._poller.detach(self)
        self._maker.connected(self._stream_class(sock, self._poller, self.address, False))

    doRead = hungUp = doWrite

    def _fail(self, problem: OSError) -> None:
        if self._socket is not None:
            self.cancel()
            self._maker.failed(problem)

    def cancel(self) -> None:
        """Give up; the maker hears nothing more."""
        sock, self._socket = self._socket, None
        if sock is not None:
            self._poller.forget(self._fd)
            sock.close()

    def fileno(self) -> int:
        return self._fd

    def connectionLost(self, reason: Failure) -> None:
        self._fail(ConnectionAbortedError(errno.ECONNABORTED, "shutting down"))
