"""Tests of wmesh.policy.caching.question."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.caching.scene import asks, lines
from wmesh.policy.caching.question import question_of


class QuestionTests(SynchronousTestCase):
    def test_plain(self) -> None:
        """Most requests say nothing to a cache."""
        self.assertTrue(asks("User-Agent: x", "Accept: */*", "Referer: http://a/range: 1", "X-Range: 1").plain)
        self.assertFalse(asks("range: bytes=0-").plain)

    def test_what_is_said(self) -> None:
        """Conditions, credentials and directives, in any spelling; several fields are one list."""
        said = asks(
            "AUTHORIZATION: Basic x",
            "cookie: a=b",
            "Cache-Control: no-cache",
            "cache-control: max-age=5",
            'If-None-Match: "a"',
            'if-none-match: "b"',
            "If-Modified-Since: then",
            "Range: bytes=0-1",
            'If-Range: "a"',
        )
        self.assertTrue(said.authorized and said.cookies and not said.strict)
        assert said.control is not None
        self.assertTrue(said.control.no_cache)
        self.assertEqual(said.control.max_age, 5)
        self.assertEqual((said.none_match, said.modified_since), (b'"a", "b"', b"then"))
        self.assertEqual((said.range, said.if_range), (b"bytes=0-1", b'"a"'))
        self.assertEqual(
            said.bare,
            lines("AUTHORIZATION: Basic x", "cookie: a=b", "Cache-Control: no-cache", "cache-control: max-age=5"),
        )
        self.assertTrue(asks('If-Match: "a"').strict and asks("If-Unmodified-Since: then").strict)

    def test_remembered(self) -> None:
        """The same lines are read once they have come twice."""
        again = lines("Accept: remembered", "Cookie: a=b")
        self.assertIsNot(question_of(again), question_of(again))
        self.assertIs(question_of(again), question_of(again))
