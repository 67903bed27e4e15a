"""Tests of wmesh.policy.caching.vary."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.caching.scene import lines
from wmesh.policy.caching.vary import favourite, variant_key, vary_names
from wmesh.wire.fields import all_fields


class VaryTests(SynchronousTestCase):
    def test_names(self) -> None:
        """In any order and spelling; what is part of the key does not count."""
        self.assertEqual(vary_names(all_fields(lines("Vary: Foo, bar,", "vary: FOO"))), (b"bar", b"foo"))
        self.assertEqual(vary_names(all_fields(lines("Vary: Host, X-Forwarded-Proto"))), ())
        self.assertEqual(vary_names(all_fields(lines("X-Vary: foo"))), ())

    def test_what_cannot_be_compared(self) -> None:
        """A star anywhere, what is no name, and what the gateway takes out of requests."""
        for value in ("*", "*, *", ", *", "Foo, *", "foo bar", "X-Forwarded-For", "Via", "x-request-id"):
            self.assertIsNone(vary_names(all_fields(lines(f"Vary: {value}"))), value)
        self.assertIsNone(vary_names(all_fields(lines("Vary:", "Vary: *"))))

    def same(self, name: bytes, one: tuple[str, ...], other: tuple[str, ...]) -> bool:
        return variant_key(lines(*one), (name,)) == variant_key(lines(*other), (name,))

    def test_values(self) -> None:
        """Lists are compared as lists; absence is something else than nothing."""
        self.assertTrue(self.same(b"foo", ("Foo: 1, 2",), ("foo: 1", "FOO:2")))
        self.assertTrue(self.same(b"foo", ("Foo: 1,2 ",), ("Foo:  1 ,  2",)))
        self.assertTrue(self.same(b"foo", (), ("Bar: 1",)))
        self.assertFalse(self.same(b"foo", ("Foo: 1, 2",), ("Foo: 2, 1",)))
        self.assertFalse(self.same(b"foo", ("Foo: a",), ("Foo: A",)))
        self.assertFalse(self.same(b"foo", (), ("Foo:",)))
        self.assertFalse(self.same(b"foo", ('Foo: "a, b"',), ('Foo: "a,b"',)))

    def test_keys_of_several(self) -> None:
        """What one field says is not mistaken for what another one does."""
        names = (b"bar", b"foo")
        self.assertNotEqual(variant_key(lines("Bar: 1"), names), variant_key(lines("Foo: 1"), names))
        self.assertNotEqual(variant_key(lines("Bar: 1,foo:2"), names), variant_key(lines("Bar: 1", "Foo: 2"), names))

    def test_preferences(self) -> None:
        """Neither case nor the order of equals counts, but weights do."""
        for name, field in ((b"accept-language", "Accept-Language"), (b"accept-encoding", "Accept-Encoding")):
            self.assertTrue(self.same(name, (f"{field}: en, de",), (f"{field}: De ,eN;q=1.0",)))
            self.assertFalse(self.same(name, (f"{field}: en, de",), (f"{field}: en, de;q=0.5",)))
            self.assertFalse(self.same(name, (f"{field}: en",), (f"{field}: en, de",)))

    def test_favourite(self) -> None:
        """The one language that is worth more than all others."""
        for text, language in (
            ("fr;q=0.5, DE;q=1.0", b"de"),
            ("de", b"de"),
            ("en, de", b""),
            ("*", b""),
            ("de;q=x, en", b""),
            ("en;q=0", b""),
        ):
            self.assertEqual(favourite(lines(f"Accept-Language: {text}")), language, text)
        self.assertEqual(favourite(lines()), b"")
