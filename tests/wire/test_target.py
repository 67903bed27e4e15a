"""Tests of wmesh.wire.target."""

from __future__ import annotations

from tests.wire.heads import ACCEPTED, WireTestCase, block, read
from wmesh.errors import WireError
from wmesh.wire.target import check_path, host_name, split_absolute


class HostNameTests(WireTestCase):
    def test_what_routes_are_found_by(self) -> None:
        """Lower case, without port or the dot of a full name."""
        for host, name in (
            (b"example.com", b"example.com"),
            (b"Example.COM", b"example.com"),
            (b"example.com:8000", b"example.com"),
            (b"example.com:", b"example.com"),
            (b"example.com.", b"example.com"),
            (b"example.com.:80", b"example.com"),
            (b"127.0.0.1:80", b"127.0.0.1"),
            (b"[::1]", b"[::1]"),
            (b"[::1]:8000", b"[::1]"),
            (b"[2001:DB8::A]:1", b"[2001:db8::a]"),
            (b"[::ffff:1.2.3.4]", b"[::ffff:1.2.3.4]"),
            (b"my_service-1.x~y", b"my_service-1.x~y"),
            (b"a%2eb", b"a%2eb"),
            (b"x:65535", b"x"),
        ):
            self.assertEqual(host_name(host), name)
            self.assertEqual(host_name(host), name)

    def test_what_is_no_host(self) -> None:
        """User information, paths, spaces, lists and junk: an instance may find another name in there than we do."""
        for host in (
            b"",
            b".",
            b"..",
            b":",
            b":80",
            b".:80",
            b"a b",
            b"a\tb",
            b"a, b",
            b"user@example.com",
            b"user:pass@example.com",
            b"example.com:80@evil",
            b"example.com/path",
            b"/",
            b"//example.com",
            b"http://example.com",
            b"example.com?x",
            b"example.com#x",
            b"example.com\\x",
            b"example.com:80:80",
            b"example.com:port",
            b"example.com:+80",
            b"example.com:-1",
            b"example.com:0x50",
            b"example.com:123456",
            b"example.com:65536",
            b"example.com:99999",
            b"a%zz",
            b"a%2",
            b"a%",
            b"example.com: 80",
            b"example.com:80 ",
            b"a:b:c",
            b"::1",
            b"[::1",
            b"::1]",
            b"[]",
            b"[::1]x",
            b"[::1]:x",
            b"[::1%25eth0]",
            b"[fe80::1%eth0]",
            b"[example.com]",
            b"[::1][::2]",
            b'"example.com"',
            b"<script>",
            b"a|b",
            b"a^b",
            b"a`b",
            b"a{b}",
            b"a\x00b",
            b"a\x7fb",
            b"a\rb",
            b"a\nb",
            b"example.com\n",
            b"b\xc3\xbccher.example",
            b"\xff",
        ):
            fault = self.assertRaises(WireError, host_name, host)
            self.assertEqual(fault.status, 400, host)


