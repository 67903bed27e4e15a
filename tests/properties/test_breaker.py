"""What breakers promise under any history: right statistics, no lost trial, and always a way back."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from wmesh.cluster.breaker import CLOSED, HALF_OPEN, OPEN, Breaker
from wmesh.cluster.health import ActiveHealth
from wmesh.cluster.window import SLOTS, Window
from wmesh.model import BreakerSpec, CheckSpec, Health

quick = settings(max_examples=150, deadline=None)

# Sixteenths: times and seconds add up exactly, so that the reference need not round.
STEPS = st.integers(0, 400).map(lambda sixteenths: sixteenths / 16)
CALLS = st.lists(st.tuples(STEPS, st.booleans(), st.booleans(), STEPS), max_size=60)


class NaiveWindow:
    """Every call with its moment, counted anew each time: slots are worked out from the moments alone."""

    def __init__(self, span: float, now: float) -> None:
        self.width = span / SLOTS
        self.begin = now
        self.now = now
        self.calls: list[tuple[float, bool, bool, float]] = []

    def add(self, failed: bool, slow: bool, seconds: float, now: float) -> None:
        self.now = max(self.now, now)
        self.calls.append((self.now, failed, slow, seconds))

    def totals(self, now: float) -> tuple[float, float, float, float]:
        self.now = max(self.now, now)
        slot = (self.now - self.begin) // self.width
        kept = [call for call in self.calls if (call[0] - self.begin) // self.width > slot - SLOTS]
        return len(kept), sum(c[1] for c in kept), sum(c[2] for c in kept), sum(c[3] for c in kept)


class WindowTests(SynchronousTestCase):
    @quick
    @given(CALLS, st.sampled_from((1.25, 2.5, 5.0, 10.0, 40.0)))
    def test_totals_are_those_of_a_list_of_moments(
        self, calls: list[tuple[float, bool, bool, float]], span: float
    ) -> None:
        """Whatever comes when, calls, failures, slow ones and time are what counting a list by hand gives. (With the
        first call, and after a silence longer than itself, the window begins anew: slots are compared from there.)"""
        now = 0.0
        window, naive = Window(span), NaiveWindow(span, now)
        for number, (step, failed, slow, seconds) in enumerate(calls):
            if step >= span or not number:
                window, naive = Window(span), NaiveWindow(span, now + step)
            now += step
            window.add(failed, slow, seconds, now)
            naive.add(failed, slow, seconds, now)
            self.assertEqual((window.calls, window.failures, window.slow, window.seconds), naive.totals(now))

    @quick
    @given(CALLS)
    def test_nothing_is_counted_longer_than_the_window(self, calls: list[tuple[float, bool, bool, float]]) -> None:
        """And nothing is forgotten before nine tenths of it, silences or not."""
        now, moments = 0.0, []
        window = Window(10.0)
        for step, failed, slow, seconds in calls:
            now += step
            window.add(failed, slow, seconds, now)
            moments.append(now)
            self.assertGreaterEqual(window.calls, sum(now - moment < 9.0 for moment in moments))
            self.assertLessEqual(window.calls, sum(now - moment < 10.0 for moment in moments))


SPECS = st.builds(
    BreakerSpec,
    window=st.sampled_from((1.0, 10.0)),
    min_calls=st.integers(1, 6),
    failures=st.integers(1, 4),
    failure_rate=st.sampled_from((1.0, 50.0, 100.0)),
    slow_call=st.sampled_from((0.0, 2.0)),
    reset_timeout=st.sampled_from((0.5, 5.0)),
    max_reset_timeout=st.sampled_from((5.0, 60.0)),
    trials=st.integers(1, 4),
    trial_timeout=st.sampled_from((1.0, 15.0)),
)
INPUTS = st.lists(
    st.one_of(
        st.tuples(st.just("permit"), st.just(0), st.just(0.0)),
        st.tuples(st.just("ok"), st.integers(0, 30), st.sampled_from((0.1, 3.0))),
        st.tuples(st.just("failed"), st.integers(0, 30), st.sampled_from((0.0, 3.0))),
        st.tuples(st.just("cancel"), st.integers(0, 30), st.just(0.0)),
        st.tuples(st.just("time"), st.just(0), st.sampled_from((0.25, 1.0, 6.0, 15.0, 80.0))),
    ),
    max_size=80,
)


class History:
    """A breaker with any history: who was permitted comes back in any order, or never."""

    def __init__(self, case: SynchronousTestCase, spec: BreakerSpec, seed: int) -> None:
        self.case = case
        self.spec = spec
        self.now = 0.0
        self.breaker = Breaker(spec, Random(seed).random, 0.0)
        self.out: list[tuple[int, float]] = []
        """The generation of each call that is on its way, and since when."""

    def take(self, what: str, which: int, value: float) -> None:
        breaker = self.breaker
        before = breaker.state
        if what == "time":
            self.now += value
            breaker.review(self.now)
        elif what == "permit":
            if breaker.permit(self.now):
                self.out.append((breaker.generation, self.now))
        elif self.out:
            generation, _ = self.out.pop(which % len(self.out))
            if what == "cancel":
                breaker.cancel(generation)
            else:
                told = breaker.observe(what == "failed", value, generation, self.now)
                self.case.assertEqual(told, breaker.state is not before)
        self.check()

    def check(self) -> None:
        breaker, case = self.breaker, self.case
        trials = sum(generation == breaker.generation for generation, _ in self.out)
        if breaker.state is HALF_OPEN:
            # Those on their way, those that may still go, and those that went well: never more, never fewer.
            case.assertEqual(trials + breaker._permits + breaker._passed, self.spec.trials)
        if breaker.state is OPEN:
            case.assertEqual(trials, 0)
            longest = self.spec.max_reset_timeout * 1.2
            case.assertLessEqual(breaker.until - breaker.since, max(longest, self.spec.reset_timeout * 1.2))
        case.assertEqual(breaker.ready, breaker.state is CLOSED or breaker.trying)


class BreakerTests(SynchronousTestCase):
    @quick
    @given(SPECS, INPUTS, st.integers(0, 99))
    def test_trials_are_neither_lost_nor_doubled(
        self, spec: BreakerSpec, inputs: list[tuple[str, int, float]], seed: int
    ) -> None:
        """In every state, whatever comes back, late, cancelled, or never."""
        history = History(self, spec, seed)
        for one in inputs:
            history.take(*one)

    @quick
    @given(SPECS, INPUTS, st.integers(0, 99))
    def test_it_never_sticks(self, spec: BreakerSpec, inputs: list[tuple[str, int, float]], seed: int) -> None:
        """From wherever any history has led it, good traffic closes it: when its time to be open is over, after at
        most one round of trials that will not come back any more, each call that is let through being answered."""
        history = History(self, spec, seed)
        for one in inputs:
            history.take(*one)
        breaker, begin = history.breaker, history.now
        bound = 2 * (1.2 * max(spec.max_reset_timeout, spec.reset_timeout) + spec.trial_timeout) + 5.0
        now = begin
        while breaker.state is not CLOSED:
            now += 0.25
            self.assertLess(now - begin, bound, breaker.reason)
            if breaker.permit(now):
                breaker.observe(False, 0.01, breaker.generation, now)


class HealthTests(SynchronousTestCase):
    @quick
    @given(st.integers(1, 5), st.integers(1, 5), st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=40))
    def test_flips_as_counted_by_hand(self, rise: int, fall: int, results: list[tuple[bool, int]]) -> None:
        """Every state, every result: a row of `fall` takes out, a row of `rise` brings back, the first good one is
        believed, and proof (one result in ten) at once."""
        health = ActiveHealth(CheckSpec(rise=rise, fall=fall), 0.0)
        state, row, proven = Health.UNKNOWN, 0, False
        for ok, dice in results:
            proof = not ok and dice == 0
            good = state is Health.HEALTHY
            against = ok != good or state is Health.UNKNOWN
            row = row + 1 if against else 0
            if state is Health.UNKNOWN and ok:
                needed = 1
            else:
                needed = rise if ok else fall
            flips = against and (row >= needed or proof)
            if flips:
                state, row = Health.HEALTHY if ok else Health.UNHEALTHY, 0
            self.assertEqual(health.observe(ok, "as it was", 0.0, proof), flips)
            self.assertIs(health.state, state)
            proven = ok or (proven and not proof)
            self.assertEqual(health.proven, proven)
