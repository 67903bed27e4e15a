"""A cluster of a few members, asked for tickets: what the tests of picking and of explaining a pick start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import FirstUntried, a_member, a_record, a_spec
from wmesh.cluster.cluster import NEVER, Cluster
from wmesh.cluster.member import Member
from wmesh.cluster.outcome import Outcome, Refusal
from wmesh.cluster.selection import Selection, Waiter
from wmesh.cluster.ticket import Ticket
from wmesh.model import BreakerSpec, OutlierSpec, Subset

QUICK = BreakerSpec(min_calls=1, failures=1, reset_timeout=5.0, trials=2, ramp=0.0)
NO_OUTLIERS = OutlierSpec(enabled=False)


def of(id: str, *, limit: int = 0, version: str = "", tags: tuple[str, ...] = (), zone: str = "") -> Member:
    member = a_member(id)
    metadata = (("zone", zone),) if zone else ()
    member.record = replace(a_record(id), version=version, tags=tags, metadata=metadata)
    member.most = limit
    return member


class SelectionCase(SynchronousTestCase):
    now = 0.0

    def make(self, *members: Member, zone: str = "", **spec: Any) -> None:
        self.spec = a_spec(**{"outlier": NO_OUTLIERS, **spec})
        self.cluster = Cluster(self.spec, lambda spec: FirstUntried(), zone=zone)
        for member in members:
            # With what the service says about breakers and limits.
            made = Member(member.record, self.spec, 0.0)
            made.health.state = member.health.state
            made.health.proven = True
            made.most = member.most or made.most
            self.cluster.members[member.record.id] = made
        self.cluster.refresh(0.0)
        self.told: list[Ticket | Refusal] = []

    def member(self, id: str) -> Member:
        return self.cluster.members[id]

    def acquire(self, *tried: Member, prefer: str = "", subset: Subset | None = None) -> Ticket | Refusal:
        return self.cluster.select(subset or Subset()).acquire(b"", tried, self.now, prefer)

    def ticket(self, *tried: Member, prefer: str = "", subset: Subset | None = None) -> Ticket:
        got = self.acquire(*tried, prefer=prefer, subset=subset)
        assert isinstance(got, Ticket), got
        return got

    def refusal(self, *tried: Member, subset: Subset | None = None) -> Refusal:
        got = self.acquire(*tried, subset=subset)
        assert isinstance(got, Refusal), got
        return got

    def who(self, *tried: Member, prefer: str = "", subset: Subset | None = None) -> str:
        return self.ticket(*tried, prefer=prefer, subset=subset).member.record.id

    def trip(self, id: str) -> None:
        """Open the breaker of this member."""
        held = self.ticket(*(one for one in self.cluster.members.values() if one.record.id != id))
        held.release(Outcome.RESET, self.now)

    def wait(
        self, selection: Selection | None = None, *, deadline: float = NEVER, tried: Sequence[Member] = ()
    ) -> Waiter:
        waiter = self.offer(selection, deadline=deadline, tried=tried)
        assert isinstance(waiter, Waiter), waiter
        return waiter

    def offer(
        self, selection: Selection | None = None, *, deadline: float = NEVER, tried: Sequence[Member] = ()
    ) -> Waiter | Refusal:
        where = selection or self.cluster.whole
        return where.wait(b"", tried, self.now, "", deadline, self.told.append, self.told.append)
