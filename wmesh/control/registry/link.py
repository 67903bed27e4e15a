"""One connection to a Redis or Valkey server, kept up for as long as it is wanted.

Strategy: txredisapi's protocol speaks the language; its factories and pools are not used. They give up for ever after
one failure during AUTH or SELECT (a password being rotated, a server still loading), let a command wait without end
while there is no connection, and hide why a connection was lost. So the loop that connects, logs in, waits for the loss
and starts over is ours: twenty lines, in which nothing but `stop()` ends it.

Promises: a command is answered or fails with RegistryError within its time, whatever the server does. A server that
does not answer in time is hung up on, for nobody knows what it will answer next; so is one that lost its right to
serve (a replica now, loading, login revoked). Nothing is ever sent twice: who must know whether a command was carried
out makes it repeatable, as all our scripts are. A command that blocks on purpose stalls all others on its link: give it
a link of its own.

txredisapi imports the reactor, so it is imported late, inside functions.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from wmesh.control.registry.scripts import Script
from wmesh.errors import RegistryError
from wmesh.registry_url import Target

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

FIRST_DELAY = 0.05
DELAY_FACTOR = 1.7
GOOD_AGE = 5.0

# What a server says when this connection, or this server, is no longer the right one to talk to.
_UNFIT = ("READONLY", "LOADING", "MASTERDOWN", "NOAUTH", "WRONGPASS", "UNBLOCKED", "CLUSTERDOWN")


class NoScript(RegistryError):
    """The server does not remember a script: it was restarted, or its scripts were flushed."""


class _Connection(Protocol):
    """What we use of txredisapi's protocol."""

    transport: Any

    def execute_command(self, *args: object) -> Deferred[Any]: ...
    def whenConnected(self) -> Deferred[Any]: ...
    def whenDisconnected(self) -> Deferred[Any]: ...


class _Dialogue(Factory):
    """Builds one protocol and hears what it complains of; txredisapi calls the camelCase names."""

    noisy = False
    isLazy = False

    def __init__(self, target: Target) -> None:
        self._target = target
        self.problem = ""

    def buildProtocol(self, addr: IAddress | None) -> Any:
        from txredisapi import RedisProtocol

        target = self._target
        protocol = RedisProtocol(
            charset=None,
            password=target.password or None,
            username=target.user or None,
            dbid=target.db or None,
            convertNumbers=False,
        )
        protocol.factory = self
        told = protocol.connectionLost

        def connection_lost(reason: Failure) -> None:
            # The protocol drops the reason, which alone says that, for example, a certificate was not trusted.
            if not self.problem and not isinstance(reason.value, (ConnectionDone, ConnectionLost)):
                self.problem = _words(reason.value)
            told(reason)

        protocol.connectionLost = connection_lost
        return protocol

    def stopTrying(self) -> None:
        """Called after any failed login. We never stop."""

    def connectionError(self, why: str) -> None:
        self.problem = why.removeprefix("Redis error: ")


