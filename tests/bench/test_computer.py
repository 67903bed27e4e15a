"""Tests of bench.computer: what every page of figures says of the place where they come from."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from bench.computer import Computer, this_computer


class ComputerTests(SynchronousTestCase):
    def test_told(self) -> None:
        """Everything that makes figures of two pages comparable, or not, in one sentence."""
        told = Computer("Some CPU", 2, 8 << 30, "Linux 6.1", "3.11.7", 0.126).told()
        self.assertEqual(told, "Some CPU, 2 cores, 8.0 GiB, Linux 6.1; load average 0.13 at the start.")

    def test_this_one(self) -> None:
        """What the kernel says."""
        ours = this_computer()
        self.assertEqual((ours.cores, ours.kernel.split()[1]), (os.cpu_count(), os.uname().release))
        self.assertGreater(ours.memory, 1 << 20)
