"""Tests of wmesh.policy.caching.directives."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.policy.caching.directives import (
    NEVER_ENDING,
    RequestDirectives,
    directives_of,
    read_targeted,
    response_directives,
)


class CacheControlTests(SynchronousTestCase):
    def test_values(self) -> None:
        """Names in any case, several fields, quotes, and commas within them."""
        said = response_directives([b'MaX-AgE=003600, ext="max-age=1, no-store"', b'Public, stale-if-error="60",'])
        self.assertEqual((said.max_age, said.public, said.stale_if_error), (3600, True, 60))
        self.assertFalse(said.no_store)

    def test_times_that_are_none(self) -> None:
        """What grants a time badly grants none; what grants two, too; a huge one is for ever."""
        for text in (
            b"max-age",
            b"max-age=",
            b"max-age='60'",
            b"max-age=-1",
            b"max-age=6.5",
            b"max-age = 60",
            b"max-age=60, max-age=70",
            b"max-age=a",
            b"max-age=60 70",
        ):
            self.assertEqual(response_directives([text]).max_age, 0, text)
        self.assertEqual(response_directives([b"max-age=60, max-age=60"]).max_age, 60)
        self.assertEqual(response_directives([b"max-age=" + b"9" * 400]).max_age, NEVER_ENDING)
        self.assertIsNone(response_directives([b"smax-age=60"]).max_age)

    def test_prohibitions(self) -> None:
        """What forbids is obeyed whole, however badly it is written."""
        for text in (
            b"no-store",
            b"NO-STORE",
            b"no-store=1",
            b"no-store=",
            b'no-store = "x"',
            b"no-store;",
            b",,no-store,",
        ):
            self.assertTrue(response_directives([text]).no_store, text)
        for text, names in (
            (b"no-cache", frozenset()),
            (b'no-cache="Set-Cookie, X-A"', frozenset((b"set-cookie", b"x-a"))),
            (b"no-cache=x-a", frozenset((b"x-a",))),
            (b'no-cache=""', frozenset()),
            (b'no-cache="x-a', frozenset()),
            (b'no-cache="a b"', frozenset()),
            (b'no-cache, no-cache="x-a"', frozenset()),
        ):
            self.assertEqual(response_directives([text]).no_cache, names, text)
        self.assertIsNone(response_directives([b"max-age=1"]).no_cache)

    def test_requests(self) -> None:
        """The directives of a request."""
        said = RequestDirectives(directives_of([b"max-age=0, max-stale, min-fresh=5", b"only-if-cached,no-cache"]))
        self.assertEqual((said.max_age, said.max_stale, said.min_fresh), (0, float("inf"), 5))
        self.assertTrue(said.only_if_cached and said.no_cache and not said.no_store)
        self.assertEqual(RequestDirectives(directives_of([b"max-stale=x"])).max_stale, 0)

    def test_garbage(self) -> None:
        """Nothing that can be sent is too much."""
        for text in (b'"' * 5000, b'a="' * 3000 + b"\\", b"=," * 5000, b"\xff\xfe=1", b'no-cache="' + b"a," * 9000):
            directives_of([text])
            read_targeted(text)


class TargetedTests(SynchronousTestCase):
    def test_it_decides_alone(self) -> None:
        """What caches like this one are told counts, and not what all are told."""
        said = response_directives([b"no-store"], [b"max-age=60"])
        self.assertEqual((said.max_age, said.no_store, said.targeted), (60, False, True))
        self.assertTrue(response_directives([b"max-age=60"], [b"no-store"]).no_store)
        self.assertEqual(response_directives([], [b'no-cache="a"']).no_cache, frozenset((b"a",)))
        self.assertEqual(response_directives([], [b"private"]).private, frozenset())

    def test_what_is_no_structured_field(self) -> None:
        """As if it were not there, all of it, or the directive of the wrong type."""
        for text in (
            b"max-age=10, &&&",
            b"max-age=10,",
            b"Max-Age=10",
            b'max-age="10"',
            b"max-age=10.5",
            b"max-age=-1",
            b"max-age=?1",
            b"",
            b"max-age=1 2",
            b"max-age=" + b"9" * 16,
        ):
            self.assertTrue(response_directives([b"no-store"], [text]).no_store, text)

    def test_types(self) -> None:
        """Parameters, lists and the other types pass by; the last of two counts; ?0 is not said."""
        found = read_targeted(b'max-age=1;a=b;c, x=(1 "two" tok;p=1), y=:YQ==:, z=1.5, no-store=?0, max-age=7')
        self.assertEqual(found[b"max-age"], [b"7"])
        self.assertNotIn(b"no-store", found)
        self.assertIn(b"x", found)

    def test_surrogates(self) -> None:
        """The older field for the same: it has a time of its own for stale answers."""
        said = response_directives([b"max-age=1"], None, [b'max-age=60+30, content="ESI/1.0"'])
        self.assertEqual((said.max_age, said.stale_while_revalidate), (60, 30))
        self.assertEqual(response_directives([b"max-age=1"], None, [b'content="ESI/1.0"']).max_age, 1)
        self.assertTrue(response_directives([b"max-age=1"], None, [b"no-store"]).no_store)
