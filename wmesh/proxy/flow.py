"""Requests that come again, byte for byte: what was decided for the first of them holds for all.

Clients repeat themselves: polling, health checks, a page's own calls. All that follows from the bytes of a request
alone (what it says, which route takes it, what the instance is sent but for the client's address and the request id) is
the same each time, so it is remembered under those bytes, as switches remember the flows they have classified once.
What depends on anything else is decided anew for each request: who is picked, limits, deadlines, cookies' bindings.

Remembered are only requests without a body, from clients whose claims are not believed, with nothing that asks for a
second thought; the others take the long way in `wmesh.proxy.exchange`, which ends in the same place. WHY: bench case
"small", bench micro "exchange".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wmesh.wire.memo import Memo
from wmesh.wire.request import RequestHead, Vias, around_client

if TYPE_CHECKING:
    from wmesh.proxy.exchange import Exchange
    from wmesh.proxy.plan import Plan

FLOWS = 512
LONGEST = 2048
ONE_IN = 4


class Flow:
    """`before` and `behind` stand round the lines that name the client; the request id follows."""

    __slots__ = ("before", "behind", "head", "plan")

    def __init__(self, head: RequestHead, plan: Plan, via: Vias) -> None:
        self.head = head
        self.plan = plan
        self.before, self.behind = around_client(head, plan.target(head.target), plan.prefix_line, via)


class Flows(Memo[Flow]):
    """Raw request -> flow. One for all clients of a data plane: nothing of a client is in it."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(FLOWS, LONGEST, ONE_IN)

    def learn(self, data: bytes, exchange: Exchange) -> None:
        """`data` was the whole of this exchange's request, and is not known."""
        if not self.familiar(data):
            return
        plan, head, peer = exchange.plan, exchange.head, exchange.down.peer
        if plan is None or not plan.steady or peer.trusted or peer.forwarded or head.has_body or not head.fields.plain:
            return
        if head.target[:1] == b"/" and head.fields.host is not None:
            self.keep(data, Flow(head, plan, exchange.plane.via))
