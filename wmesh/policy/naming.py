"""What is known of one name, and what one more answer does to it: keep or drop, and when to ask again.

Strategy: an answer with instances is believed at once, whatever it adds or removes. Anything else never takes instances
away by itself:

    answer      what it says is what is there; asked again when its TTL ends, within `floor` and `ceiling`
    failed      nothing is known: the last good answer stays for as long as it takes, and grows old visibly
    absent      NXDOMAIN, or no record. It may be true; it is also what a half-loaded zone or a confused resolver says.
                The last good answer is held for `hold` seconds and at least `ENOUGH` such answers, and dropped then
    absent, on purpose (SRV target "."): dropped at once

After anything but an answer, the next question comes soon, and later each time (see `wmesh.policy.backoff`). A failure
between two "absent" neither counts nor forgives; one good answer forgives everything. With a `hold` of 0 the first
"absent" is believed.

Time and chance come in as numbers: `now` is monotonic seconds, `chance` from 0 up to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from wmesh.policy.backoff import Backoff, BackoffSpec
from wmesh.policy.records import Absent, Failed, Place

ENOUGH = 3
AGAIN = BackoffSpec(first=1.0, limit=30.0)


@dataclass(frozen=True, slots=True)
class NamingSpec:
    """`floor`, `ceiling` and `hold` are seconds; `jitter` is the share by which a pause may be shorter than the TTL."""

    floor: float = 1.0
    ceiling: float = 300.0
    hold: float = 300.0
    jitter: float = 0.1


@dataclass(frozen=True, slots=True)
class Answer:
    """The instances of a name, one at least. `problem`: a part of it could not be asked for, and is as before."""

    places: tuple[Place, ...]
    ttl: float
    problem: str = ""


Outcome = Answer | Absent | Failed


class Knowledge:
    """What is known of one name.

    `places` are its instances now. `ttl` is what the last good answer said, `answered` when it came (None: there was
    none yet). `problem` is what is wrong since then; empty while all is well. `absent_since` is when a server first
    said that there is nothing, unless there was an answer since.
    """

    __slots__ = ("_backoff", "_denials", "absent_since", "answered", "places", "problem", "spec", "ttl")

    def __init__(self, spec: NamingSpec) -> None:
        self.spec = spec
        self.places: tuple[Place, ...] = ()
        self.ttl = 0.0
        self.answered: float | None = None
        self.problem = ""
        self.absent_since: float | None = None
        self._denials = 0
        self._backoff = Backoff(AGAIN)

    def take(self, outcome: Outcome, now: float, chance: float) -> float:
        """Learn from the outcome of one lookup. Answers in how many seconds to ask again."""
        if isinstance(outcome, Answer):
            self.places = outcome.places
            self.ttl = outcome.ttl
            self.answered = now
            self.absent_since = None
            self._denials = 0
            self.problem = outcome.problem
            pause = self._rest(chance)
            if outcome.problem:
                return min(pause, self._backoff.failed(0.0, chance))
            self._backoff.failures = 0
            return pause
        self.problem = outcome.reason
        if isinstance(outcome, Absent):
            if self.absent_since is None:
                self.absent_since = now
            self._denials += 1
            if outcome.final or self._believed(now):
                self.places = ()
        return self._backoff.failed(0.0, chance)

    def age(self, now: float) -> float | None:
        """Seconds since the last good answer."""
        return None if self.answered is None else max(0.0, now - self.answered)

    def stale(self, now: float) -> bool:
        """Whether what is known has outlived its TTL, or is denied, and is only kept for want of better."""
        age = self.age(now)
        return bool(self.problem and self.places and age is not None and (age > self.ttl or self.doubtful))

    @property
    def doubtful(self) -> bool:
        """Whether the instances are held although a server says that there are none."""
        return bool(self.places) and self.absent_since is not None

    def _believed(self, now: float) -> bool:
        hold = self.spec.hold
        if hold <= 0:
            return True
        return self._denials >= ENOUGH and self.absent_since is not None and now - self.absent_since >= hold

    def _rest(self, chance: float) -> float:
        spec = self.spec
        return max(spec.floor, min(self.ttl, spec.ceiling) * (1.0 - spec.jitter * chance))
