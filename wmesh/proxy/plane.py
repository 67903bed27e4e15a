"""What all connections of one data plane share: clock, limits, routes, deadlines, and the list of who is connected."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from wmesh.events import Event, InstanceRemoved
from wmesh.model import GatewaySpec
from wmesh.policy.routing import Router
from wmesh.proxy.deadlines import Deadlines
from wmesh.proxy.decisions import Record
from wmesh.proxy.flow import Flows
from wmesh.proxy.plan import Plan
from wmesh.proxy.poller import Poller
from wmesh.proxy.trust import Contexts
from wmesh.proxy.watches import Watches
from wmesh.wire.limits import Limits
from wmesh.wire.request import vias

if TYPE_CHECKING:
    from wmesh.proxy.pool import Pool
    from wmesh.proxy.side import ClientSide


_LAST = tuple(b"%02x" % number for number in range(256))


class DataPlane:
    """`clock` is monotonic seconds, `chance` answers numbers in [0, 1). `connections` are those of clients."""

    def __init__(
        self,
        spec: GatewaySpec,
        router: Router[Plan],
        reactor: Any,
        clock: Callable[[], float],
        random: Random,
        name: str = "wmesh",
    ) -> None:
        """`name` is what the gateway calls itself in Via."""
        self.spec = spec
        self.via = vias(name)
        self.router = router
        self.clock = clock
        self.reactor = reactor
        self.chance = random.random
        self.limits = Limits(spec.max_head_size, spec.max_header_fields, spec.max_target_length)
        self.flows = Flows()
        self.poller = Poller(reactor)
        self.contexts = Contexts()
        self.deadlines = Deadlines(reactor, clock)
        self.patience = min(spec.header_timeout, spec.body_timeout, spec.idle_timeout)
        self.connections: set[ClientSide] = set()
        self.pools: dict[tuple[str, str], Pool] = {}
        self.watches = Watches(reactor, clock)
        self.decisions: deque[Record] = deque(maxlen=spec.decisions)
        self.draining = False
        self.accepted = 0
        self._drained: Deferred[None] | None = None
        # A request id is a random prefix of this process and a count: unique, cheap, and in order within a process.
        self._id_prefix = b"%012x" % random.getrandbits(48)
        self._id_block = b""
        self._id_count = -1

    def start(self) -> None:
        self.deadlines.start()

    def next_id(self) -> bytes:
        """A fresh request id, 20 hexadecimal digits."""
        self._id_count = count = self._id_count + 1
        last = count & 255
        if not last:
            self._id_block = b"%b%06x" % (self._id_prefix, count >> 8 & 0xFFFFFF)
        # WHY not format all of it: that takes three times as long (bench micro "exchange").
        return self._id_block + _LAST[last]

    def heard(self, event: Event) -> None:
        """The Directory's news: connections to an instance that is gone are not kept."""
        if isinstance(event, InstanceRemoved):
            pool = self.pools.get((event.service, event.id))
            if pool is not None:
                pool.close()

    def drain(self) -> Deferred[None]:
        """Let running exchanges finish, close idle connections now; fires when no connection is left."""
        self.draining = True
        drained: Deferred[None] = Deferred()
        self._drained = drained
        for connection in list(self.connections):
            connection.drain()
        self._check_drained()
        return drained

    def closed(self, connection: ClientSide) -> None:
        """A client's connection is gone."""
        self.connections.discard(connection)
        if self.draining:
            self._check_drained()

    def _check_drained(self) -> None:
        drained = self._drained
        if drained is not None and not self.connections:
            self._drained = None
            drained.callback(None)

    def stop(self) -> None:
        """End everything that is left, and give all descriptors back."""
        for connection in list(self.connections):
            connection.abort()
        for pool in list(self.pools.values()):
            pool.close()
        self.watches.stop()
        self.deadlines.stop()
        self.deadlines.clear()
        self.poller.close()
