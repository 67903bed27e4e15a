"""Opens one connection to one server (a Redis, or a Sentinel) and logs in. Keeping it up is `link.py`'s business.

Strategy: txredisapi's protocol speaks the language; its factories and pools are not used. They give up for ever after
one failure during AUTH or SELECT (a password being rotated, a server still loading), let a command wait without end
while there is no connection, and hide why a connection was lost. What fails here fails with a RegistryError of a few
words without a full stop, for it becomes a part of sentences; no password is in it.

txredisapi imports the reactor, so it is imported late, inside functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from wmesh.control.registry.tls import client_options
from wmesh.errors import RegistryError
from wmesh.registry_url import Target

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress


ATTEMPT_DELAY = 0.1


class Connection(Protocol):
    """What we use of txredisapi's protocol."""

    transport: Any

    def execute_command(self, *args: object) -> Deferred[Any]: ...
    def whenConnected(self) -> Deferred[Any]: ...
    def whenDisconnected(self) -> Deferred[Any]: ...


async def dial(target: Target, reactor: Any, timeout: float) -> Connection:
    """A connection that is logged in and serves. `timeout` (seconds) bounds each step. Fails with RegistryError."""
    dialogue = _Dialogue(target)
    connecting: Deferred[Any] = _endpoint(target, reactor, timeout).connect(dialogue)
    connection: Connection = await _bounded(connecting, reactor, timeout, dialogue)
    try:
        # Either the login went through, or it did not and the connection is gone; PING tells which.
        either = [connection.whenConnected(), connection.whenDisconnected()]
        entered = DeferredList(either, fireOnOneCallback=True, consumeErrors=True)
        await _bounded(entered, reactor, timeout, dialogue)
        # Refused here: not logged in where one must be, still loading, and what accepts but is no Redis.
        pong = maybeDeferred(connection.execute_command, b"PING")
        if await _bounded(pong, reactor, timeout, dialogue) != b"PONG":
            raise RegistryError("what answers there is not Redis")
    except BaseException:
        abort(connection)
        raise
    if hasattr(connection.transport, "setTcpKeepAlive"):
        connection.transport.setTcpKeepAlive(True)
    return connection


async def ask(connection: Connection, target: Target, reactor: Any, timeout: float, *args: bytes) -> Any:
    """One command on a connection that was just opened to `target`. Fails with RegistryError."""
    asking = maybeDeferred(connection.execute_command, *args)
    return await _bounded(asking, reactor, timeout, _Dialogue(target))


def abort(connection: Connection) -> None:
    # abortConnection of a TLS transport that is gone already raises AttributeError.
    if getattr(connection, "connected", 0):
        connection.transport.abortConnection()


class _Dialogue(Factory):
    """Builds one protocol and hears what it complains of; txredisapi calls the camelCase names."""

    noisy = False
    isLazy = False

    def __init__(self, target: Target) -> None:
        self.target = target
        self.problem = ""

    def buildProtocol(self, addr: IAddress | None) -> Any:
        from txredisapi import RedisProtocol

        target = self.target
        # A user without a password logs in with an empty one, and is not silently somebody else.
        login = bool(target.user or target.password)
        protocol = RedisProtocol(
            charset=None,
            password=target.password.encode(errors="surrogateescape") if login else None,
            username=target.user.encode(errors="surrogateescape") or None,
            dbid=target.db or None,
            convertNumbers=False,
        )
        protocol.factory = self
        told = protocol.connectionLost

        def connection_lost(reason: Failure) -> None:
            # The protocol drops the reason, which alone says that, for example, a certificate was not trusted.
            if not self.problem and not isinstance(reason.value, (ConnectionDone, ConnectionLost)):
                self.problem = _words(reason.value, target)
            told(reason)

        protocol.connectionLost = connection_lost
        return protocol

    def stopTrying(self) -> None:
        """Called after any failed login. We never stop."""

    def connectionError(self, why: str) -> None:
        self.problem = why.removeprefix("Redis error: ").rstrip(".")


async def _bounded(work: Deferred[Any], reactor: Any, timeout: float, dialogue: _Dialogue) -> Any:
    """The result of `work`, or a RegistryError with the reason that helps most."""

    stopped = False

    def stop(_: Deferred[Any]) -> None:
        nonlocal stopped
        stopped = True
        work.cancel()

    def late(_: object, __: float) -> None:
        raise defer.TimeoutError

    def failed(failure: Failure) -> Any:
        # Endpoints and resolvers have errors of their own for being cancelled, which look like any failure.
        if stopped:
            raise CancelledError
        if isinstance(failure.value, defer.TimeoutError):
            reason = f"no answer within {timeout:g} s"
        else:
            reason = dialogue.problem or _words(failure.value, dialogue.target)
        raise RegistryError(dialogue.target.scrub(reason)) from failure.value

    work.addTimeout(timeout, reactor, late)
    work.addErrback(failed)
    outcome: Deferred[Any] = Deferred(stop)
    work.addCallbacks(outcome.callback, outcome.errback)
    return await outcome


def _endpoint(target: Target, reactor: Any, timeout: float) -> IStreamClientEndpoint:
    if target.path:
        # Twisted has no types for this one.
        unix: Callable[..., IStreamClientEndpoint] = UNIXClientEndpoint
        return unix(reactor, target.path, timeout=timeout)
    # Twisted tells of a refusal only after the delay that it leaves between two addresses of a host.
    endpoint = HostnameEndpoint(reactor, target.host, target.port, timeout=timeout, attemptDelay=ATTEMPT_DELAY)
    return wrapClientTLS(client_options(target), endpoint) if target.tls else endpoint


def _words(error: BaseException | None, target: Target) -> str:
    """Why a connection failed, for people. OpenSSL's errors are lists of (library, function, reason)."""
    if target.tls:
        from service_identity import VerificationError

        if isinstance(error, VerificationError):
            return f"TLS: the certificate is not for {target.host}: that is none of its subject alternative names"
    inner = error.args[0] if error is not None and error.args else None
    if isinstance(inner, list) and all(isinstance(part, tuple) for part in inner):
        return f"TLS: {'; '.join(str(part[-1]) for part in inner)}"
    return str(error).rstrip(".") or type(error).__name__
