"""For those who register and do not look: a client of a Redis registry that puts in, renews and takes out.

Strategy: a program that answers for an instance or two has no use for the other ten thousand, so it neither watches nor
sweeps. One link, and the same promise as `RedisRegistry` gives: what was registered through this object is held
(`holdings`), and goes back in as soon as the server answers on a new connection, for what was there before may be lost
(a restart without persistence, a failover). What is lost on a connection that lives on (FLUSHALL) is found by the next
heartbeat, whose answer names those unknown.

`own_host` is here because only who knows the registry can say by which of its addresses a machine is reached from
there.
"""

from __future__ import annotations

import ipaddress
import random
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from wmesh.control.registry import scripts
from wmesh.control.registry.codec import encode_load
from wmesh.control.registry.holdings import Holdings, Key
from wmesh.control.registry.link import Link
from wmesh.errors import RegistryError
from wmesh.model import InstanceRecord, LoadSample, RegistrySpec
from wmesh.registry_url import Target, check_namespace

LOOK = 0.25
"""Seconds between two looks at whether the connection is another one than before."""


class Registrar:
    """Has the methods of `wmesh.interfaces.Registry` that a `Heartbeat` and a registering program need.

    `timeout` (seconds) bounds each command, the wait for a connection included. `now` is a monotonic clock.
    """

    _log = Logger()

    def __init__(
        self,
        target: Target,
        spec: RegistrySpec,
        reactor: Any,
        *,
        timeout: float = 3.0,
        retry_max: float = 5.0,
        rng: random.Random | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label = target.label
        keys = scripts.keys(check_namespace(spec.namespace))
        self._clock: IReactorTime = reactor
        self._link = Link(target, reactor, timeout=timeout, retry_max=retry_max, rng=rng or random.Random(), now=now)
        self._holdings = Holdings(self._link, keys, max(1, round(spec.lease * 1000)))
        self._generation = 0
        self._looking: Deferred[None] | None = None

    @property
    def connected(self) -> bool:
        return self._link.connected

    def start(self) -> None:
        """Begin to connect. Fails with RegistryError if the target makes no sense."""
        self._link.start()
        self._looking = Deferred.fromCoroutine(self._look())
        self._looking.addErrback(_stopped)

    def stop(self) -> Deferred[None]:
        """Hang up. Registrations stay until their leases end."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
        return Deferred.fromCoroutine(self._link.stop())

    def register(self, record: InstanceRecord) -> Deferred[None]:
        """Put it in; from now on it is held, also if this fails because the server does not answer."""
        return Deferred.fromCoroutine(self._holdings.register(record))

    def deregister(self, service: str, id: str) -> Deferred[None]:
        """Take it out at once, unless somebody else has registered under this id since."""
        return Deferred.fromCoroutine(self._holdings.deregister(service, id))

    def renew(self, beats: Mapping[Key, LoadSample]) -> Deferred[Sequence[Key]]:
        """Renew leases. Answers those that the registry does not know."""
        loads = {key: encode_load(sample) for key, sample in beats.items()}
        return Deferred.fromCoroutine(self._holdings.renew(loads))

    async def _look(self) -> None:
        while True:
            if self._link.connected and self._link.generation != self._generation:
                generation = self._link.generation
                putting = Deferred.fromCoroutine(self._holdings.put_back())
                if await putting.addCallbacks(lambda _: True, self._not_put_back):
                    self._generation = generation
            await deferLater(self._clock, LOOK)

    def _not_put_back(self, failure: Failure) -> bool:
        """The next look tries again; that the registry is away is told by the heartbeat."""
        if isinstance(failure.value, CancelledError):
            raise failure.value
        if not isinstance(failure.value, RegistryError):
            self._log.failure("Registrations could not be put back", failure)
        return False


async def own_host(target: Target, reactor: Any) -> str:
    """The IP address of this machine that who uses `target` reaches: 127.0.0.1 where the server is on this machine.

    Where Sentinels are to be asked, it is the address on the way to the first of them that there is a way to. Fails
    with RegistryError if there is no way to the server's host. Nothing is sent.
    """
    if target.path:
        return "127.0.0.1"
    why = ""
    for host, port in target.places:
        try:
            return await deferToThreadPool(reactor, reactor.getThreadPool(), _route_to, host, port)
        except OSError as error:
            why = why or error.strerror or str(error)
    raise RegistryError(
        f"{target.label}: {why}, so it is not known by which host others reach this machine; name it (host)"
    )


def _route_to(host: str, port: int) -> str:
    """The source address that the kernel would choose: a connected UDP socket knows it and sends nothing."""
    family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(where)
        found = ipaddress.ip_address(str(probe.getsockname()[0]).partition("%")[0])
    return "127.0.0.1" if found.is_loopback else str(found)


def _stopped(failure: Failure) -> Failure | None:
    return None if isinstance(failure.value, CancelledError) else failure
