"""Connections to one instance: kept ones newest first, and new ones when none is kept.

Newest first (LIFO), so that under light load the rest grow old and are closed, and the one used is the least likely to
have been closed by the instance. What is kept is bounded in number and age. Bytes on a kept connection that nobody
asked for end it. One pool belongs to one member and dies with it.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from wmesh.cluster.member import Member
from wmesh.cluster.outcome import Outcome
from wmesh.model import ServiceSpec
from wmesh.proxy.connecting import Connecting
from wmesh.proxy.plane import DataPlane
from wmesh.proxy.transport import Stream
from wmesh.proxy.upstream import Upstream

if TYPE_CHECKING:
    from wmesh.proxy.race import Attempt

log = Logger()


def pool_of(plane: DataPlane, member: Member, spec: ServiceSpec) -> Pool:
    """The member's pool, made on first use."""
    pool = member.pool
    if not isinstance(pool, Pool):
        pool = _pool_class(spec)(plane, member, spec)
        member.pool = pool
        plane.pools[member.record.service, member.record.id] = pool
    return pool


def _pool_class(spec: ServiceSpec) -> type[Pool]:
    if not spec.secure:
        return Pool
    # It is made of the plain one, so this module must be there before it.
    from wmesh.proxy.secure_pool import SecurePool

    return SecurePool


class Pool:
    """`idle` are connections that wait for a request, the newest last. `patience` is the shortest time that may be too
    long for an answer to make no progress, on any route.
    """

    __slots__ = ("_family", "_target", "closed", "idle", "keep", "member", "patience", "plane", "spec")

    def __init__(self, plane: DataPlane, member: Member, spec: ServiceSpec) -> None:
        self.plane = plane
        self.member = member
        self.spec = spec
        self.keep = spec.keepalive_connections
        ways = [spec, *map(spec.on, spec.routes)]
        self.patience = min(min(way.timeout_first_byte, way.timeout_idle) for way in ways)
        self.idle: list[Upstream] = []
        self.closed = False
        self._target: Any = None
        self._family = socket.AF_INET
        host, port = member.record.address.host, member.record.address.port
        try:
            version = ipaddress.ip_address(host).version
        except ValueError:
            pass  # a name: resolved at each connect, so that a moved instance is found
        else:
            self._family = socket.AF_INET if version == 4 else socket.AF_INET6
            self._target = (host, port)

    def take(self, repeatable: bool) -> Upstream | None:
        """A kept connection, or None. One that must not be tried twice gets only a connection known to be alive."""
        idle = self.idle
        while idle:
            conn = idle.pop()
            if repeatable or conn.alive():
                return conn
            conn.retire()
        return None

    def give_back(self, conn: Upstream, now: float) -> None:
        """The connection's answer is whole; keep it for the next request if there is room."""
        if self.closed or len(self.idle) >= self.keep:
            conn.retire()
        else:
            conn.idle_since = now
            self.idle.append(conn)

    def discard(self, conn: Upstream) -> None:
        """A kept connection ended by itself."""
        if conn in self.idle:
            self.idle.remove(conn)

    def connect(self, exchange: Attempt) -> Dial:
        """Begin a new connection for this exchange; it hears of it through `attach` or `attempt_failed`."""
        dial = self.dial(exchange)
        if self._target is not None:
            dial.begin(self._family, self._target)
        else:
            address = self.member.record.address
            self.plane.reactor.resolve(address.host, (1, 2)).addCallbacks(
                lambda found: dial.begin(socket.AF_INET, (found, address.port)), dial.unresolved
            )
        return dial

    def dial(self, exchange: Attempt) -> Dial:
        return Dial(self, exchange)

    def close(self) -> None:
        """The member is gone, or the data plane stops: no kept connection is left."""
        self.closed = True
        record = self.member.record
        if self.plane.pools.get((record.service, record.id)) is self:
            del self.plane.pools[record.service, record.id]
        idle, self.idle = self.idle, []
        for conn in idle:
            conn.retire()


class Dial:
    """A connection being made for an exchange. If the exchange goes away meanwhile, it is kept for others."""

    __slots__ = ("connecting", "exchange", "pool", "since")

    stream_class: type[Stream] = Stream

    def __init__(self, pool: Pool, exchange: Attempt) -> None:
        self.pool = pool
        self.exchange: Attempt | None = exchange
        self.connecting: Connecting | None = None
        self.since = pool.plane.clock()
        pool.plane.deadlines.watch(self, pool.spec.timeout_connect)

    def begin(self, family: int, target: Any) -> None:
        if self.exchange is None and self.connecting is None and not self.pool.plane.deadlines.watches(self):
            return  # it took so long to find the address that the deadline came first
        try:
            self.connecting = Connecting(self.pool.plane.poller, family, target, self, self.stream_class)
            self.connecting.begin()
        except OSError as problem:  # out of descriptors: the failure must not come before connect() has returned
            self.pool.plane.reactor.callLater(0, self.failed, problem)

    def unresolved(self, failure: Failure) -> None:
        host = self.pool.member.record.address.host
        self._end(Outcome.CONNECT_FAILED, f"the name {host} was not found")

    def connected(self, stream: Stream) -> None:
        """The socket is connected."""
        self.ready(stream)

    def ready(self, stream: Stream) -> None:
        """Requests can be sent now."""
        plane = self.pool.plane
        plane.deadlines.forget(self)
        conn = Upstream(self.pool)
        stream.start(conn)
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            self.pool.give_back(conn, plane.clock())
        else:
            exchange.attach(conn, plane.clock())

    def failed(self, problem: OSError) -> None:
        address = self.pool.member.record.address
        refused = problem.errno == errno.ECONNREFUSED
        what = "refused the connection" if refused else f"could not be reached ({problem.strerror})"
        self._end(Outcome.CONNECT_FAILED, f"{address} {what}")

    def sweep(self, now: float) -> None:
        limit = self.pool.spec.timeout_connect
        if now - self.since > limit:
            detail = self.late()
            self.abandon()
            self._end(Outcome.CONNECT_FAILED, detail, hung=True)

    def late(self) -> str:
        """What to say when the deadline passes."""
        return f"{self.pool.member.record.address} did not accept within {self.pool.spec.timeout_connect:g} s"

    def abandon(self) -> None:
        """Give up what is under way."""
        if self.connecting is not None:
            self.connecting.cancel()

    def forget(self) -> None:
        """The exchange has no use for the connection any more."""
        self.exchange = None

    def _end(self, outcome: Outcome, detail: str, hung: bool = False) -> None:
        self.pool.plane.deadlines.forget(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.attempt_failed(outcome, detail, sent=False, stale=False, hung=hung)
