"""Tests of wmesh.policy.hashing: what of a request is hashed, for each way to say it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.policy.hashing import key_of
from wmesh.wire.limits import Limits
from wmesh.wire.request import read_request


class KeyTests(SynchronousTestCase):
    def key(self, hash_on: str, target: str = "/shop/carts/7?user=ann&x=1", *fields: str) -> bytes:
        find = key_of(hash_on)
        assert find is not None
        block = "".join(f"{line}\r\n" for line in (f"GET {target} HTTP/1.1", "Host: x", *fields))
        return find(read_request(block.encode("latin-1"), Limits()))

    def test_the_client(self) -> None:
        """Its address is nothing that stands in the head."""
        self.assertIsNone(key_of("client"))

    def test_a_header(self) -> None:
        """By any spelling of its name; without it there is no key."""
        for field in ("X-User: ann", "x-user: ann", "X-USER:ann"):
            self.assertEqual(self.key("header:X-User", "/", field), b"ann")
        self.assertEqual(self.key("header:X-User", "/", "X-Users: ann"), b"")

    def test_a_cookie(self) -> None:
        """One of several."""
        self.assertEqual(self.key("cookie:session", "/", "Cookie: a=1; session=abc"), b"abc")
        self.assertEqual(self.key("cookie:session", "/", "Cookie: a=1"), b"")

    def test_a_parameter(self) -> None:
        """By its whole name, wherever it stands."""
        self.assertEqual(self.key("query:user"), b"ann")
        self.assertEqual(self.key("query:x"), b"1")
        for target in ("/", "/?", "/?superuser=ann", "/user=ann"):
            self.assertEqual(self.key("query:user", target), b"", target)

    def test_the_path(self) -> None:
        """All of it, or one segment; the query is no part of it."""
        self.assertEqual(self.key("path"), b"/shop/carts/7")
        for number, segment in ((1, b"shop"), (2, b"carts"), (3, b"7"), (4, b""), (99, b"")):
            self.assertEqual(self.key(f"path:{number}"), segment)
        self.assertEqual(self.key("path:1", "/?a=/b"), b"")
