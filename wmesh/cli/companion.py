"""Runs one command and answers for it in the registry: what `wmesh register` does once it knows what to do.

Strategy: the command is everything, the companion is nothing. It inherits our standard streams and our environment, and
its exit status becomes ours; it runs whether the registry answers or not. Beside it two things happen: its health is
checked until it passes for the first time, then it is registered (patiently) by `wmesh.api.register`, with what its
whole process tree uses as load. That it goes on being healthy is the gateways' business.

Signals: SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGQUIT and SIGINT reach the command at once (the last three its whole
group, as from a terminal, whose foreground it has left: see `wmesh.control.guard`). SIGTERM says that it is to end: it
is taken out of the registry first, for a second at most, so that gateways send it nothing that it would not answer; a
second SIGTERM is passed on at once. If we are killed, the kernel sends the command SIGTERM, and the lease ends.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.logger import Logger, globalLogBeginner
from twisted.python.failure import Failure

from wmesh import api
from wmesh.console import console_observer
from wmesh.control.guard import guarded
from wmesh.control.launchers.usage import UsageMeter
from wmesh.control.probes import HttpProbe, TcpProbe
from wmesh.control.registry.codec import encode_record
from wmesh.control.registry.registrar import own_host
from wmesh.errors import MeshError
from wmesh.model import Address, CheckSpec, InstanceRecord

CHECK_PAUSE = 0.2
CHECK_TIMEOUT = 3.0
LEAVE_TIMEOUT = 1.0

_TO_COMMAND = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_TO_GROUP = (signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH)

log = Logger()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, and as what to register it. `health` is a path, or empty: then it is enough that it listens."""

    command: tuple[str, ...]
    registry_url: str = field(repr=False)
    service: str
    port: int
    host: str | None = None
    id: str | None = None
    version: str = ""
    weight: int = 1
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    namespace: str = "wmesh"
    lease: float = 15.0
    heartbeat: float = 5.0
    health: str = ""
    quiet: bool = False


def accompany(reactor: Any, plan: Plan) -> int:
    """Run the reactor until the command has ended; answers the exit status."""
    observer = console_observer(sys.stderr, "warn" if plan.quiet else "info")
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)
    companion = Companion(reactor, plan)
    status = 1

    def ended(code: int) -> None:
        nonlocal status
        status = code

    def failed(failure: Failure) -> None:
        if isinstance(failure.value, MeshError):
            log.error("{why}", why=failure.getErrorMessage())
        else:
            log.failure("a fault of wmesh register itself", failure)

    def begin() -> None:
        take_signals(reactor, companion.signal)
        done = Deferred.fromCoroutine(companion.run())
        done.addCallbacks(ended, failed)
        done.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    return status


def take_signals(reactor: Any, pass_on: Callable[[signal.Signals], None]) -> None:
    """From now on signals are for the command. What was ignored when we were started stays ignored (nohup)."""
    for number in (*_TO_COMMAND, *_TO_GROUP, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: reactor.callFromThread(pass_on, signal.Signals(number)))


class Companion:
    """One command and its registration."""

    def __init__(self, reactor: Any, plan: Plan) -> None:
        self._reactor = reactor
        self._plan = plan
        self._command = _Command()
        self._registration: api.Registration | None = None
        self._joining: Deferred[None] | None = None
        self._leaving = False

    async def run(self) -> int:
        """Fails with MeshError if the command was not started: a record that makes no sense, a port that is taken."""
        plan = self._plan
        target = api.registry_target(plan.registry_url)
        host = plan.host if plan.host is not None else await own_host(target, self._reactor)
        address = Address(host, plan.port)
        encode_record(
            InstanceRecord(
                plan.service,
                plan.id if plan.id is not None else str(address),
                address,
                plan.version,
                plan.weight,
                plan.tags,
                tuple(plan.metadata.items()),
            )
        )
        if (await TcpProbe(self._reactor)(address, CheckSpec(timeout=CHECK_TIMEOUT))).ok:
            raise MeshError(f"somebody listens at {address} already, so the command is not started")
        self._start()
        self._joining = Deferred.fromCoroutine(self._join(address))
        self._joining.addErrback(self._not_joined)
        code = await self._command.ended
        if self._registration is None and not self._leaving:
            # Only what runs in the foreground can be watched, and ended with.
            daemon = "" if code else "; if it went on in the background, it has to stay in the foreground"
            log.warn("the command ended before it was registered{daemon}", daemon=daemon)
        await self._leave()
        return code

    def signal(self, number: signal.Signals) -> None:
        """One that we were sent."""
        if number is signal.SIGTERM and not self._leaving:
            leaving = Deferred.fromCoroutine(self._leave())
            leaving.addTimeout(LEAVE_TIMEOUT, self._reactor)
            leaving.addBoth(lambda _: self._command.send(number))
        else:
            self._command.send(number, group=number in _TO_GROUP)

    def _start(self) -> None:
        argv = guarded(list(self._plan.command))
        try:
            self._reactor.spawnProcess(self._command, argv[0], argv, env=dict(os.environ), childFDs={0: 0, 1: 1, 2: 2})
        except OSError as error:
            raise MeshError(f"{self._plan.command[0]} cannot be started: {error.strerror}") from error

    async def _join(self, address: Address) -> None:
        plan = self._plan
        check = CheckSpec(path=plan.health, timeout=CHECK_TIMEOUT)
        probe = HttpProbe(self._reactor) if plan.health else TcpProbe(self._reactor)
        while not (await probe(address, check)).ok:
            await deferLater(self._reactor, CHECK_PAUSE)
        self._registration = await api.register(
            self._reactor,
            plan.registry_url,
            plan.service,
            plan.port,
            host=address.host,
            id=plan.id,
            version=plan.version,
            weight=plan.weight,
            tags=plan.tags,
            metadata=plan.metadata,
            namespace=plan.namespace,
            lease=plan.lease,
            heartbeat=plan.heartbeat,
            load=UsageMeter(self._command.pid).sample,
            patient=True,
        )
        record = self._registration.record
        log.info("{service}/{id} is registered", service=record.service, id=record.id)

    def _not_joined(self, failure: Failure) -> None:
        """The command goes on: it is not its fault."""
        if isinstance(failure.value, CancelledError):
            return
        if isinstance(failure.value, MeshError):
            log.error("not registered: {why}", why=failure.getErrorMessage())
        else:
            log.failure("not registered, by a fault of wmesh register itself", failure)

    async def _leave(self) -> None:
        """Out of the registry, or never into it."""
        self._leaving = True
        joining, self._joining = self._joining, None
        if joining is not None:
            joining.cancel()
            await joining
        registration = self._registration
        if registration is not None:
            await registration.deregister()


class _Command(ProcessProtocol):
    """The process. `ended` fires with its exit status, as a shell would give it."""

    transport: Any

    def __init__(self) -> None:
        self.ended: Deferred[int] = Deferred()
        self.pid = 0

    def connectionMade(self) -> None:
        self.pid = self.transport.pid

    def send(self, number: signal.Signals, *, group: bool = False) -> None:
        try:
            if group and os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, number)
            else:
                self.transport.signalProcess(number)
        except (ProcessExitedAlready, ProcessLookupError, AttributeError):
            return

    def processEnded(self, reason: Failure) -> None:
        value: Any = reason.value
        number = getattr(value, "signal", None)
        self.ended.callback(128 + number if number else getattr(value, "exitCode", 0) or 0)
