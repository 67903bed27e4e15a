"""Tests of wmesh.policy.caching.conditions."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.caching.scene import WALL, asks, date, lines, stored
from wmesh.policy.caching.conditions import (
    confirms,
    not_modified,
    not_modified_lines,
    range_applies,
    updated,
    validating,
)

FRESH = "Cache-Control: max-age=60"


class ClientConditionTests(SynchronousTestCase):
    """What a client asks, judged on a stored answer."""

    def test_entity_tags(self) -> None:
        """Weak comparison, in a list, or any."""
        entry = stored(FRESH, 'ETag: "a"')
        for tags, known in (
            ('"a"', True),
            ('W/"a"', True),
            ('"b", "a" ,"c"', True),
            ("*", True),
            ('"b"', False),
            ("a", False),
            ('"A"', False),
            ("", False),
        ):
            self.assertEqual(not_modified(asks(f"If-None-Match: {tags}"), entry, WALL), known, tags)
        self.assertTrue(not_modified(asks('If-None-Match: "a"'), stored(FRESH, 'ETag: W/"a"'), WALL))
        self.assertTrue(not_modified(asks("If-None-Match: a"), stored(FRESH, "ETag: a"), WALL))
        self.assertFalse(not_modified(asks('If-None-Match: "a"'), stored(FRESH), WALL))

    def test_dates(self) -> None:
        """Not later than it was changed; or, if that is not known, than it was made. A tag goes before."""
        entry = stored(FRESH, f"Last-Modified: {date(-100)}", 'ETag: "a"')
        self.assertTrue(not_modified(asks(f"If-Modified-Since: {date(-100)}"), entry, WALL))
        self.assertTrue(not_modified(asks(f"If-Modified-Since: {date(-50)}"), entry, WALL))
        self.assertFalse(not_modified(asks(f"If-Modified-Since: {date(-101)}"), entry, WALL))
        self.assertFalse(not_modified(asks("If-Modified-Since: yesterday"), entry, WALL))
        self.assertFalse(not_modified(asks(f"If-Modified-Since: {date()}", 'If-None-Match: "b"'), entry, WALL))
        self.assertTrue(not_modified(asks(f"If-Modified-Since: {date()}"), stored(FRESH), WALL))
        self.assertFalse(not_modified(asks(f"If-Modified-Since: {date(-1)}"), stored(FRESH), WALL))

    def test_errors_are_not_compared(self) -> None:
        """Conditions are about what a success would give (RFC 9110 section 13.2.1)."""
        self.assertFalse(not_modified(asks("If-None-Match: *"), stored(FRESH, status=404), WALL))

    def test_lines_of_a_304(self) -> None:
        """What describes a body is left out, the rest is there."""
        found = not_modified_lines(stored(FRESH, 'ETag: "a"', "Content-Type: text/plain", "Vary: x"))
        self.assertNotIn(b"Content-Type", found)
        self.assertIn(b'ETag: "a"', found)
        self.assertIn(b"Vary", found)

    def test_if_range(self) -> None:
        """Strong validators only."""
        entry = stored(FRESH, 'ETag: "a"', f"Last-Modified: {date(-100)}")
        for value, applies in (
            ('"a"', True),
            ('"b"', False),
            ('W/"a"', False),
            (date(-100), True),
            (date(-99), False),
            ("x", False),
        ):
            self.assertEqual(range_applies(asks(f"If-Range: {value}"), entry, WALL), applies, value)
        self.assertTrue(range_applies(asks(), entry, WALL))
        weak = stored(FRESH, 'ETag: W/"a"', f"Last-Modified: {date()}")
        self.assertFalse(range_applies(asks('If-Range: W/"a"'), weak, WALL))
        self.assertFalse(range_applies(asks(f"If-Range: {date()}"), weak, WALL))


class ValidationTests(SynchronousTestCase):
    """What the gateway asks, and what it makes of the answer."""

    def test_question(self) -> None:
        """Both validators are sent, as they came."""
        entry = stored(FRESH, 'ETag: W/"a"', f"Last-Modified: {date(-100)}")
        self.assertEqual(
            validating(entry, lines("Accept: x")),
            lines("Accept: x", 'If-None-Match: W/"a"', f"If-Modified-Since: {date(-100)}"),
        )
        self.assertFalse(stored(FRESH, "Last-Modified: yesterday").validator)

    def test_confirmation(self) -> None:
        """A 304 about another strong tag speaks of something else."""
        entry = stored(FRESH, 'ETag: "a"')
        self.assertTrue(confirms(entry, lines()))
        self.assertTrue(confirms(entry, lines('ETag: "a"')))
        self.assertTrue(confirms(entry, lines('ETag: W/"b"')))
        self.assertFalse(confirms(entry, lines('ETag: "b"')))

    def test_update(self) -> None:
        """New fields take the place of old ones of their name; those of the stored bytes stay."""
        entry = stored(FRESH, "X-A: 1", "x-b: 1", "x-b: 2", "Content-Encoding: gzip")
        found = updated(entry, lines("X-B: 3", "Cache-Control: max-age=5", "Content-Encoding: br", "Content-Length: 0"))
        self.assertEqual(
            found,
            lines(f"Date: {date()}", "X-A: 1", "Content-Encoding: gzip", "X-B: 3", "Cache-Control: max-age=5"),
        )
