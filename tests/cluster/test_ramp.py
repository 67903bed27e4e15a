"""Tests of wmesh.cluster.ramp: little by little, and never nothing."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.cluster.ramp import LEAST, Ramp


class RampTests(SynchronousTestCase):
    def test_not_begun(self) -> None:
        """Who never was away has all of its weight, and nobody need look again."""
        ramp = Ramp()
        self.assertEqual((ramp.factor(0.0), ramp.next_step(0.0)), (1.0, float("inf")))

    def test_it_grows_from_a_tenth_to_all(self) -> None:
        """In a straight line over the window; a tenth at least, so that it is tried at all."""
        ramp = Ramp()
        ramp.begin(30.0, 100.0)
        table = ((100.0, LEAST), (101.0, LEAST), (106.0, 0.2), (115.0, 0.5), (129.7, 0.99), (130.0, 1.0), (200.0, 1.0))
        for now, factor in table:
            self.assertAlmostEqual(ramp.factor(now), factor, msg=str(now))
        self.assertEqual(ramp.next_step(200.0), float("inf"))

    def test_steps_are_worth_a_look(self) -> None:
        """Thirty of them, and never more than one a second; where all of it takes less than five seconds, five."""
        for window, step in ((300.0, 10.0), (30.0, 1.0), (5.0, 1.0), (1.0, 0.2)):
            ramp = Ramp()
            ramp.begin(window, 0.0)
            self.assertEqual(ramp.next_step(2.0), 2.0 + step)

    def test_no_window(self) -> None:
        """Slow start switched off."""
        ramp = Ramp()
        ramp.begin(0.0, 10.0)
        self.assertEqual((ramp.factor(10.0), ramp.next_step(10.0)), (1.0, float("inf")))

    def test_begun_again(self) -> None:
        """Who comes back in the middle of growing starts over."""
        ramp = Ramp()
        ramp.begin(10.0, 0.0)
        ramp.begin(10.0, 8.0)
        self.assertEqual(ramp.factor(13.0), 0.5)
