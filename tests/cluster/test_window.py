"""Tests of wmesh.cluster.window: what counts still, and what has left. A naive reference is in tests/properties."""

from __future__ import annotations

import gc

from twisted.trial.unittest import SynchronousTestCase

from wmesh.cluster.window import SLOTS, Window


class WindowTests(SynchronousTestCase):
    def totals(self, window: Window) -> tuple[float, float, float, float]:
        return window.calls, window.failures, window.slow, window.seconds

    def test_what_happened_is_added_up(self) -> None:
        """Calls, failures, slow calls and time: each in its own total, and the mean from them."""
        window = Window(10.0)
        self.assertEqual((self.totals(window), window.mean), ((0, 0, 0, 0.0), 0.0))
        window.add(False, False, 1.0, 0.0)
        window.add(True, False, 2.0, 0.5)
        window.add(True, True, 6.0, 0.9)
        self.assertEqual((self.totals(window), window.mean), ((3, 2, 1, 9.0), 3.0))

    def test_a_call_counts_for_the_window_and_no_longer(self) -> None:
        """At least nine and at most ten tenths of the span, slot by slot."""
        for begun in (0.0, 0.5, 0.99):
            window = Window(10.0)
            window.add(True, True, 1.0, begun)
            window.slide(begun + 9.0)
            self.assertEqual(self.totals(window), (1, 1, 1, 1.0), begun)
            window.slide(begun + 10.0)
            self.assertEqual(self.totals(window), (0, 0, 0, 0.0), begun)

    def test_slots_leave_one_by_one(self) -> None:
        """A steady stream has a steady total: what comes in at one end leaves at the other."""
        window = Window(10.0)
        for second in range(40):
            window.add(second % 2 == 0, False, 0.5, 100.0 + second)
        self.assertEqual(self.totals(window), (SLOTS, SLOTS / 2, 0, SLOTS * 0.5))

    def test_after_a_long_silence_it_is_empty(self) -> None:
        """However long nothing happened, the next call stands alone."""
        window = Window(10.0)
        window.add(True, True, 1.0, 0.0)
        window.add(False, False, 0.25, 1e9)
        self.assertEqual(self.totals(window), (1, 0, 0, 0.25))
        window.slide(1e9 + 9.0)
        self.assertEqual(window.calls, 1)

    def test_an_earlier_moment_counts_as_the_latest(self) -> None:
        """Two clocks that were read in another order than they are told do no harm."""
        window = Window(10.0)
        window.add(True, False, 1.0, 25.0)
        window.add(True, False, 1.0, 3.0)
        self.assertEqual(window.calls, 2)

    def test_clear(self) -> None:
        """Forgotten is forgotten, and it goes on from there."""
        window = Window(10.0)
        window.add(True, True, 1.0, 0.0)
        window.clear()
        self.assertEqual(self.totals(window), (0, 0, 0, 0.0))
        window.add(False, False, 1.0, 5.5)
        window.slide(14.9)
        self.assertEqual(window.calls, 1)

    def test_an_empty_window_holds_nothing(self) -> None:
        """Neither a new one, however often it is looked at, nor one whose calls have all left; then it goes on."""
        window = Window(10.0)
        self.assertEqual(self.slots(window), 0)
        window.slide(5.0)
        self.assertEqual(self.slots(window), 0)
        window.add(True, False, 1.0, 6.0)
        self.assertEqual(self.slots(window), SLOTS)
        window.slide(100.0)
        self.assertEqual((self.slots(window), self.totals(window)), (0, (0, 0, 0, 0.0)))
        window.add(True, False, 1.0, 100.0)
        self.assertEqual(window.calls, 1)

    def slots(self, window: Window) -> int:
        """How many there are in memory."""
        return max(len(held) for held in gc.get_referents(window) if isinstance(held, list))
