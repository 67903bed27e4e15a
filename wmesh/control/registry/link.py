"""One connection to a Redis or Valkey server, kept up for as long as it is wanted.

Strategy: a loop that goes the way to the server (`dial.py`, or `sentinel.py` where Sentinels must be asked for it),
waits for the loss of the connection and starts over: twenty lines, in which nothing but `stop()` ends it.

Promises: a command is answered or fails with RegistryError within its time, whatever the server does. A server that
does not answer in time is hung up on, for nobody knows what it will answer next; so is one that lost its right to
serve (a replica now, loading, login revoked). Nothing is ever sent twice: who must know whether a command was carried
out makes it repeatable, as all our scripts are. A command that blocks on purpose stalls all others on its link: give it
a link of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from wmesh.control.registry.dial import Connection, abort, dial
from wmesh.control.registry.scripts import Script
from wmesh.control.registry.sentinel import Lookout
from wmesh.control.registry.tls import client_options
from wmesh.errors import RegistryError
from wmesh.registry_url import Target

FIRST_DELAY = 0.05
DELAY_FACTOR = 1.7
GOOD_AGE = 5.0

# What a server says when this connection, or this server, is no longer the right one to talk to.
_UNFIT = ("READONLY", "LOADING", "MASTERDOWN", "NOAUTH", "WRONGPASS", "UNBLOCKED", "CLUSTERDOWN")


class NoScript(RegistryError):
    """The server does not remember a script: it was restarted, or its scripts were flushed."""


class Way(Protocol):
    """How to come to a server: straight, or by asking Sentinels (`wmesh.control.registry.sentinel.Lookout`)."""

    def check(self) -> None:
        """Fails with RegistryError if the target makes no sense (its certificate file, say)."""

    async def open(self, hang_up: Callable[[str], None]) -> Connection:
        """A connection that is logged in. `hang_up` may be called when this is no longer the right server."""

    def close(self) -> None:
        """The connection is not wanted any more."""


class _Straight:
    """The way to a server whose address is known."""

    def __init__(self, target: Target, reactor: Any, timeout: float) -> None:
        self._target = target
        self._reactor = reactor
        self._timeout = timeout

    def check(self) -> None:
        if self._target.tls:
            client_options(self._target)

    async def open(self, hang_up: Callable[[str], None]) -> Connection:
        return await dial(self._target, self._reactor, self._timeout)

    def close(self) -> None:
        """Nothing goes on beside the connection."""


def way_to(target: Target, reactor: Any, *, timeout: float, rng: random.Random) -> Way:
    """The way that `target` asks for. Links that share it go to the same server."""
    if target.sentinels is None:
        return _Straight(target, reactor, timeout)
    return Lookout(target, reactor, timeout=timeout, rng=rng)


class Link:
    """Keeps one connection to `target` up between `start` and `stop`.

    `timeout` (seconds) bounds connecting, each command, and the time a command waits for a connection. `generation`
    counts connections, so that a user can tell that the one he used before is gone; `problem` is why there is none now;
    `opened`, `lost` and `last_word` are when (by `now`) the last connection was made, when the last one that ended did,
    and when the server last answered anything.
    """

    def __init__(
        self,
        target: Target,
        reactor: Any,
        *,
        timeout: float,
        retry_max: float,
        rng: random.Random,
        now: Callable[[], float],
        way: Way | None = None,
    ) -> None:
        self._target = target
        self._way = way or way_to(target, reactor, timeout=timeout, rng=rng)
        self._clock: IReactorTime = reactor
        self._timeout = timeout
        self._retry_max = retry_max
        self._rng = rng
        self._now = now
        self._connection: Connection | None = None
        self._waiting: list[Deferred[None]] = []
        self._wanted = False
        self._keeping: Deferred[None] | None = None
        self.generation = 0
        self.opened = self.lost = 0.0
        self.problem = "not connected yet"
        self.last_word = now()

    @property
    def connected(self) -> bool:
        return self._connection is not None

    def start(self) -> None:
        """Begin to connect. Fails with RegistryError if the target makes no sense (its certificate file, say)."""
        self._way.check()
        self._wanted = True
        self._keeping = Deferred.fromCoroutine(self._keep_up())
        self._keeping.addErrback(_stopped)

    async def stop(self) -> None:
        """Hang up and stay down; done when the connection is closed. Commands on their way fail."""
        # Who waited for us may stop us from within; then the loop must see it for itself.
        self._wanted = False
        keeping, self._keeping = self._keeping, None
        connection = self._connection
        self._way.close()
        if keeping is not None:
            keeping.cancel()
        for waiting in self._take_waiting():
            waiting.errback(RegistryError(f"{self._target.label}: the registry is stopped"))
        if connection is not None:
            closed = connection.whenDisconnected()
            connection.transport.abortConnection()
            await closed

    def hang_up(self, reason: str) -> None:
        """Give this connection up, for a reason that its user knows, and make a new one."""
        if self._connection is not None:
            self.problem = reason
            abort(self._connection)

    async def command(self, *args: bytes | int, patience: float = 0.0) -> Any:
        """One command, and its answer as bytes, int, list or None.

        It fails with RegistryError when the server refuses, is not there, or says nothing within the timeout; a command
        that blocks on purpose adds its `patience` (seconds) to that.
        """
        connection = self._connection
        if connection is None:
            connection = await self._ready()
        return await self._ask(connection, *args, patience=patience)

    async def run(self, script: Script, keys: Sequence[bytes], *args: bytes | int) -> Any:
        """Run a script; its text is sent only to a server that does not know it yet."""
        try:
            return await self.command(b"EVALSHA", script.sha, len(keys), *keys, *args)
        except NoScript:
            return await self.command(b"EVAL", script.text, len(keys), *keys, *args)

    async def _ready(self) -> Connection:
        if not self._wanted:
            raise RegistryError(f"{self._target.label}: the registry is stopped")
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        waiting.addTimeout(self._timeout, self._clock)
        try:
            await waiting
        except defer.TimeoutError:
            self._waiting.remove(waiting)
            raise RegistryError(f"{self._target.label}: {self.problem}") from None
        if self._connection is None:
            raise RegistryError(f"{self._target.label}: {self.problem}")
        return self._connection

    def _take_waiting(self) -> list[Deferred[None]]:
        waiting, self._waiting = self._waiting, []
        return waiting

    async def _keep_up(self) -> None:
        delay = FIRST_DELAY
        while self._wanted:
            try:
                connection = await self._way.open(self.hang_up)
            except RegistryError as error:
                self.problem = str(error)
            else:
                self.opened = self.last_word = self._now()
                lost = connection.whenDisconnected()
                self._connection = connection
                self.generation += 1
                self.problem = ""
                for waiting in self._take_waiting():
                    waiting.callback(None)
                try:
                    await lost
                finally:
                    self._connection = None
                    self.lost = self._now()
                # A server that lets us in only to hang up again deserves no haste.
                if self.lost - self.opened > GOOD_AGE:
                    delay = FIRST_DELAY
                self.problem = self.problem or "connection lost"
            if not self._wanted:
                return
            await deferLater(self._clock, delay * self._rng.uniform(0.8, 1.2))
            delay = min(delay * DELAY_FACTOR, self._retry_max)

    async def _ask(self, connection: Connection, *args: bytes | int, patience: float) -> Any:
        answer = maybeDeferred(connection.execute_command, *args)
        answer.addTimeout(self._timeout + patience, self._clock)
        answer.addErrback(self._failed, connection)
        value = await answer
        self.last_word = self._now()
        return value

    def _failed(self, failure: Failure, connection: Connection) -> Any:
        """Turn a command's failure into a RegistryError, and hang up where that is the way on."""
        from txredisapi import ResponseError

        if isinstance(failure.value, CancelledError):
            return failure
        if isinstance(failure.value, defer.TimeoutError):
            self.problem = f"no answer within {self._timeout:g} s"
            abort(connection)
            raise RegistryError(f"{self._target.label}: {self.problem}") from None
        message = self._target.scrub(failure.getErrorMessage()).rstrip(".")
        if not isinstance(failure.value, ResponseError):
            raise RegistryError(f"{self._target.label}: {self.problem or 'connection lost'}") from failure.value
        self.last_word = self._now()
        if message.startswith("NOSCRIPT"):
            raise NoScript(message) from None
        if message.startswith(_UNFIT):
            self.problem = message
            abort(connection)
        raise RegistryError(f"{self._target.label}: refused: {message}") from failure.value


def _stopped(failure: Failure) -> Failure | None:
    return None if isinstance(failure.value, CancelledError) else failure
