"""Tests of wmesh.policy.retry."""

from __future__ import annotations

from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from wmesh.policy.retry import MAX_ATTEMPTS, may_retry

BOTH = (False, True)


class MayRetryTests(SynchronousTestCase):
    def test_nothing_sent(self) -> None:
        """An instance that saw nothing did nothing: any request may go elsewhere, a POST too, if its body is held."""
        for idempotent in BOTH:
            self.assertTrue(may_retry(1, False, False, idempotent, True))
            self.assertFalse(may_retry(1, False, False, idempotent, False))

    def test_something_sent(self) -> None:
        """What may have been done once is done again only where twice is the same as once."""
        self.assertTrue(may_retry(1, True, False, True, True))
        self.assertFalse(may_retry(1, True, False, False, True))
        self.assertFalse(may_retry(1, True, False, True, False))

    def test_an_answer_has_begun(self) -> None:
        """The client has seen it: whatever else is true, there is no second beginning."""
        for attempts, sent, idempotent, replayable in product((0, 1, 2), BOTH, BOTH, BOTH):
            self.assertFalse(may_retry(attempts, sent, True, idempotent, replayable))

    def test_it_ends(self) -> None:
        """Not more attempts than allowed, so that a failing service is not asked ever more often."""
        for attempts in range(MAX_ATTEMPTS + 3):
            for sent in BOTH:
                self.assertIs(may_retry(attempts, sent, False, True, True), attempts < MAX_ATTEMPTS)
