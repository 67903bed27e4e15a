"""Tests of wmesh.wire.limits, and that reading a head obeys them."""

from __future__ import annotations

from tests.wire.heads import ACCEPTED, WireTestCase, block, verdict
from wmesh.wire.limits import Limits


class LimitTests(WireTestCase):
    def test_defaults_let_real_browsers_in(self) -> None:
        """Eight kilobytes of cookies and a URL of four kilobytes are unusual, not an attack."""
        data = block(b"Cookie: " + b"c" * 8000, line=b"GET /" + b"u" * 4000 + b" HTTP/1.1")
        self.assertEqual(verdict(data), ACCEPTED)

    def test_a_head_may_be_exactly_as_long_as_allowed(self) -> None:
        """The limit counts every byte of the head: one more is 431."""
        data = block(b"X: y")
        self.assertEqual(verdict(data, Limits(head=len(data))), ACCEPTED)
        self.assertEqual(verdict(data, Limits(head=len(data) - 1)), 431)

    def test_fields_are_counted(self) -> None:
        """Many tiny fields cost more than one long one: their number has its own limit."""
        for count, expected in ((9, ACCEPTED), (10, 431), (500, 431)):
            data = block(*(b"X-%d: %d" % (number, count) for number in range(count)))
            self.assertEqual(verdict(data, Limits(fields=10)), expected, count)

    def test_fields_that_are_dropped_count_too(self) -> None:
        """Fields that no instance will see are no way round the limit."""
        data = block(*(b"X-Forwarded-For: 10.0.0.%d" % number for number in range(20)))
        self.assertEqual(verdict(data, Limits(fields=10)), 431)

    def test_targets_have_their_own_answer(self) -> None:
        """An overlong URL is told to be that (414), so that the sender knows what to shorten."""
        for length, expected in ((100, ACCEPTED), (101, 414)):
            line = b"GET /" + b"u" * (length - 1) + b" HTTP/1.1"
            self.assertEqual(verdict(block(line=line), Limits(target=100)), expected)

    def test_an_absolute_target_is_measured_whole(self) -> None:
        """Scheme and host of an absolute URL are part of its length."""
        line = b"GET http://example.com/" + b"u" * 90 + b" HTTP/1.1"
        self.assertEqual(verdict(block(line=line), Limits(target=100)), 414)

    def test_a_head_that_was_fine_once_is_measured_again(self) -> None:
        """Limits hold for each listener, whatever another one with wider limits has let in."""
        data = block(b"X-Once: more", line=b"GET /twice HTTP/1.1")
        self.assertEqual(verdict(data), ACCEPTED)
        self.assertEqual(verdict(data, Limits(target=3)), 414)
        self.assertEqual(verdict(data, Limits(fields=1)), 431)
        self.assertEqual(verdict(data, Limits(head=10)), 431)
