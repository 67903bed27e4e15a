"""How long one request may take in all: queue, attempts, pauses and the answer, to its last byte.

The limit is the service's (`timeout_request`), or what a trusted client allows where that is less. What is left of it
is told to each instance in a header, so that it need not work on what nobody waits for any more. The name, and that it
counts milliseconds, is Envoy's (x-envoy-expected-rq-timeout-ms), so that Envoys on both sides can take part.

A request without a limit has no such object, and pays nothing; one that has is swept with all that has a deadline, and
`out_of_time` ends it, whatever it waits for.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from wmesh.cluster.outcome import Outcome
from wmesh.errors import WireError
from wmesh.proxy.fallback import fall_back
from wmesh.proxy.local_reply import LocalReply, for_status
from wmesh.proxy.plan import Plan
from wmesh.wire.fields import CLAIMS, value_of, without
from wmesh.wire.forwarded import Peer
from wmesh.wire.request import RequestHead

if TYPE_CHECKING:
    from wmesh.proxy.exchange import Exchange


class TimeLimit:
    """`ends` is by the clock of the mesh, `seconds` how long the request may take. `line` is what instances are told,
    a whole field line; empty where they are told nothing."""

    __slots__ = ("_name", "_told", "ends", "line", "seconds")

    def __init__(self, seconds: float, started: float, name: str) -> None:
        self.seconds = seconds
        self.ends = started + seconds
        self._name = name.encode("ascii")
        self._told = told = max(1, round(seconds * 1000.0))
        self.line = b"%b: %d\r\n" % (self._name, told) if name else b""

    def tell(self, written: bytes, now: float) -> bytes:
        """An attempt begins: the written head with what is left now. After a wait, that is less than it says."""
        left = max(1, round((self.ends - now) * 1000.0))
        if left == self._told or not self.line:
            return written
        # Nobody else's: such a line of the client's was taken out.
        before, self.line, self._told = self.line, b"%b: %d\r\n" % (self._name, left), left
        return written.replace(b"\r\n" + before, b"\r\n" + self.line, 1)


def limit_of(plan: Plan, peer: Peer, head: RequestHead) -> float:
    """How many seconds this request may take; 0: as long as it likes. What the client says of it is taken out of
    `head`. Raises WireError where a trusted client says nonsense."""
    seconds = plan.spec.timeout_request
    name = plan.deadline_name
    if not name:
        return seconds
    if name in CLAIMS:
        asked = next((value for field, value in head.claims or () if field == name), None)
    else:
        asked = value_of(head.lines, name)
        spellings = {name, name.replace(b"-", b"_")}
        fields = head.fields
        lines = without(fields.lines, spellings)
        if len(lines) != len(fields.lines):
            head.fields = fields = copy(fields)  # they are shared with other requests
            fields.lines = lines
    if asked is None or not peer.trusted:
        return seconds
    if not asked.isdigit() or len(asked) > 12:
        raise WireError(f"{plan.spec.deadline_header} is not a number of milliseconds")
    allowed = int(asked) / 1000.0
    return min(seconds or allowed, allowed) if allowed else seconds


def bounded(exchange: Exchange, plan: Plan, now: float) -> bytes | None:
    """Find out how much time the request may take; gives the line that says so to an instance. None: it is refused."""
    if not plan.timed and (exchange.head.fields.plain or exchange.head.claims is None):
        return b""
    try:
        seconds = limit_of(plan, exchange.down.peer, exchange.head)
    except WireError as fault:
        exchange.answer(for_status(fault.status, fault.reason))
        return None
    if not seconds:
        return b""
    exchange.limit = limit = TimeLimit(seconds, now, plan.spec.deadline_header)
    exchange.plane.deadlines.watch(exchange, seconds)
    return limit.line


def out_of_time(exchange: Exchange, now: float) -> None:
    """All the time that the request may take is over, whatever it waits for."""
    plan, limit, ticket = exchange.plan, exchange.limit, exchange.ticket
    if exchange.done or plan is None or limit is None:
        return
    plan.traffic.expired += 1
    reason = f"the {limit.seconds:g} s that this request may take are over: {_awaited(exchange)}"
    if exchange.reply is not None:
        reason += f"; the attempt before: {exchange.reply.reason}"
    exchange.note(now, reason)
    outcome = Outcome.CANCELLED
    if ticket is not None and exchange.request_done and not exchange.head_sent:
        # An instance is to blame if it had half of what the service gives it, never for a client in a hurry.
        given = plan.spec.timeout_request
        if 0.0 < given <= 2.0 * (now - ticket.started):
            outcome = Outcome.TIMEOUT
    if exchange.head_sent:
        exchange.over(now, 0, ticket.member if ticket is not None else None)
    exchange.drop_attempt(outcome)
    if exchange.head_sent:
        exchange.down.abort()
    else:
        fall_back(exchange, LocalReply(504, "deadline_exceeded", reason, plan.service), now)


def _awaited(exchange: Exchange) -> str:
    """What the exchange waits for."""
    if exchange.waiter is not None:
        return "it stood in the queue"
    if exchange.reader is not None:
        return "it waited for what the cache was to fetch"
    if exchange.ticket is None:
        return "it was to be tried again"
    address = exchange.ticket.member.record.address
    if exchange.dial is not None:
        return f"{address} had not accepted the connection"
    if not exchange.request_done:
        return f"the client was still sending it to {address}"
    return f"{address} had not finished its answer" if exchange.head_sent else f"{address} had not answered"
