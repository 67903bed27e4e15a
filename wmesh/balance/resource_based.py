"""The member with the most to spare: requests in flight, weighed by the CPU and memory that its heartbeats report.

After Envoy's client-side weighted balancing on ORCA reports, for figures that come with heartbeats (every few seconds)
and from other programs as well. Each member has a factor on its share, 0.1 to 10, made of two:

- Use: CPU in percent of one core, and as many points more as percent of its attempts failed since the last report, for
  failing fast looks idle. With every report: factor ** 0.9 · ((median + 5) / (use + 5)) ** 0.5. Repeated, this brings
  all members to about the same use, whatever each can do and whoever else loads it. It moves half way at a time because
  a report tells of the past: whoever sends everything to who was idle only moves the crowd. Where use says nothing the
  power of 0.9 brings the factor back to 1.
- Memory: with twice the median it gets half; with less than the median it gets nothing extra.

Then (in_flight + u) / (share · factor) is compared as in `least_connections`: of up to eight members, or of two drawn
by share. Reports older than three minutes do not count, nor those of a member's first ten seconds, which are about its
start; a member without a report counts as the median. Pick: O(min(n, 8)), above that O(log n); on a retry the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from wmesh.balance.draws import Draws
from wmesh.balance.least_connections import SCAN_LIMIT
from wmesh.balance.typical import RENEW, Typical
from wmesh.model import ServiceSpec

if TYPE_CHECKING:
    from wmesh.cluster.member import Member

EXPIRY = 180.0
"""Seconds after which a report is forgotten (Envoy's weight_expiration_period)."""
BLACKOUT = 10.0
"""Seconds of a new member's life whose reports do not count (Envoy's blackout_period)."""
LEAST_USE = 5.0
"""Percent added on both sides, so that the noise of idle processes weighs nothing."""
KEPT, GAIN = 0.9, 0.5
"""How much of the factor is kept with a report, and how far it goes the way that the report asks for."""
BOUND = 10.0


class Evidence:
    """What reports of one member amount to: `factor` by its use, and `value` with all, which holds until `until`.

    `at` is when the last report came that was taken in; `picks` and `failures` are the member's counts at that time.
    """

    __slots__ = ("at", "factor", "failures", "picks", "until", "value")

    def __init__(self, member: Member) -> None:
        self.at = float("-inf")
        self.factor = self.value = 1.0
        self.until = float("-inf")
        self.picks = member.picks
        self.failures = member.failures


def reported(member: Member, now: float) -> bool:
    """Whether it has a report that counts."""
    if member.load is None:
        return False
    return now - member.load_since < EXPIRY and member.load_since - member.since >= BLACKOUT


def _cpu(member: Member, now: float) -> float | None:
    return member.load.cpu if member.load is not None and reported(member, now) else None


def _memory(member: Member, now: float) -> float | None:
    return member.load.memory if member.load is not None and reported(member, now) else None


class ResourceBased:
    """Scores: requests in flight for each unit of share times factor; the lowest wins, of all or of two drawn."""

    def __init__(self, spec: ServiceSpec, random: Random) -> None:
        self._draw = random.random
        self._draws = Draws(random.random)
        self._evidence: dict[Member, Evidence] = {}
        self._cpu = Typical(random.random, _cpu, 0.0)
        self._memory = Typical(random.random, _memory, 0.0)

    def rebuild(self, members: Sequence[Member]) -> None:
        self._draws = Draws(self._draw, members)
        before = self._evidence
        self._evidence = {member: before.get(member) or Evidence(member) for member in members}
        self._cpu.rebuild(members)
        self._memory.rebuild(members)

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        draws, draw = self._draws, self._draw
        members: Sequence[Member] = draws.members
        if len(members) > SCAN_LIMIT:
            pair = draws.two(tried)
            if pair is None:
                return None
            members = pair
        best: Member | None = None
        least = 0.0
        for member in members:
            evidence = self._evidence[member]
            if now >= evidence.until or member.load_since != evidence.at:
                self._take(member, evidence, now)
            load = (member.in_flight + draw()) / (member.share * evidence.value)
            if (best is None or load < least) and (not tried or member not in tried):
                best = member
                least = load
        return best

    def _take(self, member: Member, evidence: Evidence, now: float) -> None:
        """Once a second and with every report: what it amounts to by now. O(1)."""
        evidence.until = now + RENEW
        if not reported(member, now):
            evidence.at = member.load_since
            evidence.factor = evidence.value = 1.0
            return
        if member.load_since != evidence.at:
            self._learn(member, evidence, now)
        evidence.value = weigh(member, evidence, self._memory.level(now))

    def _learn(self, member: Member, evidence: Evidence, now: float) -> None:
        picks, failures = member.picks - evidence.picks, member.failures - evidence.failures
        evidence.at = member.load_since
        evidence.picks, evidence.failures = member.picks, member.failures
        typical = self._cpu.level(now)
        cpu = _cpu(member, now)
        use = (typical if cpu is None else cpu) + (100.0 * failures / picks if picks > 0 else 0.0)
        asked = ((typical + LEAST_USE) / (use + LEAST_USE)) ** GAIN
        evidence.factor = max(1 / BOUND, min(BOUND, evidence.factor**KEPT * asked))

    def scores(self, key: bytes, now: float) -> Sequence[tuple[Member, float, str]]:
        found = []
        memory = self._memory.peek(now)
        for member in self._draws.members:
            factor, words = 1.0, "no report: counts as the median"
            if member.load is not None and reported(member, now):
                factor = weigh(member, self._evidence[member], memory)
                cpu = "CPU unknown" if member.load.cpu is None else f"CPU {member.load.cpu:.0f} %"
                size = f"{(member.load.memory or 0) / 2**20:.0f} MiB"
                words = f"{cpu}, {size}, {now - member.load_since:.0f} s ago"
            words = f"{member.in_flight} in flight / share {member.share:g} × {factor:.2f} ({words})"
            found.append((member, member.in_flight / (member.share * factor), words))
        return found


def weigh(member: Member, evidence: Evidence, memory: float) -> float:
    """The factor on a reported member's share; `memory` is the fleet's median."""
    factor = evidence.factor
    sample = member.load
    if sample is not None and sample.memory and sample.memory > memory > 0.0:
        factor *= memory / sample.memory
    return max(1 / BOUND, factor)