class Link:
    """Keeps one connection to `target` up between `start` and `stop`.

    `timeout` (seconds) bounds connecting, each command, and the time a command waits for a connection. `generation`
    counts connections, so that a user can tell that the one he used before is gone; `problem` is why there is none now;
    `last_word` is when (by `now`) the server last answered anything.
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
    ) -> None:
        self._target = target
        self._reactor = reactor
        self._clock: IReactorTime = reactor
        self._timeout = timeout
        self._retry_max = retry_max
        self._rng = rng
        self._now = now
        self._connection: _Connection | None = None
        self._waiting: list[Deferred[None]] = []
        self._wanted = False
        self._keeping: Deferred[None] | None = None
        self._endpoint: IStreamClientEndpoint | None = None
        self.generation = 0
        self.problem = "not connected yet"
        self.last_word = now()

    @property
    def connected(self) -> bool:
        return self._connection is not None

    def start(self) -> None:
        """Begin to connect. Fails with RegistryError if the target makes no sense (its certificate file, say)."""
        self._endpoint = _endpoint(self._target, self._reactor, self._timeout)
        self._wanted = True
        self._keeping = Deferred.fromCoroutine(self._keep_up())
        self._keeping.addErrback(_stopped)

    async def stop(self) -> None:
        """Hang up and stay down; done when the connection is closed. Commands on their way fail."""
        # Who waited for us may stop us from within; then the loop must see it for itself.
        self._wanted = False
        keeping, self._keeping = self._keeping, None
        connection = self._connection
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
            _abort(self._connection)

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

    async def _ready(self) -> _Connection:
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
                connection = await self._open()
            except RegistryError as error:
                self.problem = str(error)
            else:
                opened = self._now()
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
                # A server that lets us in only to hang up again deserves no haste.
                if self._now() - opened > GOOD_AGE:
                    delay = FIRST_DELAY
                self.problem = self.problem or "connection lost"
            if not self._wanted:
                return
            await deferLater(self._clock, delay * self._rng.uniform(0.8, 1.2))
            delay = min(delay * DELAY_FACTOR, self._retry_max)

    async def _open(self) -> _Connection:
        """A connection that is logged in and serves. Fails with RegistryError."""
        assert self._endpoint is not None
        dialogue = _Dialogue(self._target)
        connecting: Deferred[Any] = self._endpoint.connect(dialogue)
        connecting.addTimeout(self._timeout, self._clock)
        connecting.addErrback(self._translate, dialogue)
        connection: _Connection = await connecting
        try:
            # Either the login went through, or it did not and the connection is gone; PING tells which.
            entered = DeferredList([connection.whenConnected(), connection.whenDisconnected()], fireOnOneCallback=True)
            entered.addTimeout(self._timeout, self._clock)
            entered.addErrback(self._translate, dialogue)
            await entered
            # Refused here: not logged in where one must be, still loading, and what accepts but is no Redis.
            pong = maybeDeferred(connection.execute_command, b"PING")
            pong.addTimeout(self._timeout, self._clock)
            pong.addErrback(self._translate, dialogue)
            if await pong != b"PONG":
                raise RegistryError("what answers there is not Redis")
        except BaseException:
            _abort(connection)
            raise
        if hasattr(connection.transport, "setTcpKeepAlive"):
            connection.transport.setTcpKeepAlive(True)
        self.last_word = self._now()
        return connection

    async def _ask(self, connection: _Connection, *args: bytes | int, patience: float) -> Any:
        answer = maybeDeferred(connection.execute_command, *args)
        answer.addTimeout(self._timeout + patience, self._clock)
        answer.addErrback(self._failed, connection)
        value = await answer
        self.last_word = self._now()
        return value

    def _failed(self, failure: Failure, connection: _Connection) -> Any:
        """Turn a command's failure into a RegistryError, and hang up where that is the way on."""
        from txredisapi import ResponseError

        if isinstance(failure.value, CancelledError):
            return failure
        if isinstance(failure.value, defer.TimeoutError):
            self.problem = f"no answer within {self._timeout:g} s"
            _abort(connection)
            raise RegistryError(f"{self._target.label}: {self.problem}") from None
        message = self._target.scrub(failure.getErrorMessage())
        if not isinstance(failure.value, ResponseError):
            raise RegistryError(f"{self._target.label}: {self.problem or 'connection lost'}") from failure.value
        self.last_word = self._now()
        if message.startswith("NOSCRIPT"):
            raise NoScript(message) from None
        if message.startswith(_UNFIT):
            self.problem = message
            _abort(connection)
        raise RegistryError(f"{self._target.label}: refused: {message}") from failure.value

    def _translate(self, failure: Failure, dialogue: _Dialogue) -> Any:
        """Turn a failed connection into a RegistryError with the reason that helps most."""
        if isinstance(failure.value, CancelledError):
            return failure
        if isinstance(failure.value, defer.TimeoutError):
            reason = f"no answer within {self._timeout:g} s"
        else:
            reason = dialogue.problem or _words(failure.value)
        raise RegistryError(self._target.scrub(reason)) from failure.value


def _endpoint(target: Target, reactor: Any, timeout: float) -> IStreamClientEndpoint:
    if target.path:
        # Twisted has no types for this one.
        unix: Callable[..., IStreamClientEndpoint] = UNIXClientEndpoint
        return unix(reactor, target.path, timeout=timeout)
    endpoint = HostnameEndpoint(reactor, target.host, target.port, timeout=timeout)
    if not target.tls:
        return endpoint
    from twisted.internet.ssl import optionsForClientTLS

    trust = _authorities(target.ca) if target.ca else None
    return wrapClientTLS(optionsForClientTLS(target.host, trustRoot=trust), endpoint)


def _authorities(path: str) -> Any:
    """Trust in the certificates (PEM) of a file, and in no others."""
    from OpenSSL.crypto import Error
    from twisted.internet.ssl import Certificate, trustRootFromCertificates

    begin = b"-----BEGIN CERTIFICATE-----"
    # Twisted has no types for this one.
    trust_in: Callable[[Sequence[Certificate]], Any] = trustRootFromCertificates
    try:
        with open(path, "rb") as file:
            certificates = [Certificate.loadPEM(begin + block) for block in file.read().split(begin)[1:]]
    except OSError as error:
        raise RegistryError(f"the registry's certificates cannot be read: {path}: {error.strerror}") from error
    except Error as error:
        raise RegistryError(f"the registry's certificates cannot be read: {path}: damaged") from error
    if not certificates:
        raise RegistryError(f"the registry's certificates cannot be read: {path}: no certificate in it")
    return trust_in(certificates)


def _words(error: BaseException | None) -> str:
    """Why a connection failed, for people. OpenSSL's errors are lists of (library, function, reason)."""
    inner = error.args[0] if error is not None and error.args else None
    if isinstance(inner, list) and all(isinstance(part, tuple) for part in inner):
        return f"TLS: {'; '.join(str(part[-1]) for part in inner)}"
    return str(error) or type(error).__name__


def _abort(connection: _Connection) -> None:
    # abortConnection of a TLS transport that is gone already raises AttributeError.
    if getattr(connection, "connected", 0):
        connection.transport.abortConnection()


def _stopped(failure: Failure) -> Failure | None:
    return None if isinstance(failure.value, CancelledError) else failure
