"""Tests of wmesh.policy.retry."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from wmesh.model import RetrySpec
from wmesh.policy.retry import (
    LONGEST_WAIT,
    RESERVE,
    SPAN,
    STALE,
    STATUS,
    Budget,
    again_there,
    objection,
    pause,
    retry_after,
)

BOTH = (False, True)
SPEC = RetrySpec()
FAILURES = (*SPEC.on, STALE, STATUS)


class ObjectionTests(SynchronousTestCase):
    def test_nothing_sent(self) -> None:
        """An instance that saw nothing did nothing: any request may go elsewhere, a POST too, if its body is held."""
        for idempotent in BOTH:
            self.assertEqual(objection(SPEC, 1, "connect_failed", False, idempotent, True), "")
            self.assertIn("body", objection(SPEC, 1, "connect_failed", False, idempotent, False))

    def test_something_sent(self) -> None:
        """What may have been done once is done again only where twice is the same as once."""
        for outcome in FAILURES:
            self.assertEqual(objection(SPEC, 1, outcome, True, True, True), "")
            self.assertIn("twice", objection(SPEC, 1, outcome, True, False, True))
            self.assertIn("body", objection(SPEC, 1, outcome, True, True, False))

    def test_it_ends(self) -> None:
        """Not more attempts than allowed, so that a failing service is not asked ever more often."""
        for allowed, attempts, sent in product(range(1, 5), range(1, 8), BOTH):
            why = objection(replace(SPEC, attempts=allowed), attempts, "connect_failed", sent, True, True)
            self.assertIs(why == "", attempts <= allowed, (allowed, attempts))

    def test_never(self) -> None:
        """With no retries at all nothing is repeated, whatever it is."""
        for outcome, sent in product(FAILURES, BOTH):
            self.assertIn("never", objection(replace(SPEC, attempts=0), 1, outcome, sent, True, True))

    def test_only_what_is_asked_for(self) -> None:
        """A failure that retry_on does not name is shown; a kept connection that ended is none of them."""
        for wanted in SPEC.on:
            spec = replace(SPEC, on=(wanted,))
            found = [outcome for outcome in SPEC.on if not objection(spec, 1, outcome, True, True, True)]
            self.assertEqual(found, [wanted])
            self.assertEqual(objection(spec, 1, STALE, True, True, True), "")
            self.assertEqual(objection(spec, 1, STATUS, True, True, True), "")


class AgainThereTests(SynchronousTestCase):
    def test_only_what_failed_at_once(self) -> None:
        """Who hangs, answers nonsense or answers with a status is not asked twice by one request."""
        again = [outcome for outcome in FAILURES if again_there(outcome, False)]
        self.assertEqual(again, ["connect_failed", "reset", STALE])
        self.assertFalse(any(again_there(outcome, True) for outcome in FAILURES))


class PauseTests(SynchronousTestCase):
    def test_the_first_elsewhere_waits_for_nothing(self) -> None:
        for chance in (0.0, 0.5, 0.999):
            self.assertEqual(pause(SPEC, 1, True, chance), 0.0)

    def test_it_doubles_up_to_its_bound(self) -> None:
        """The longest that each may be: 25, 50, 100, 200, 250, 250 ms."""
        longest = [pause(SPEC, retry, False, 0.0) for retry in range(1, 7)]
        self.assertEqual(longest, [0.025, 0.05, 0.1, 0.2, 0.25, 0.25])
        self.assertEqual(pause(SPEC, 2, True, 0.0), 0.05)

    def test_full_jitter(self) -> None:
        """Chance takes any part of it away, so that what failed together does not come back together."""
        self.assertEqual([pause(SPEC, 2, False, chance) for chance in (0.0, 0.5, 0.75)], [0.05, 0.025, 0.0125])


class BudgetTests(SynchronousTestCase):
    def test_a_share_of_the_requests_in_flight(self) -> None:
        budget = Budget(SPEC)
        self.assertEqual([budget.allowed(count) for count in (0, 1, 15, 19, 20, 100, 1000)], [3, 3, 3, 3, 4, 20, 200])

    def test_take_and_give_back(self) -> None:
        """When it is used up there is no more, until one is over."""
        budget = Budget(replace(SPEC, budget_least=2))
        self.assertEqual([budget.take(1, 0, 0.0) for _ in range(4)], [True, True, False, False])
        self.assertEqual(budget.active, 2)
        budget.give_back()
        self.assertTrue(budget.free(1, 0, 0.0))
        self.assertTrue(budget.take(1, 0, 0.0))
        self.assertFalse(budget.free(1, 0, 0.0))
        self.assertTrue(budget.free(15, 0, 0.0))

    def test_what_fails_at_once(self) -> None:
        """It is hardly ever in flight: in ten seconds no more than a share of the requests is tried again, beyond a
        reserve; then it begins anew."""
        budget, attempts, retries = Budget(SPEC), 0, 0
        for _ in range(1000):
            attempts += 1
            if budget.take(1, attempts, 5.0):
                attempts += 1
                retries += 1
                budget.give_back()
        self.assertEqual(retries, RESERVE + 1000 * 20 // 100)
        self.assertFalse(budget.free(1, attempts, 5.0 + 0.99 * SPAN))
        self.assertTrue(budget.free(1, attempts, 5.0 + SPAN))

    def test_a_larger_reserve(self) -> None:
        """Who allows more retries at once allows them in ten seconds, too."""
        budget = Budget(replace(SPEC, budget_least=500))
        self.assertTrue(all(budget.take(1, 0, 0.0) for _ in range(500)))
        self.assertFalse(budget.take(1, 0, 0.0))


NOON = 1738324800.0
"""Fri, 31 Jan 2025 12:00:00 GMT"""


class RetryAfterTests(SynchronousTestCase):
    def wait(self, value: bytes, *fields: bytes) -> int:
        return retry_after(b"\r\n" + b"".join(b"%b\r\n" % field for field in (b"Retry-After: " + value, *fields)), NOON)

    def test_seconds(self) -> None:
        for value, seconds in ((b"7", 7), (b"0", 0), (b"007", 7), (b"9" * 5000, LONGEST_WAIT)):
            self.assertEqual(self.wait(value), seconds, value[:20])

    def test_a_moment(self) -> None:
        """In each spelling of a date that HTTP has had; what has passed is no wait."""
        for value, seconds in (
            (b"Fri, 31 Jan 2025 12:00:30 GMT", 30),
            (b"Friday, 31-Jan-25 12:00:30 GMT", 30),
            (b"Fri Jan 31 12:00:30 2025", 30),
            (b"Fri, 31 Jan 2025 11:59:59 GMT", 0),
            (b"Fri, 31 Jan 9999 12:00:00 GMT", LONGEST_WAIT),
        ):
            self.assertEqual(self.wait(value), seconds, value)

    def test_by_the_clock_of_who_says_so(self) -> None:
        """An instance whose clock is wrong means its own time; where it tells none, it is ours."""
        self.assertEqual(self.wait(b"Sun, 06 Nov 1994 08:49:37 GMT", b"Date: Sun, 06 Nov 1994 08:49:30 GMT"), 7)
        self.assertEqual(self.wait(b"Fri, 31 Jan 2025 12:00:07 GMT", b"Date: now"), 7)

    def test_nonsense(self) -> None:
        for value in (b"", b"soon", b"-1", b"1.5", b"7 s", b"Fri, 99 Foo 2025", b"Fri, 31 Foo 2025 1:1:1 GMT", b"\xff"):
            self.assertEqual(self.wait(value), 0, value)
        self.assertEqual(retry_after(b"\r\nServer: x\r\n", NOON), 0)
