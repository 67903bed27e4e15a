"""The circuit breaker: who keeps failing requests is left alone for a while, then tried with a few.

```
              enough calls in the window failed, or were slow
    CLOSED ─────────────────────────────────────────────────────► OPEN
      ▲                                                            │ ▲
      │ every trial went well                     its time is over │ │ a trial failed,
      │                                                            ▼ │ or none came back in time
      └──────────────────────────────────────────────────────── HALF_OPEN
```
Strategy: pure numbers. Each stay in OPEN is twice as long as the one before, up to a bound, with jitter so that many
gateways do not try at the same moment; a good while in CLOSED forgets that. HALF_OPEN hands out a counted number of
permits. Every state has a *generation*: a ticket remembers the one it was given in, and results of another one are no
evidence, so requests that were sent before the trip cannot close or trip anything later. A trial that was cancelled
gives its permit back, and trials that do not come back in time are given up: where none did, it opens again; where
some went well, another round (with a generation of its own) tries the rest. So no permit is ever lost, never are more
than the counted trials out that matter, and no state sticks (resilience4j waits for ever by default; its issue 903).

The same object guards one instance or a whole service. What counts as a failure is decided by who calls `observe`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping

from wmesh.cluster.window import Window
from wmesh.model import BreakerSpec

JITTER = 0.2


class BreakerState(enum.IntEnum):
    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2


class Signal(enum.IntEnum):
    TRIPPED = 0
    TIME_IS_OVER = 1
    TRIALS_PASSED = 2
    TRIAL_FAILED = 3


# WHY: see `wmesh.cluster.cluster`: names of the module are read faster than members of a class.
CLOSED = BreakerState.CLOSED
OPEN = BreakerState.OPEN
HALF_OPEN = BreakerState.HALF_OPEN

_MOVES: Mapping[tuple[BreakerState, Signal], BreakerState] = {
    (CLOSED, Signal.TRIPPED): OPEN,
    (OPEN, Signal.TIME_IS_OVER): HALF_OPEN,
    (HALF_OPEN, Signal.TRIALS_PASSED): CLOSED,
    (HALF_OPEN, Signal.TRIAL_FAILED): OPEN,
}


def move(state: BreakerState, signal: Signal) -> BreakerState:
    """The state after this signal; signals that mean nothing in a state change nothing."""
    return _MOVES.get((state, signal), state)


class Breaker:
    """`reason` says why it is in its state, `since` from when on, `before` what it was until then; `until` is when OPEN
    ends or a round of trials does. `plain`: a good call only has to be counted.

    One whose spec is not `enabled` only counts, for those who look at its `window`; it never opens by itself.
    `chance` answers numbers in [0, 1). `trips` counts openings since it was last well for long, `opened` all of them.
    """

    __slots__ = (
        "_chance",
        "_passed",
        "_permits",
        "_round",
        "_spec",
        "before",
        "generation",
        "opened",
        "plain",
        "reason",
        "since",
        "state",
        "trips",
        "until",
        "window",
    )

    def __init__(self, spec: BreakerSpec, chance: Callable[[], float], now: float) -> None:
        self._spec = spec
        self._chance = chance
        self._permits = 0
        self._passed = 0
        self._round = 0
        self.window = Window(spec.window)
        self.state = self.before = CLOSED
        self.plain = not spec.slow_call
        self.reason = ""
        self.since = now
        self.until = now
        self.generation = 0
        self.trips = 0
        self.opened = 0

    def observe(self, failed: bool, seconds: float, generation: int, now: float) -> bool:
        """A call that was permitted in `generation` ended after `seconds`. True if the state changed."""
        if generation != self.generation:
            return False
        spec = self._spec
        slow = 0.0 < spec.slow_call <= seconds
        if self.state is CLOSED:
            window = self.window
            window.add(failed, slow, seconds, now)
            if (failed or slow) and spec.enabled and window.calls >= spec.min_calls:
                return self._judge(window, now)
            return False
        if self.state is not HALF_OPEN:
            return False
        if failed or slow:
            return self._signal(Signal.TRIAL_FAILED, "a trial failed" if failed else "a trial was slow", now)
        self._passed += 1
        self._round += 1
        if self._passed >= spec.trials:
            return self._signal(Signal.TRIALS_PASSED, f"{self._passed} trials went well", now)
        return False

    def permit(self, now: float) -> bool:
        """May one more call be made? In HALF_OPEN this takes a permit: `observe` or `cancel` has to follow."""
        if self.state is CLOSED:
            return True
        self.review(now)
        if self.state is not HALF_OPEN or not self._permits:
            return False
        self._permits -= 1
        return True

    @property
    def trying(self) -> bool:
        """It is HALF_OPEN and has permits left."""
        return self.state is HALF_OPEN and self._permits > 0

    @property
    def ready(self) -> bool:
        """It would permit one more call."""
        return self.state is CLOSED or self.trying

    def cancel(self, generation: int) -> None:
        """A permitted call ended without evidence: its permit can be used again."""
        if generation == self.generation and self.state is HALF_OPEN:
            self._permits = min(self._permits + 1, self._spec.trials - self._passed)

    def review(self, now: float) -> bool:
        """Do what time alone brings. True if the state changed."""
        if self.state is CLOSED or now < self.until:
            return False
        if self.state is OPEN:
            return self._signal(Signal.TIME_IS_OVER, "it may be tried again", now)
        spec = self._spec
        out = spec.trials - self._passed - self._permits
        if out > 0:
            if not self._round:
                return self._signal(Signal.TRIAL_FAILED, f"no trial came back within {spec.trial_timeout:g} s", now)
            # Some did well and the others take too long: those are given up, whatever will become of them.
            self._permits += out
            self._round = 0
            self.generation += 1
        self.until = now + spec.trial_timeout
        return False

    def hasten(self, now: float) -> None:
        """There is news that it is well: if it is OPEN, it may be tried now."""
        if self.state is OPEN:
            self.until = min(self.until, now)

    def next_review(self) -> float:
        """When `review` may have something to do."""
        return float("inf") if self.state is CLOSED else self.until

    def _judge(self, window: Window, now: float) -> bool:
        spec = self._spec
        calls = window.calls
        if window.failures >= spec.failures and window.failures * 100.0 >= spec.failure_rate * calls:
            what = f"{window.failures} of {calls} calls failed within {spec.window:g} s"
        elif spec.slow_call and window.slow * 100.0 >= spec.slow_rate * calls:
            what = f"{window.slow} of {calls} calls took {spec.slow_call:g} s or longer within {spec.window:g} s"
        else:
            return False
        return self._signal(Signal.TRIPPED, what, now)

    def _signal(self, signal: Signal, reason: str, now: float) -> bool:
        spec = self._spec
        old, new = self.state, move(self.state, signal)
        if new is old:
            return False
        self.before, self.state = old, new
        self.plain = new is CLOSED and not spec.slow_call
        if self.state is OPEN:
            if old is CLOSED and now - self.since >= 2.0 * spec.max_reset_timeout:
                self.trips = 0
            self.trips += 1
            self.opened += 1
            stay = min(spec.reset_timeout * 2.0 ** min(self.trips - 1, 30), spec.max_reset_timeout)
            self.until = now + stay * (1.0 + JITTER * self._chance())
        elif self.state is HALF_OPEN:
            self._permits = spec.trials
            self._passed = self._round = 0
            self.until = now + spec.trial_timeout
        else:
            self.window.clear()
        self.generation += 1
        self.reason = reason
        self.since = now
        return True
