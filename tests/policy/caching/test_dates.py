"""Tests of wmesh.policy.caching.dates."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.policy.caching.dates import read_date, written_date

NOW = 1_800_000_000.0
MOMENT = 784111777


class DateTests(SynchronousTestCase):
    def test_three_forms(self) -> None:
        """The one that is sent today, and the two of old, mean the same moment."""
        for text in (
            b"Sun, 06 Nov 1994 08:49:37 GMT",
            b"Sunday, 06-Nov-94 08:49:37 GMT",
            b"Sun Nov  6 08:49:37 1994",
            b"SUN, 06 nov 1994 08:49:37 gMT",
        ):
            self.assertEqual(read_date(text, NOW), MOMENT, text)

    def test_no_dates(self) -> None:
        """What does not follow the grammar, or is no day, is no date: lenience would be freshness."""
        for text in (
            b"",
            b"0",
            b"-1",
            b"Sun, 06 Nov 1994 08:49:37 UTC",
            b"Sun, 06 Nov 94 08:49:37 GMT",
            b"Sun 06 Nov 1994 08:49:37 GMT",
            b"Sun, 06  Nov 1994 08:49:37 GMT",
            b"Sun, 06-Nov-1994 08:49:37 GMT",
            b"Sun, 06 Nov 1994 8:49:37 GMT",
            b"Sun, 06 Nov 1994 24:00:00 GMT",
            b"Sun, 31 Feb 1994 08:49:37 GMT",
            b"Sun, 06 Nov 0000 08:49:37 GMT",
            b"Sun, 06 Nov 1994 08:49:37 GMT and more",
        ):
            self.assertIsNone(read_date(text, NOW), text)

    def test_century(self) -> None:
        """Two digits mean the future up to fifty years from now, else the past (RFC 9110 section 5.6.7)."""
        years = {77: 2077, 76: 2076, 78: 1978, 99: 1999, 27: 2027}
        for digits, year in years.items():
            text = b"Friday, 01-Jan-%02d 00:00:00 GMT" % digits
            self.assertEqual(written_date(read_date(text, NOW) or 0)[12:16], b"%d" % year)

    def test_written(self) -> None:
        """What is sent can be read again, leap days and all."""
        self.assertEqual(written_date(MOMENT + 0.9), b"Sun, 06 Nov 1994 08:49:37 GMT")
        for moment in (0, 951782400, 1_709_208_000, 4_102_444_799):
            self.assertEqual(read_date(written_date(moment), NOW), moment)
