"""Tests of wmesh.policy.caching.second_level: which answers an invalidation means."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.policy.caching.second_level import ALL, KEY, PREFIX, TAG, URL, Invalidation

PAGE = b"shop http://shop.test/list?a"


class InvalidationTests(SynchronousTestCase):
    def test_what_is_meant(self) -> None:
        """As an operator's words are understood in memory; never another service's."""
        for how, what, meant in (
            (KEY, PAGE, True),
            (KEY, b"shop http://shop.test/list", False),
            (URL, b"/list?a", True),
            (URL, b"http://shop.test/list?a", True),
            (URL, b"/list", False),
            (PREFIX, b"/li", True),
            (PREFIX, b"http://other.test/", False),
            (ALL, b"", True),
            (TAG, b"menu", True),
            (TAG, b"men", False),
        ):
            said = Invalidation(b"shop", how, what)
            self.assertEqual(said.means(PAGE, (b"menu", b"x")), meant, said)
            if how != KEY:
                self.assertFalse(said.means(b"shopping" + PAGE[4:], (b"menu",)), said)

    def test_tags_that_are_not_known(self) -> None:
        """Any tag may be meant, but of no other service."""
        said = Invalidation(b"shop", TAG, b"menu")
        self.assertTrue(said.means(PAGE))
        self.assertFalse(said.means(b"other http://shop.test/"))
