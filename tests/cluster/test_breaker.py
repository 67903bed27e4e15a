"""Tests of wmesh.cluster.breaker: every state and signal, and every way out of every state."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from wmesh.cluster.breaker import CLOSED, HALF_OPEN, JITTER, OPEN, Breaker, BreakerState, Signal, move
from wmesh.model import BreakerSpec

SPEC = BreakerSpec(
    window=10.0,
    min_calls=4,
    failures=2,
    failure_rate=50.0,
    reset_timeout=5.0,
    max_reset_timeout=20.0,
    trials=3,
    trial_timeout=15.0,
)


def a_breaker(**changes: Any) -> Breaker:
    return Breaker(replace(SPEC, **changes), float, 0.0)


class BreakerCase(SynchronousTestCase):
    def opened(self, now: float = 0.0, **changes: Any) -> Breaker:
        """One that has just opened."""
        breaker = a_breaker(**changes)
        told = [breaker.observe(True, 0.1, 0, now) for _ in range(4)]
        self.assertEqual(told, [False, False, False, True])
        self.assertIs(breaker.state, OPEN)
        return breaker

    def half_open(self, **changes: Any) -> Breaker:
        """One that may be tried from second 5 on."""
        breaker = self.opened(**changes)
        self.assertTrue(breaker.review(5.0))
        self.assertIs(breaker.state, HALF_OPEN)
        return breaker


class TableTests(SynchronousTestCase):
    def test_every_state_and_signal(self) -> None:
        """The picture of the module; whatever is not in it changes nothing."""
        picture = {
            (CLOSED, Signal.TRIPPED): OPEN,
            (OPEN, Signal.TIME_IS_OVER): HALF_OPEN,
            (HALF_OPEN, Signal.TRIALS_PASSED): CLOSED,
            (HALF_OPEN, Signal.TRIAL_FAILED): OPEN,
        }
        for state, signal in product(BreakerState, Signal):
            self.assertIs(move(state, signal), picture.get((state, signal), state), (state, signal))

    def test_every_state_has_a_way_out(self) -> None:
        """No state can stick for want of a signal that leaves it."""
        for state in BreakerState:
            self.assertTrue(any(move(state, signal) is not state for signal in Signal), state)


class TripTests(BreakerCase):
    def test_it_takes_enough_calls_failures_and_share(self) -> None:
        """Each of the three bounds holds by itself; one less of any, and it stays closed."""
        table = (
            ("+++", False),  # too few calls
            ("-+++", False),  # too few failures
            ("--+++", False),  # 40 percent
            ("--++", False),  # a good call is no occasion to judge
            ("++--", True),
            ("+--+--", True),
            ("----", True),
        )
        for calls, trips in table:
            breaker = a_breaker()
            told = [breaker.observe(sign == "-", 0.1, 0, 1.0) for sign in calls]
            self.assertEqual(any(told), trips, calls)
            self.assertIs(breaker.state, OPEN if trips else CLOSED, calls)

    def test_old_failures_have_left(self) -> None:
        """Failures that are older than the window are not added to new ones."""
        breaker = a_breaker()
        for second in (0.0, 0.0, 0.0, 11.0, 11.0, 11.0):
            self.assertFalse(breaker.observe(True, 0.1, 0, second))
        self.assertTrue(breaker.observe(True, 0.1, 0, 11.0))

    def test_slow_calls_trip_too(self) -> None:
        """Where slowness is a fault, good answers that take too long open it; otherwise never."""
        breaker = a_breaker(slow_call=2.0, slow_rate=75.0)
        told = [breaker.observe(False, seconds, 0, 1.0) for seconds in (1.9, 2.0, 2.0, 2.0)]
        self.assertEqual((told, breaker.reason), ([False] * 3 + [True], "3 of 4 calls took 2 s or longer within 10 s"))
        patient = a_breaker()
        self.assertFalse(any(patient.observe(False, 100.0, 0, 1.0) for _ in range(50)))

    def test_it_says_why(self) -> None:
        """What, of how many, and since when."""
        breaker = self.opened(3.0)
        self.assertEqual((breaker.reason, breaker.since), ("4 of 4 calls failed within 10 s", 3.0))
        self.assertEqual((breaker.before, breaker.opened, breaker.generation), (CLOSED, 1, 1))

    def test_one_that_only_counts_never_opens(self) -> None:
        """Switched off it still tells the outlier detection what happened."""
        breaker = a_breaker(enabled=False)
        self.assertFalse(any(breaker.observe(True, 0.1, 0, 1.0) for _ in range(50)))
        self.assertEqual((breaker.window.failures, breaker.permit(1.0), breaker.ready), (50, True, True))


class OpenTests(BreakerCase):
    def test_nobody_passes_until_its_time_is_over(self) -> None:
        """Open means that nothing is asked of it; what still comes back changes nothing."""
        breaker = self.opened()
        self.assertEqual((breaker.permit(4.9), breaker.ready, breaker.next_review()), (False, False, 5.0))
        self.assertFalse(breaker.observe(False, 0.1, 0, 1.0))
        self.assertFalse(breaker.observe(True, 0.1, 1, 1.0))
        breaker.cancel(1)
        self.assertFalse(breaker.review(4.9))
        self.assertIs(breaker.state, OPEN)

    def test_good_news_shorten_it(self) -> None:
        """An instance that passes its checks again is tried at once; a closed breaker has nothing to hasten."""
        breaker = self.opened()
        breaker.hasten(1.0)
        self.assertTrue(breaker.review(1.0))
        self.assertIs(breaker.state, HALF_OPEN)
        until = breaker.until
        breaker.hasten(2.0)
        self.assertEqual(breaker.until, until)

    def test_each_stay_is_twice_as_long_up_to_a_bound(self) -> None:
        """5, 10, 20, 20 seconds for one that fails its trial each time."""
        breaker, now, stays = self.opened(), 0.0, []
        for _ in range(4):
            stays.append(breaker.until - now)
            now = breaker.until
            self.assertTrue(breaker.permit(now))
            self.assertTrue(breaker.observe(True, 0.1, breaker.generation, now))
        self.assertEqual((stays, breaker.opened), ([5.0, 10.0, 20.0, 20.0], 5))

    def test_ages_of_failures_do_not_overflow(self) -> None:
        """After thousands of openings it is still just the longest stay."""
        breaker = self.opened()
        breaker.trips = 100_000
        breaker.review(5.0)
        breaker.permit(5.0)
        breaker.observe(True, 0.1, breaker.generation, 5.0)
        self.assertEqual(breaker.until, 25.0)

    def test_chance_spreads_the_moments(self) -> None:
        """Many gateways do not try at the same moment: each waits up to a fifth longer."""
        breaker = Breaker(SPEC, lambda: 0.5, 0.0)
        for _ in range(4):
            breaker.observe(True, 0.1, 0, 0.0)
        self.assertEqual(breaker.until, 5.0 * (1.0 + JITTER / 2))

    def test_a_good_while_makes_up_for_what_was(self) -> None:
        """Soon again is worse than before; after twice the longest stay in peace it is the first time again."""
        for peace, stay in ((39.0, 10.0), (40.0, 5.0)):
            breaker = self.half_open()
            for _ in range(3):
                breaker.permit(6.0)
                breaker.observe(False, 0.1, breaker.generation, 6.0)
            self.assertIs(breaker.state, CLOSED)
            now = 6.0 + peace
            for _ in range(4):
                breaker.observe(True, 0.1, breaker.generation, now)
            self.assertEqual(breaker.until - now, stay)


class HalfOpenTests(BreakerCase):
    def test_a_counted_number_is_let_through(self) -> None:
        """Three trials and not one more, until they are back."""
        breaker = self.half_open()
        self.assertEqual([breaker.permit(5.0) for _ in range(5)], [True] * 3 + [False] * 2)
        self.assertEqual((breaker.trying, breaker.ready), (False, False))

    def test_all_trials_good_closes_it_with_a_clean_slate(self) -> None:
        """It takes all of them; then what was before is forgotten."""
        breaker = self.half_open()
        told = []
        for _ in range(3):
            self.assertTrue(breaker.permit(5.0))
            told.append(breaker.observe(False, 0.1, breaker.generation, 5.5))
        self.assertEqual((told, breaker.state, breaker.window.calls), ([False, False, True], CLOSED, 0))
        self.assertEqual(breaker.next_review(), float("inf"))

    def test_one_bad_trial_opens_it(self) -> None:
        """A failure, or a slow answer where that is a fault."""
        for failed, seconds, reason in ((True, 0.1, "a trial failed"), (False, 2.0, "a trial was slow")):
            breaker = self.half_open(slow_call=2.0)
            breaker.permit(5.0)
            self.assertTrue(breaker.observe(failed, seconds, breaker.generation, 5.5))
            self.assertEqual((breaker.state, breaker.reason, breaker.before), (OPEN, reason, HALF_OPEN))

    def test_what_was_sent_before_is_no_evidence(self) -> None:
        """Requests from before the trip neither close it nor open it again, and give no permit back."""
        breaker = self.half_open()
        for _ in range(3):
            breaker.permit(5.0)
        for old in (0, 1):
            self.assertFalse(breaker.observe(False, 0.1, old, 5.5))
            self.assertFalse(breaker.observe(True, 0.1, old, 5.5))
            breaker.cancel(old)
        self.assertEqual((breaker.state, breaker.trying), (HALF_OPEN, False))

    def test_a_cancelled_trial_gives_its_permit_back(self) -> None:
        """Clients that leave, a thousand of them, neither use the trials up nor add to them."""
        breaker = self.half_open()
        for _ in range(1000):
            self.assertTrue(breaker.permit(5.0))
            breaker.cancel(breaker.generation)
        self.assertEqual([breaker.permit(5.0) for _ in range(4)], [True] * 3 + [False])
        breaker.observe(False, 0.1, breaker.generation, 5.0)
        for _ in range(9):
            breaker.cancel(breaker.generation)
        self.assertEqual([breaker.permit(5.0) for _ in range(3)], [True] * 2 + [False])

    def test_trials_that_never_come_back_open_it(self) -> None:
        """An instance that accepts and says nothing has failed its trial when the time is over."""
        breaker = self.half_open()
        breaker.permit(5.0)
        self.assertFalse(breaker.review(19.9))
        self.assertTrue(breaker.review(20.0))
        self.assertEqual((breaker.state, breaker.reason), (OPEN, "no trial came back within 15 s"))

    def test_nobody_was_sent(self) -> None:
        """Without traffic it waits, permits and all, for as long as it takes."""
        breaker = self.half_open()
        for now in (20.0, 1000.0, 1e6):
            self.assertFalse(breaker.review(now))
            self.assertGreater(breaker.next_review(), now)
        self.assertEqual([breaker.permit(1e6) for _ in range(4)], [True] * 3 + [False])

    def test_another_round_for_those_that_hang(self) -> None:
        """One came back well and two hang: two more are sent, and the hanging ones count no more, either way."""
        breaker = self.half_open()
        for _ in range(3):
            breaker.permit(5.0)
        first = breaker.generation
        breaker.observe(False, 0.1, first, 6.0)
        self.assertFalse(breaker.review(20.0))
        self.assertFalse(breaker.observe(True, 15.0, first, 20.0))
        for _ in range(2):
            breaker.cancel(first)
        self.assertEqual([breaker.permit(20.0) for _ in range(3)], [True, True, False])
        second = breaker.generation
        self.assertFalse(breaker.observe(False, 0.1, second, 21.0))
        self.assertTrue(breaker.observe(False, 0.1, second, 21.0))
        self.assertIs(breaker.state, CLOSED)

    def test_a_round_without_any_success_opens_it(self) -> None:
        """What went well in an earlier round does not keep it half open while everything hangs."""
        breaker = self.half_open()
        for _ in range(3):
            breaker.permit(5.0)
        breaker.observe(False, 0.1, breaker.generation, 6.0)
        breaker.review(20.0)
        breaker.permit(20.0)
        self.assertTrue(breaker.review(35.0))
        self.assertIs(breaker.state, OPEN)
