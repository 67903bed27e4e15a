"""Tests of wmesh.policy.stickiness: cookies that bind, that nobody can make up, and that outlive restarts."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from wmesh.model import StickySpec
from wmesh.policy.stickiness import SLACK, Stickiness, cookie_of

SECRET = b"0123456789abcdef"
SPEC = StickySpec(enabled=True, cookie="wmesh")


def lines(*cookies: bytes) -> bytes:
    return b"\r\nHost: x\r\n" + b"".join(b"Cookie: %b\r\n" % cookie for cookie in cookies)


class BindingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sticky = Stickiness(SPEC, "shop", SECRET)

    def cookie(self, id: str, by: Stickiness | None = None) -> bytes:
        """What a browser sends back of the line that binds to this instance."""
        line = (by or self.sticky).line(id, False)
        return line.partition(b": ")[2].partition(b";")[0]

    def bound(self, cookie: bytes, *ids: str, by: Stickiness | None = None) -> str:
        return (by or self.sticky).bound(lines(cookie), ids)

    def test_there_and_back(self) -> None:
        """What was set binds to the same instance."""
        for one in ("a", "b", "127.0.0.1:3000", "café"):
            self.assertEqual(self.bound(self.cookie(one), "a", "b", "127.0.0.1:3000", "café"), one)

    def test_over_restarts_and_other_gateways(self) -> None:
        """Whoever has the secret knows every token, whether or not he made it, however the fleet changed since."""
        other = Stickiness(SPEC, "shop", SECRET)
        for ids in (("a", "b"), ("a", "c"), ("d", "c"), ("e", "f")):
            for one in ids:
                self.assertEqual(self.bound(self.cookie(one, other), *ids), one)

    def test_another_secret_or_service(self) -> None:
        """A token of somebody else binds to nobody, and fits no other service."""
        for other in (Stickiness(SPEC, "shop", SECRET + b"x"), Stickiness(SPEC, "cart", SECRET)):
            self.assertEqual(self.bound(self.cookie("a", other), "a", "b"), "")

    def test_nothing_is_told(self) -> None:
        """Neither the name nor the address of an instance stands in the cookie."""
        self.assertNotIn(b"pricing-7", self.sticky.line("pricing-7", True))

    def test_an_instance_that_is_gone(self) -> None:
        """Its cookie binds to nobody, and again to it when it is back."""
        cookie = self.cookie("a")
        self.assertEqual((self.bound(cookie, "b"), self.bound(cookie, "a", "b")), ("", "a"))

    def test_rubbish(self) -> None:
        """Whatever else a client sends in its place binds to nobody."""
        for value in (b"", b"=", b"a", b"x" * 24, b"\xff" * 24, b"x" * 5000, b'"'):
            self.assertEqual(self.bound(b"wmesh=" + value, "a", "b"), "", value)
        self.assertEqual(self.sticky.bound(lines(), ("a",)), "")

    def test_tokens_of_the_gone_are_not_kept(self) -> None:
        """Years of deployments leave no trace in memory."""
        for number in range(2000):
            ids = (f"i{number}", f"i{number + 1}")
            self.sticky.line(ids[0], False)
            self.bound(b"wmesh=" + b"x" * 24, *ids)
        self.assertLessEqual(len(self.sticky._tokens), SLACK + 8)
        self.assertEqual(len(self.sticky._ids), len(self.sticky._tokens))


class LineTests(SynchronousTestCase):
    def attributes(self, tls: bool = False, **changes: object) -> list[bytes]:
        sticky = Stickiness(replace(SPEC, **changes), "shop", SECRET)  # type: ignore[arg-type]
        line = sticky.line("a", tls)
        assert line.startswith(b"Set-Cookie: ") and line.endswith(b"\r\n")
        return line[12:-2].split(b"; ")

    def test_as_it_comes(self) -> None:
        """For all paths, for scripts out of reach, for this browser session, not from other sites."""
        name, *rest = self.attributes()
        self.assertEqual((name[:6], rest), (b"wmesh=", [b"Path=/", b"HttpOnly", b"SameSite=Lax"]))

    def test_each_option(self) -> None:
        """Name, lifetime, scripts, sites."""
        self.assertTrue(self.attributes(cookie="shop-at")[0].startswith(b"shop-at="))
        self.assertIn(b"Max-Age=86400", self.attributes(lifetime=86400.0))
        self.assertNotIn(b"HttpOnly", self.attributes(http_only=False))
        self.assertIn(b"SameSite=Strict", self.attributes(same_site="strict"))

    def test_secure(self) -> None:
        """By itself over TLS only; always or never where that is said."""
        for secure, over_tls, marked in (
            ("auto", True, True),
            ("auto", False, False),
            ("yes", False, True),
            ("no", True, False),
        ):
            self.assertEqual(b"Secure" in self.attributes(over_tls, secure=secure), marked, (secure, over_tls))


class CookieTests(SynchronousTestCase):
    def test_found_among_others(self) -> None:
        """By its whole name, the first of them, quoted or not."""
        for header, value in {
            b"wmesh=1": b"1",
            b"a=2; wmesh=1; b=3": b"1",
            b"a=2;wmesh=1": b"1",
            b"xwmesh=2; wmesh=1": b"1",
            b"wmesh=1; wmesh=2": b"1",
            b'wmesh="1"': b"1",
            b"a=wmesh": b"",
            b"wmesh": b"",
            b"Wmesh=1": b"",
            b"wmeshx=1": b"",
        }.items():
            self.assertEqual(cookie_of(lines(header), b"wmesh"), value, header)
        self.assertEqual(cookie_of(lines(), b"wmesh"), b"")
