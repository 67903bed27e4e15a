"""Tests of wmesh.cluster.gradient: a limit that finds itself, and finds back."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.cluster.gradient import PERIOD, SAMPLES, Gradient
from wmesh.model import AdaptiveSpec


class GradientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 0.0
        self.gradient = Gradient(AdaptiveSpec(True, 5, 200), 0.0)

    def periods(self, count: int, seconds: float, in_flight: int | None = None) -> None:
        """So many looks, with answers that take so long; by default as many in flight as may be."""
        for _ in range(count):
            self.now += PERIOD
            used = self.gradient.limit if in_flight is None else in_flight
            for _ in range(SAMPLES):
                self.gradient.observe(seconds, used, self.now)

    def test_where_it_begins(self) -> None:
        """Twenty, within the bounds."""
        for least, most, limit in ((5, 200, 20), (50, 200, 50), (1, 8, 8)):
            self.assertEqual(Gradient(AdaptiveSpec(True, least, most), 0.0).limit, limit)

    def test_it_grows_while_answers_are_as_fast_as_usual(self) -> None:
        """Up to the bound, and no further."""
        self.periods(20, 0.05)
        self.assertGreater(self.gradient.limit, 30)
        self.periods(1000, 0.05)
        self.assertEqual(self.gradient.limit, 200)

    def test_it_shrinks_when_they_take_longer(self) -> None:
        """Requests that queue inside the instances are held back here; never below the bound."""
        self.periods(100, 0.05)
        before = self.gradient.limit
        self.periods(10, 0.5)
        self.assertLess(self.gradient.limit, before / 2)
        self.periods(20, 5.0)
        self.assertGreaterEqual(self.gradient.limit, 5)

    def test_it_finds_back(self) -> None:
        """When the overload is over the limit grows again: nothing sticks."""
        self.periods(100, 0.05)
        self.periods(200, 1.0)
        self.periods(1000, 0.05)
        self.assertEqual(self.gradient.limit, 200)

    def test_a_limit_that_is_not_used_is_left_alone(self) -> None:
        """Slow answers to two requests at a time say nothing about twenty."""
        self.periods(10, 0.05)
        before = self.gradient.limit
        self.periods(50, 5.0, in_flight=2)
        self.assertEqual(self.gradient.limit, before)

    def test_few_answers_are_not_looked_at(self) -> None:
        """However long it takes until there are enough."""
        for _ in range(SAMPLES - 1):
            self.now += 10.0
            self.assertFalse(self.gradient.observe(0.05, 20, self.now))
        self.assertEqual(self.gradient.usual, 0.0)

    def test_answers_in_no_time(self) -> None:
        """Zero seconds is possible by a coarse clock, and divides nothing."""
        self.periods(10, 0.0)
        self.assertGreaterEqual(self.gradient.limit, 20)
