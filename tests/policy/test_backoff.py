"""Pauses grow, end at their limit, are never all the same, and good health makes up for the past."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from wmesh.policy.backoff import RESTART, Backoff, BackoffSpec, nominal


class BackoffTests(SynchronousTestCase):
    def test_doubles_up_to_the_limit(self) -> None:
        """Without chance, the pauses are the documented ones: 0.1 s doubling up to 30 s."""
        backoff = Backoff()
        pauses = [backoff.failed(0.0, 0.0) for _ in range(11)]
        self.assertEqual(pauses, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0])

    def test_good_health_is_a_fresh_start(self) -> None:
        """After a minute of good health the next failure counts as the first again."""
        backoff = Backoff()
        for _ in range(5):
            backoff.failed(0.0, 0.0)
        self.assertEqual(backoff.failed(60.0, 0.0), 0.1)
        self.assertEqual(backoff.failures, 1)

    def test_a_short_life_proves_nothing(self) -> None:
        """Just under a minute of health does not reset: a crash every 59 s goes on slowing down."""
        backoff = Backoff()
        self.assertEqual([backoff.failed(59.9, 0.0) for _ in range(3)], [0.1, 0.2, 0.4])

    def test_chance_only_shortens(self) -> None:
        """Jitter takes at most its share off, so the limit holds for whatever chance says."""
        self.assertAlmostEqual(Backoff().failed(0.0, 1.0), 0.075)

    @given(st.integers(1, 100_000), st.floats(0, 1, exclude_max=True))
    def test_bounds(self, failures: int, chance: float) -> None:
        """However often it failed, a pause is positive and within the limit, and takes no time to compute."""
        self.assertTrue(0 < nominal(RESTART, failures) * (1 - RESTART.jitter * chance) <= RESTART.limit)

    def test_factor_of_one(self) -> None:
        """A constant pause is a backoff, too."""
        self.assertEqual(nominal(BackoffSpec(first=2.0, factor=1.0), 1000), 2.0)
