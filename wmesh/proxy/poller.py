"""The data plane's own epoll set, which the reactor sees as one single descriptor.

Twisted's reactor calls every ready descriptor through a logging context, a generic read-or-write switch and an error
switch, twice a request. An epoll set is itself pollable, so all sockets of the data plane live in
one set of their own; the reactor watches that set, and when anything in it is ready, one `poll` here fetches the whole
batch and calls `doRead` and `doWrite` directly. WHY: bench cases "small" and "connect".

Anything may be registered that has `fileno`, `doRead`, `doWrite` and `hungUp`; each deals with its own errors and
closes itself. Interest is level-triggered, and `doRead` must bear being called with nothing to read, for a descriptor
number may be taken again within one batch.
"""

from __future__ import annotations

import contextlib
import select
from typing import Any, Protocol

from twisted.internet import main
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

log = Logger()


class Pollable(Protocol):
    """What the poller watches."""

    def fileno(self) -> int: ...

    def doRead(self) -> Any: ...

    def doWrite(self) -> Any: ...

    def hungUp(self) -> None:
        """The other end is gone while nobody was reading."""

    def connectionLost(self, reason: Failure) -> None: ...


@implementer(IReadDescriptor)
class Poller:
    """An epoll set inside the reactor's. Everything that is not about descriptors is asked of the reactor itself."""

    BATCH = 512

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._epoll = select.epoll()
        self._table: dict[int, Pollable] = {}
        self._masks: dict[int, int] = {}
        self._watched = False

    def __getattr__(self, name: str) -> Any:
        # Acceptors are handed the poller as their reactor: callLater and the like are the real one's.
        return getattr(self._reactor, name)

    def addReader(self, reader: Pollable) -> None:
        self._set(reader, select.EPOLLIN, 0)

    def removeReader(self, reader: Pollable) -> None:
        self._set(reader, 0, select.EPOLLIN)

    def addWriter(self, writer: Pollable) -> None:
        self._set(writer, select.EPOLLOUT, 0)

    def removeWriter(self, writer: Pollable) -> None:
        self._set(writer, 0, select.EPOLLOUT)

    def watch(self, pollable: Pollable, fd: int) -> None:
        """Start to read from a descriptor that is not in the set yet: `addReader` on the shortest way."""
        if not self._watched:
            self._watched = True
            self._reactor.addReader(self)
        self._epoll.register(fd, select.EPOLLIN)
        self._table[fd] = pollable
        self._masks[fd] = select.EPOLLIN

    def forget(self, fd: int) -> None:
        """The descriptor is about to be closed, which takes it out of the kernel's set without a call."""
        if self._table.pop(fd, None) is not None:
            del self._masks[fd]
        if not self._table and self._watched:
            self._watched = False
            self._reactor.removeReader(self)

    def detach(self, pollable: Pollable) -> None:
        """Stop watching a descriptor that stays open (it hung up, and nobody wants its last bytes yet)."""
        fd = pollable.fileno()
        if fd in self._masks:
            self._epoll.unregister(fd)
            self.forget(fd)

    def _set(self, pollable: Pollable, add: int, remove: int) -> None:
        fd = pollable.fileno()
        if fd < 0:
            return
        old = self._masks.get(fd)
        if old is None:
            if add:
                if not self._watched:
                    self._watched = True
                    self._reactor.addReader(self)
                self._epoll.register(fd, add)
                self._table[fd] = pollable
                self._masks[fd] = add
            return
        new = (old | add) & ~remove
        if new != old:
            # A mask of nothing stays in the set: hang-ups are reported all the same, and coming back is one call.
            self._epoll.modify(fd, new)
            self._masks[fd] = new

    def doRead(self) -> None:
        table = self._table
        for fd, event in self._epoll.poll(0, self.BATCH):
            pollable = table.get(fd)
            if pollable is None:
                continue
            try:
                if event & select.EPOLLIN:
                    pollable.doRead()
                elif event & (select.EPOLLHUP | select.EPOLLERR) and not event & select.EPOLLOUT:
                    pollable.hungUp()
                if event & select.EPOLLOUT and table.get(fd) is pollable:
                    pollable.doWrite()
            except Exception:  # noqa: BLE001 - one connection's bug must not stop the loop for all others
                failure = Failure()  # type: ignore[no-untyped-call]
                log.failure("A connection failed on an error of our own; it is closed", failure)
                if table.get(fd) is pollable:
                    self.end(pollable, failure)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def logPrefix(self) -> str:
        return "data plane"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor is going down, or dropped the set: every connection in it ends."""
        for pollable in list(self._table.values()):
            self.end(pollable, reason)

    def end(self, pollable: Pollable, reason: Failure) -> None:
        """Tell it that it is lost, and see to it that it is, whatever it does about it."""
        fd = pollable.fileno()
        try:
            pollable.connectionLost(reason)
        except Exception:  # noqa: BLE001 - as in doRead: it must not be the end of all others
            log.failure("A connection could not be closed in order")
            if self._table.get(fd) is pollable:
                with contextlib.suppress(OSError):
                    self._epoll.unregister(fd)
                self.forget(fd)

    def close(self) -> None:
        """Give the descriptor back. Connections still in the set are closed."""
        self.connectionLost(Failure(main.CONNECTION_DONE))  # type: ignore[no-untyped-call]
        if self._watched:
            self._watched = False
            self._reactor.removeReader(self)
        self._epoll.close()
