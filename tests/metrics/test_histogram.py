"""Tests of wmesh.metrics.histogram."""

from __future__ import annotations

from itertools import pairwise
from math import ceil

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from wmesh.metrics.histogram import BOUNDS, Histogram, merged


def seen(*seconds: float) -> Histogram:
    histogram = Histogram()
    for value in seconds:
        histogram.observe(value)
    return histogram


class BoundsTests(SynchronousTestCase):
    def test_they_span_half_a_millisecond_to_a_minute_evenly(self) -> None:
        """Each bound is a fixed step above the one before, so the error is the same share everywhere."""
        self.assertEqual((BOUNDS[0], BOUNDS[-1]), (0.0005, 60.0))
        steps = [upper / lower for lower, upper in pairwise(BOUNDS)]
        self.assertTrue(all(1.19 < step < 1.29 for step in steps), steps)


class HistogramTests(SynchronousTestCase):
    def test_nothing_is_known_at_first(self) -> None:
        """Without an observation there is no percentile and no mean, rather than a zero."""
        histogram = Histogram()
        self.assertEqual((histogram.count, histogram.total), (0, 0.0))
        self.assertEqual((histogram.mean, histogram.percentile(0.5)), (None, None))

    def test_count_total_and_mean_are_exact(self) -> None:
        """Only percentiles are estimates."""
        histogram = seen(0.25, 0.5, 0.75)
        self.assertEqual((histogram.count, histogram.total, histogram.mean), (3, 1.5, 0.5))

    def test_percentiles_are_drawn_inside_the_bucket(self) -> None:
        """A hundred answers spread over one bucket give values along it, not all its upper bound."""
        histogram = seen(*[0.0045] * 100)
        self.assertAlmostEqual(histogram.percentile(0.5), 0.0045)
        self.assertAlmostEqual(histogram.percentile(1.0), 0.005)
        self.assertAlmostEqual(histogram.percentile(0.0), 0.004)

    def test_the_slow_few_show(self) -> None:
        """Ninety-nine quick answers and one slow one: the median is quick, the slowest hundredth is not."""
        histogram = seen(*[0.002] * 980, *[2.0] * 20)
        self.assertLessEqual(histogram.percentile(0.5), 0.002)
        self.assertTrue(1.6 <= histogram.percentile(0.99) <= 2.0)

    def test_a_bound_belongs_to_its_bucket(self) -> None:
        """Bounds are inclusive, as Prometheus has it."""
        self.assertEqual([seen(bound).counts.index(1) for bound in BOUNDS], list(range(len(BOUNDS))))

    def test_longer_than_the_longest(self) -> None:
        """What took more than a minute is told as a minute, and still counted in the mean."""
        histogram = seen(600.0)
        self.assertEqual((histogram.percentile(0.5), histogram.mean), (60.0, 600.0))

    def test_a_share_is_not_a_percentage(self) -> None:
        """Asking for percentile 99 instead of 0.99 is an error, not the maximum."""
        self.assertRaises(ValueError, Histogram().percentile, 99)

    def test_several_make_one(self) -> None:
        """Histograms of services add up to that of the mesh, and stay as they are."""
        one, other = seen(0.001, 0.002), seen(3.0)
        whole = merged([one, other])
        self.assertEqual((whole.count, whole.total), (3, 3.003))
        self.assertEqual((one.count, other.count), (2, 1))

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.floats(0.00051, 59.0), min_size=1, max_size=200), st.floats(0.0, 1.0))
    def test_percentiles_are_right_within_a_bucket(self, values: list[float], q: float) -> None:
        """Whatever was observed, the estimate is in the bucket of the true value, or touches it."""
        histogram = seen(*values)
        true = sorted(values)[max(0, ceil(q * len(values)) - 1)]
        estimate = histogram.percentile(q)
        assert estimate is not None
        self.assertTrue(true / 1.3 <= estimate <= true * 1.3, (true, estimate))
