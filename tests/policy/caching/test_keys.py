"""Tests of wmesh.policy.caching.keys."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.caching.scene import lines
from wmesh.policy.caching.keys import covers, equals, key_of, worthless

KEY = key_of(b"shop", b"http", b"Shop.Example:80", b"/a/b?c")


class InvalidationTests(SynchronousTestCase):
    def uris(self, *fields: str, status: int = 200) -> list[bytes]:
        return [key.partition(b" ")[2] for key in worthless(KEY, status, lines(*fields))]

    def test_the_uri_itself(self) -> None:
        """After a success or a redirect, not after an error."""
        self.assertEqual(self.uris(), [b"http://shop.example:80/a/b?c"])
        self.assertEqual(self.uris(status=303), [b"http://shop.example:80/a/b?c"])
        self.assertEqual(self.uris(status=500) + self.uris(status=404), [])

    def test_uris_in_the_answer(self) -> None:
        """Location and Content-Location, in any form of reference, of the same origin only."""
        for reference, target in (
            ("/x?y", b"/x?y"),
            ("x", b"/a/x"),
            ("../x", b"/x"),
            ("../../../x", b"/x"),
            ("./", b"/a/"),
            ("..", b"/"),
            ("?q", b"/a/b?q"),
            ("/x#part", b"/x"),
            ("http://SHOP.example:80/x", b"/x"),
            ("//shop.example:80/x", b"/x"),
            ("http://other.example/x", None),
            ("https://shop.example:80/x", None),
            ("http://u@shop.example:80/x", None),
            ("/a/b?c", None),
        ):
            found = self.uris(f"Location: {reference}")[1:]
            self.assertEqual(found, [] if target is None else [b"http://shop.example:80" + target], reference)
        self.assertEqual(len(self.uris("Location: /x", "Content-Location: /y")), 3)


class PurgeTests(SynchronousTestCase):
    def test_what_an_operator_means(self) -> None:
        """A path of any host, or one URL."""
        for url in (b"/a/b?c", b"http://shop.example:80/a/b?c"):
            self.assertTrue(equals(KEY, url), url)
            self.assertTrue(covers(KEY, url[:-3]), url)
        for url in (b"/a/b", b"https://shop.example:80/a/b?c", b"/b?c"):
            self.assertFalse(equals(KEY, url), url)
        self.assertFalse(covers(KEY, b"/b"))