class PathTests(WireTestCase):
    def test_dot_segments(self) -> None:
        """Plain, encoded or mixed, between slashes, backslashes or their encodings, with parameters: none passes.

        A route chosen by one path must not serve another, and instances differ in what they resolve and decode.
        """
        dots = (b".", b"..", b"%2e", b"%2E", b"%2e%2E", b".%2e", b"%2e.")
        slashes = (b"/", b"\\", b"%2f", b"%2F", b"%5c", b"%5C")
        ends = (*slashes, b"", b"?", b"?q", b";", b";x=1", b";/")
        table = {
            block(line=b"GET /shop%b%b%b HTTP/1.1" % (slash, dot, end)): 400
            for slash in slashes
            for dot in dots
            for end in ends
        }
        table |= {block(line=b"GET /%b%b HTTP/1.1" % (dot, end)): 400 for dot in dots for end in ends}
        table |= {block(line=b"GET /%b%b%b/b HTTP/1.1" % (s, d, s)): 400 for s in slashes for d in dots}
        self.assertGreater(len(table), 500)
        self.assert_verdicts(table)

    def test_a_backslash_in_a_path(self) -> None:
        """Some readers take it for a slash; in a query it means nothing to anybody."""
        self.assertRaises(WireError, check_path, b"/a\\b")
        check_path(b"/a?b=\\")

    def test_dots_that_are_no_segments(self) -> None:
        """File names with dots, and anything at all in the query, are nobody's business."""
        for target in (
            b"/.well-known/acme",
            b"/a.b",
            b"/a./b",
            b"/.a/b",
            b"/..a/b",
            b"/a..",
            b"/a..b/c",
            b"/.../x",
            b"/a/....",
            b"/a?../..",
            b"/a?x=/../b",
            b"/a?x=%2f..%2f",
            b"/a?x=\\..\\",
            b"/%2ea",
            b"/a%2e",
            b"/a%2fb",
            b"/a%5cb",
            b"/a%252e%252e/b",
            b"/%2e%2e%2e/",
            b"/;x=1/..a",
            b"//",
            b"//a",
            b"/a//b",
            b"/?",
            b"/%zz",
            b"/%",
            b"/a%00b",
        ):
            check_path(target)

    def test_fragments(self) -> None:
        """A fragment never leaves an honest client; an instance may cut it off, and then sees another path."""
        for target in (b"/#", b"/a#b", b"/?a#b", b"/#/../b"):
            self.assertRaises(WireError, check_path, target)


class AbsoluteFormTests(WireTestCase):
    def test_split(self) -> None:
        """The host of the URL, and the path as an instance wants it."""
        for target, expected in (
            (b"http://a/b?c", (b"a", b"/b?c")),
            (b"HTTP://A:80/b", (b"A:80", b"/b")),
            (b"https://a", (b"a", b"/")),
            (b"http://a?b=/c", (b"a", b"/?b=/c")),
            (b"http://[::1]:80/", (b"[::1]:80", b"/")),
            (b"http://a//b", (b"a", b"//b")),
        ):
            self.assertEqual(split_absolute(target), expected)

    def test_the_target_decides_over_the_host_field(self) -> None:
        """An instance gets one Host, that of the URL (RFC 9112 section 3.2.2): both readings are the same."""
        head = read(line=b"GET http://Real.example:81/a?b HTTP/1.1", host=b"other.example")
        self.assertEqual((head.host, head.host_name, head.target), (b"Real.example:81", b"real.example", b"/a?b"))

    def test_other_forms(self) -> None:
        """No other scheme, no user information, no authority-form, no relative path, no second meaning."""
        self.assert_lines(
            400,
            (
                b"GET %b HTTP/1.1" % target
                for target in (
                    b"ftp://a/",
                    b"ws://a/",
                    b"file:///etc/passwd",
                    b"http:/a/",
                    b"http:a",
                    b"http:",
                    b"http://",
                    b"http:///a",
                    b"http://?a",
                    b"http://user@a/",
                    b"http://user:pass@a/",
                    b"http://a@b@c/",
                    b"http://a\\@b/",
                    b"http://a\\b/",
                    b"http://a#b",
                    b"http://a/#b",
                    b"http://a:x/",
                    b"http://a:80:80/",
                    b"http://a/../b",
                    b"http://a/%2e%2e/b",
                    b"http://a\\..\\b",
                    b"http://[::1/",
                    b"://a/",
                    b"example.com:80",
                    b"example.com",
                    b"a/b",
                    b"?a",
                    b"..",
                    b"**",
                    b"*a",
                    b"*/",
                    b"*?a",
                    b"\\a",
                    b"%2fa",
                    b"@/a",
                    b";a",
                )
            ),
        )

    def test_asterisk(self) -> None:
        """OPTIONS * asks about the server; no other method has such a target."""
        self.assert_lines(ACCEPTED, [b"OPTIONS * HTTP/1.1"])
        self.assert_lines(400, [b"GET * HTTP/1.1", b"POST * HTTP/1.1", b"TRACE * HTTP/1.1", b"HEAD * HTTP/1.0"])

    def test_a_refused_target_stays_refused(self) -> None:
        """Asking twice does not help."""
        for _ in range(3):
            self.assert_lines(400, [b"GET /a/../b HTTP/1.1", b"GET http://a/../b HTTP/1.1", b"GET * HTTP/1.1"])
