"""Why this one and not that one: what a pick would be now, with every candidate's score and every other one's reasons.

Strategy: nothing is recorded for this while requests run; it is worked out when somebody asks. To see what the strategy
would pick without having it picked, a copy of it is asked; the copy shares the members, so their numbers are the real
ones. A strategy that draws lots draws another one for the next request: then `pick` is one of the likely ones.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from wmesh.cluster.cluster import Cluster
from wmesh.cluster.member import Member
from wmesh.cluster.selection import Selection

FEW = 10
MOST = 200
"""So many candidates and excluded ones are listed; of larger fleets the rest is counted."""


def explain(
    selection: Selection, key: bytes, now: float, prefer: str = "", tried: Sequence[Member] = ()
) -> dict[str, Any]:
    """Plain JSON values: `service`, `strategy`, `pick` (an id or null), `why`, `candidates` with their scores, and
    `excluded` with all reasons."""
    cluster = selection.cluster
    if cluster.stale or now >= cluster.review_at:
        cluster.refresh(now)
    chosen = {id(member) for member in selection.members}
    candidates = [
        {
            "id": member.record.id,
            "address": str(member.record.address),
            "score": round(score, 6),
            "note": note,
            "in_flight": member.in_flight,
            "share": round(member.share, 3),
            "weight_by": None if member.directed is None else member.directed.by or None,
            "reasons": [*_doubts(cluster, member, now), *_momentary(member, tried)],
        }
        for member, score, note in selection.strategy.scores(key, now)
    ]
    excluded = [
        {
            "id": member.record.id,
            "address": str(member.record.address),
            "reasons": [*_against(member, now), *_not_here(selection, member, now)],
        }
        for member in cluster.members.values()
        if id(member) not in chosen
    ]
    pick, why = _preview(selection, key, now, prefer, tried)
    return {
        "service": cluster.spec.name,
        "strategy": cluster.spec.strategy,
        "subset": str(selection.subset).strip() or None,
        "zone": cluster.zone or None,
        "panic": cluster.panicking and bool(selection.members),
        "key": key.decode("utf-8", "backslashreplace") or None,
        "pick": pick,
        "why": why,
        "waiting": selection.waiting,
        "candidates": candidates[:MOST],
        "excluded": excluded[:MOST],
        "candidates_total": len(candidates),
        "excluded_total": len(excluded),
    }


def summary(explained: dict[str, Any]) -> str:
    """The same in one line."""
    candidates = explained["candidates"][:FEW]
    listed = " ".join(f"{one['id']}={one['score']:g}" for one in candidates)
    more = f" and {explained['candidates_total'] - FEW} more" if explained["candidates_total"] > FEW else ""
    out = f", {explained['excluded_total']} excluded" if explained["excluded_total"] else ""
    return f"{explained['strategy']} of {explained['candidates_total']} candidates{out} ({listed}{more})"


def _against(member: Member, now: float) -> list[str]:
    """The member's reasons; where a person is behind one, since when, and who it is."""
    return [
        f"{finding.text}, for {span(now - finding.since)}, by {finding.by}" if finding.by else finding.text
        for finding in member.verdict(now)
        if finding.against
    ]


def span(seconds: float) -> str:
    """A length of time for people, in its two largest units: "12 s", "3 min 20 s", "2 d 4 h"."""
    left = max(0, int(seconds))
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def _doubts(cluster: Cluster, member: Member, now: float) -> list[str]:
    """What would keep a candidate out if there were others."""
    if not cluster.panicking:
        return []
    verdict = member.verdict(now)
    return [finding.text for finding in verdict if finding.against and finding.aspect in ("health", "traffic")]


def _momentary(member: Member, tried: Sequence[Member]) -> list[str]:
    """What keeps a candidate from this one request."""
    found = [f"full: {member.in_flight} of {member.limit} requests in flight"] if member.full() else []
    if member.gated and member.breaker is not None and not member.breaker.ready:
        found.append("circuit breaker is half open: all of its trials are on their way")
    return [*found, "it was tried already"] if member in tried else found


def _not_here(selection: Selection, member: Member, now: float) -> list[str]:
    if not selection.subset.holds(member.record):
        return [f"not of the subset{selection.subset}"]
    if member.reasons(now):
        return []
    return ["it is in another zone"] if selection.far else ["too few of the others are well, and panic = none"]


def _preview(
    selection: Selection, key: bytes, now: float, prefer: str, tried: Sequence[Member]
) -> tuple[str | None, str]:
    """The id that would be picked, and why; or nobody, and why not."""
    cluster = selection.cluster
    if 0 < cluster.limit <= cluster.in_flight:
        return None, f"service_full: {cluster.in_flight} of {cluster.limit} requests in flight"
    if cluster.breaker is not None and not cluster.breaker.ready:
        return None, f"circuit_open: the circuit breaker of the service is open: {cluster.breaker.reason}"
    if selection.waiting:
        return None, f"queued: {selection.waiting} requests wait already"
    bound = cluster.members.get(prefer)
    served = bound is not None and selection.subset.holds(bound.record) and cluster.serves(bound, now)
    if bound is not None and served and not _momentary(bound, tried):
        return bound.record.id, "the client is bound to it by its cookie"
    trying = [member for member in cluster.trying if member.breaker is not None and member.breaker.trying]
    if trying and not tried and not trying[-1].full() and selection.subset.holds(trying[-1].record):
        return trying[-1].record.id, "its circuit breaker is half open and has to be tried"
    shared = {id(member): member for member in cluster.members.values()}
    try:
        strategy = copy.deepcopy(selection.strategy, shared)
    except Exception:  # noqa: BLE001 - a strategy of somebody else's may hold anything
        return None, f"{cluster.spec.strategy} picks one of the candidates; which one, it cannot say beforehand"
    asked = tried
    for _ in range(len(selection.members) + 1):
        member = strategy.pick(key, tried, now)
        if member is None:
            break
        if not _momentary(member, tried):
            return member.record.id, f"picked by {cluster.spec.strategy}"
        tried = (*tried, member)
    for member in selection.far_in_turn():
        if not _momentary(member, asked):
            return member.record.id, "nobody of our own zone can take it"
    refusal = selection.refusal(asked, now)
    return None, f"{refusal.reason}: {refusal.detail}"
