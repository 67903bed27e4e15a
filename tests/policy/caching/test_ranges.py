"""Tests of wmesh.policy.caching.ranges."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.policy.caching.ranges import WHOLE, content_range, part_of, unsatisfied


class RangeTests(SynchronousTestCase):
    def test_one_range(self) -> None:
        """From, to, and the last so many; what goes beyond the end stops there."""
        for value, part in (
            (b"bytes=0-1", (0, 2)),
            (b"BYTES = 1-", (1, 10)),
            (b"bytes=-3", (7, 10)),
            (b"bytes=-30", (0, 10)),
            (b"bytes=5-500", (5, 10)),
            (b"bytes=9-9", (9, 10)),
        ):
            self.assertEqual(part_of(value, 10), part, value)

    def test_nothing_there(self) -> None:
        """What begins behind the end cannot be had."""
        for value in (b"bytes=10-", b"bytes=10-20", b"bytes=-0"):
            self.assertIsNone(part_of(value, 10), value)
        self.assertIsNone(part_of(b"bytes=0-", 0))

    def test_all_of_it(self) -> None:
        """What is not understood, not valid, or more than one, is answered with everything."""
        for value in (
            b"bytes=0-1, 3-4",
            b"bytes=5-4",
            b"bytes=-",
            b"bytes=",
            b"lines=0-1",
            b"bytes=a-b",
            b"",
            b"bytes=0-" + b"9" * 40,
        ):
            self.assertEqual(part_of(value, 10), WHOLE, value)

    def test_lines(self) -> None:
        """Positions are counted from 0, the last one included."""
        self.assertEqual(content_range(0, 2, 10), b"Content-Range: bytes 0-1/10\r\n")
        self.assertEqual(unsatisfied(10), b"Content-Range: bytes */10\r\n")
