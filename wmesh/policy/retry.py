"""May a failed attempt be tried again, when, and how often? Told by phase and by what was sent, never by guess.

Nothing sent: any request may go elsewhere. Something sent, no answer: only a request that may be done twice (RFC 9110
section 9.2.2), and whose body is still held whole. An answer begun: never; the client has seen it.

    what failed          sent    may be tried again                            at the same instance, if it is the last
    connection           no      any method                                    after a pause, but not if it timed out
    kept connection      yes     idempotent methods; says nothing against it   at once
    reset, no answer     yes     idempotent methods                            after a pause
    timeout, no answer   yes     idempotent methods                            no: it is slow, and would get it twice
    no HTTP              yes     idempotent methods                            no
    status               yes     idempotent methods                            no: it has answered

The budget is what keeps retries from multiplying an outage: at any moment, at most a share of a service's requests in
flight are retries (Envoy's budget), and in ten seconds at most the same share of its requests, beyond a reserve, is
tried again (Finagle's and Linkerd's budget, which have a reserve of as many): what fails at once is hardly ever in
flight. A retry of what no instance has seen needs none: however many there are, each request reaches an instance once.

Pauses are "full jitter": anything between nothing and a bound that doubles, so that requests that failed together do
not come back together.
"""

from __future__ import annotations

from wmesh.model import RetrySpec
from wmesh.policy.backoff import BackoffSpec, nominal
from wmesh.policy.caching.dates import read_date
from wmesh.wire.fields import value_of

STALE = "stale"
STATUS = "server_error"
"""Outcomes that `RetrySpec.on` does not name: a kept connection that had ended, and a status of `retry_statuses`."""

PATIENCE = 6
"""How often a retry looks whether the budget has room, with a pause before each look."""


def objection(
    spec: RetrySpec, attempts: int, outcome: str, request_sent: bool, idempotent: bool, replayable: bool
) -> str:
    """Why a failed attempt is not to be repeated; empty if it may be.

    `attempts` are those made so far. `outcome` is one of `spec.on`, STALE or STATUS. `replayable`: every byte of the
    body sent so far is still held.
    """
    if not spec.attempts:
        return "retry_attempts = 0, which is never"
    if attempts > spec.attempts:
        return f"all {attempts} attempts are made"
    if outcome not in spec.on and outcome not in (STALE, STATUS):
        return f"{outcome} is none of retry_on"
    if request_sent and not idempotent:
        return "it may have been done already, and must not be done twice"
    if not replayable:
        return "its body is not held any more"
    return ""


def again_there(outcome: str, hung: bool) -> bool:
    """May the same instance be asked again where there is nobody else? `hung`: the attempt met a deadline."""
    return not hung and outcome in (STALE, "connect_failed", "reset")


def pause(spec: RetrySpec, retry: int, elsewhere: bool, chance: float) -> float:
    """Seconds before this retry (the first is 1). The first one waits for nothing if it goes to another instance.

    `chance` is in [0, 1).
    """
    if retry <= 1 and elsewhere:
        return 0.0
    return nominal(BackoffSpec(first=spec.backoff, limit=spec.max_backoff), retry) * (1.0 - chance)


LONGEST_WAIT = 999_999


def retry_after(lines: bytes, wall: float) -> int:
    """How many seconds the Retry-After of an answer asks to wait (RFC 9110 section 10.2.3); 0: it is not there, or
    makes no sense.

    It may name a moment instead. That is one by the clock of who sent it, as its Date is; `wall` (seconds since 1970)
    is for where it sent none.
    """
    value = value_of(lines, b"retry-after") or b""
    if value.isdigit():
        return min(int(value[:18]), LONGEST_WAIT)
    moment = read_date(value, wall)
    if moment is None:
        return 0
    now = read_date(value_of(lines, b"date") or b"", wall)
    return max(0, min(moment - (round(wall) if now is None else now), LONGEST_WAIT))


SPAN = 10.0
RESERVE = 100
"""So many retries in SPAN seconds are free in any case."""


class Budget:
    """How many of one service's retries may be in flight, and begin in ten seconds. `active` are those in flight.

    `attempts`, where it is asked for, are all of the service's since it began: what they grow by, less the retries, is
    what they are compared with.
    """

    __slots__ = ("_attempts", "_ends", "_taken", "active", "spec")

    def __init__(self, spec: RetrySpec) -> None:
        self.spec = spec
        self.active = 0
        self._ends = float("-inf")
        self._attempts = 0
        self._taken = 0

    def allowed(self, in_flight: int) -> int:
        """How many retries there may be at once among so many requests."""
        return max(self.spec.budget_least, int(in_flight * self.spec.budget / 100.0))

    def free(self, in_flight: int, attempts: int, now: float) -> bool:
        if now >= self._ends:
            self._ends = now + SPAN
            self._attempts = attempts
            self._taken = 0
        reserve = max(RESERVE, self.spec.budget_least)
        # A retry that nobody could take was none of the attempts.
        first = max(0, attempts - self._attempts - self._taken)
        return self.active < self.allowed(in_flight) and self._taken < reserve + first * self.spec.budget / 100.0

    def take(self, in_flight: int, attempts: int, now: float) -> bool:
        """Begin a retry, if there is room. A yes is paired with one `give_back`."""
        if not self.free(in_flight, attempts, now):
            return False
        self.active += 1
        self._taken += 1
        return True

    def give_back(self) -> None:
        """A retry is over, however it ended."""
        self.active -= 1
