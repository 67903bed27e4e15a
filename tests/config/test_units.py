"""Durations and sizes mean what people think they mean."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from wmesh.config import units
from wmesh.config.wording import Invalid


class DurationTests(SynchronousTestCase):
    def test_each_unit(self) -> None:
        """An operator may write milliseconds to days, and gets exactly that many seconds."""
        for text, seconds in {
            "250ms": 0.25,
            "15s": 15.0,
            "2m": 120.0,
            "1h": 3600.0,
            "1d": 86400.0,
            "1.5 s": 1.5,
            "100MS": 0.1,
        }.items():
            self.assertEqual(units.duration(text), seconds, text)

    def test_bare_numbers_count_seconds(self) -> None:
        """`proxy_cache_ttl = 300` is five minutes, as the original system has it."""
        self.assertEqual(units.duration("300"), 300.0)

    def test_bare_numbers_of_the_environment_count_milliseconds(self) -> None:
        """HEALTH_CHECK_TIMEOUT=5000 is five seconds."""
        self.assertEqual(units.duration("5000", bare="ms"), 5.0)

    def test_nonsense_is_refused(self) -> None:
        """What has no single clear reading is a problem, not a guess."""
        for text in ("", "s", "-1s", "1m30s", "5 parsecs", "1e3", "٣s", "nan", "inf", "9" * 400, "1,5s"):
            self.assertRaises(Invalid, units.duration, text)

    @given(st.integers(0, 10**9))
    def test_shown_durations_read_back(self, milliseconds: int) -> None:
        """What messages and the manual print can be pasted into the file."""
        self.assertAlmostEqual(units.duration(units.show_duration(milliseconds / 1000)), milliseconds / 1000, places=6)


class SizeTests(SynchronousTestCase):
    def test_each_unit(self) -> None:
        """K counts in 1024, as servers do; KB in 1000, as the unit does."""
        for text, count in {
            "512": 512,
            "512B": 512,
            "64KiB": 65536,
            "64k": 65536,
            "64KB": 64000,
            "1 MiB": 1048576,
            "0.5KiB": 512,
        }.items():
            self.assertEqual(units.size(text), count, text)

    def test_nonsense_is_refused(self) -> None:
        """A size with an unknown unit is a problem."""
        for text in ("", "KiB", "-1", "3 bananas", "1s"):
            self.assertRaises(Invalid, units.size, text)

    @given(st.integers(0, 2**40))
    def test_shown_sizes_read_back(self, count: int) -> None:
        """What messages and the manual print can be pasted into the file."""
        self.assertEqual(units.size(units.show_size(count)), count)
