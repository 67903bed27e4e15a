"""What became of the last requests, and why: records in a ring, for `GET /service-mesh/decisions/REQUEST_ID`.

Strategy: an exchange leaves one tuple when it ends. Nothing is put into words before somebody asks; only where
something out of the ordinary happened (a second attempt, a queue, a refusal) the exchange has noted it on the way, for
there it costs next to nothing. Old records fall out at the other end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wmesh.cluster.member import Member
from wmesh.cluster.ticket import Ticket
from wmesh.proxy.plan import Plan

Note = tuple[float, str]
"""When (by the clock of the mesh), and what."""

Record = tuple[bytes, float, float, "Plan | None", bytes, bytes, int, "Member | None", Sequence[Note]]
"""Request id, begin, end, plan, method, target, status (0: broken off), who answered or was asked last, notes."""

LONGEST_TARGET = 512


def find(ring: Sequence[Record], request_id: str, now: float, wall: float) -> Mapping[str, Any] | None:
    """The record of this request, in plain JSON values; None if it has fallen out, or never was. Proxies before us may
    name several requests alike: then it is the last one.

    `now` is by the clock of the mesh, `wall` the same moment for people, in seconds since 1970.
    """
    wanted = request_id.encode("utf-8", "replace")
    found = next((record for record in reversed(ring) if record[0] == wanted), None)
    return None if found is None else _describe(found, now, wall)


def recent(ring: Sequence[Record], count: int, now: float, wall: float) -> list[Mapping[str, Any]]:
    """The last ones, the newest first."""
    newest = list(ring)[-count:] if count > 0 else []
    return [_describe(record, now, wall) for record in reversed(newest)]


def told(ticket: Ticket | None, attempts: int, notes: Sequence[Note]) -> bytes:
    """The same as a line of the answer, for a trusted client that asked for it: who was picked, and what happened on
    the way."""
    steps = "; ".join(what for _, what in notes)
    text = f"instance={ticket.member.record.id if ticket is not None else None}; attempts={attempts}; {steps}"
    # What failed may be told in words of the instance: no line may end before its end.
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:4096])
    return b"X-Wmesh-Decision: %b\r\n" % shown.encode("ascii", "replace")


def _describe(record: Record, now: float, wall: float) -> dict[str, Any]:
    request_id, begun, ended, plan, method, target, status, member, notes = record
    return {
        "request_id": _text(request_id),
        "ago_seconds": round(max(0.0, now - ended), 3),
        "began_at": round(wall - (now - begun), 3),
        "milliseconds": round((ended - begun) * 1000.0, 3),
        "method": _text(method),
        "target": _text(target[:LONGEST_TARGET]),
        "route": None if plan is None else str(plan.route),
        "service": None if plan is None else plan.service,
        "strategy": None if plan is None else plan.spec.strategy,
        "status": status or None,
        "instance": member.record.id if member is not None else None,
        "steps": [{"at_ms": round((at - begun) * 1000.0, 3), "what": what} for at, what in notes],
    }


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
