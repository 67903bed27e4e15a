"""Tests of wmesh.wire.syntax."""

from __future__ import annotations

from tests.wire.heads import ACCEPTED, TCHAR, WireTestCase, block, verdict
from wmesh.errors import WireError
from wmesh.wire.syntax import FIELDS, METHODS, FieldSyntax, hopeless, request_line, status_line

OBS_TEXT = frozenset(range(0x80, 0x100))
VISIBLE = frozenset(range(0x21, 0x7F))


class FieldLineTests(WireTestCase):
    def refused(self, lines: bytes) -> bool:
        try:
            FIELDS.check(b"\r\n" + lines)
        except WireError as fault:
            self.assertEqual(fault.status, 400)
            return True
        return False

    def test_every_byte_in_a_name(self) -> None:
        """A field name is a token and nothing else: first, in the middle, last or alone (a colon ends it)."""
        for byte in range(256):
            char = bytes([byte])
            expected = byte not in TCHAR
            for name in (char + b"Y", b"X" + char, char, b"X" + char + b"Y"):
                if char == b":" and name[:1] != char:
                    continue
                self.assertIs(self.refused(name + b": 1\r\n"), expected, name)

    def test_every_byte_in_a_value(self) -> None:
        """A value holds visible characters, bytes above ASCII, spaces and tabs; no control, no DEL, CR, LF or NUL."""
        allowed = VISIBLE | OBS_TEXT | {0x20, 0x09}
        for byte in range(256):
            char = bytes([byte])
            for value in (b"a" + char + b"b", char + b"b", b"a" + char, char):
                self.assertIs(self.refused(b"X: " + value + b"\r\n"), byte not in allowed, value)

    def test_lines_that_two_readers_could_split_differently(self) -> None:
        """Where parsers are known to disagree, nothing is let through."""
        for lines in (
            b"X : y\r\n",  # white space before the colon
            b"X\t: y\r\n",
            b" X: y\r\n",  # a first line that is folded onto nothing
            b"\tX: y\r\n",
            b"X: y\r\n z\r\n",  # obs-fold
            b"X: y\r\n\tz\r\n",
            b"X: y\r\n \r\n",  # obs-fold of nothing
            b"X: y\r\n\tTransfer-Encoding: chunked\r\n",
            b"X: y\n",  # bare LF
            b"X: y\nZ: 1\r\n",
            b"X: y\n\r\n",
            b"X: y\r",  # bare CR
            b"X: y\rZ: 1\r\n",
            b"X: y\r\rZ: 1\r\n",
            b"X: y\n\rZ: 1\r\n",
            b"X\r\n",  # no colon
            b"X y\r\n",
            b": y\r\n",  # no name
            b":\r\n",
            b" : y\r\n",
            b"X\0: y\r\n",
            b"X: y\0z\r\n",
            b"\0\r\n",
            b"(X): y\r\n",
            b"X[0]: y\r\n",
            b'"X": y\r\n',
            b"X;q=1: y\r\n",
            b"X/Y: y\r\n",
            b"X@Y: y\r\n",
            b"\xc3\xa9: y\r\n",
            b"X\xa0: y\r\n",  # a no-break space is no space
            b"\xef\xbb\xbfX: y\r\n",  # a byte order mark is no letter
            b"X: y\r\nHTTP/1.1 200 OK\r\n",
            b"X: y\r\nGET / HTTP/1.1\r\n",
            b"X: y\x0bTransfer-Encoding: chunked\r\n",
            b"X: y\x0cz\r\n",
            b"X: \x1b[31m\r\n",
            b"X: y\x7f\r\n",
        ):
            self.assertTrue(self.refused(lines), lines)

    def test_unusual_but_clear_lines(self) -> None:
        """What the grammar allows passes, however rare."""
        for lines in (
            b"",
            b"X:\r\n",
            b"X: \t \r\n",
            b"X:y\r\n",
            b"X:\ty\t\r\n",
            b"X: a:b:c\r\n",
            b"!#$%&'*+-.^_`|~: y\r\n",
            b"1: y\r\n",
            b"X: \xff\xfe caf\xc3\xa9\r\n",
            b"X: y\r\nX: y\r\n",
        ):
            self.assertFalse(self.refused(lines), lines)

    def test_length_fields(self) -> None:
        """A Content-Length is decimal digits, once; what only a lenient parser would read as a number is refused."""
        for value in (
            b"",
            b"+3",
            b"-3",
            b"-0",
            b"0x3",
            b"3h",
            b"0b11",
            b"3.0",
            b"3e0",
            b"3_0",
            b"1 2",
            b"1\t2",
            b"3,",
            b"3, 3",
            b"3,3",
            b"3;3",
            b'"3"',
            b"\xb2",
            b"\xd9\xa3",
            b"18446744073709551616",
            b"99999999999999999999999999",
            b"nan",
            b"3\x0b",
        ):
            self.assertTrue(self.refused(b"Content-Length: " + value + b"\r\n"), value)

    def test_a_bad_head_leaves_no_trace(self) -> None:
        """All connections share one parser: whatever one of them sent, the next head is judged alone."""
        nasty = (
            b"\r\nX: y\nZ",
            b"\r\nContent-Length: 3\r\nContent-Length: 3\r\n",
            b"\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            b"\r\nX",
            b"",
            b"X",
            b"\r\nX: " + b"y" * 100000,
        )
        fine = (
            b"\r\nConnection: close\r\n",
            b"\r\nConnection: upgrade\r\nUpgrade: h2c\r\n",
            b"\r\nContent-Length: 1000\r\n",
            b"\r\nTransfer-Encoding: chunked\r\n",
            b"\r\nTransfer-Encoding: gzip\r\n",
            b"\r\nProxy-Connection: close\r\nConnection: keep-alive, close\r\n",
            b"\r\n",
        )
        syntax = FieldSyntax()
        for bad in nasty:
            for good in fine:
                self.assertRaises(WireError, syntax.check, bad)
                syntax.check(good)
                syntax.check(good)


class RequestLineTests(WireTestCase):
    def test_the_three_parts(self) -> None:
        """Method, target and version, as they stand."""
        self.assertEqual(request_line(b"GET /a?b HTTP/1.1"), (b"GET", b"/a?b", 1))
        self.assertEqual(request_line(b"PURGE * HTTP/1.0"), (b"PURGE", b"*", 0))

    def test_every_method_served(self) -> None:
        """The registered methods pass; each is spelled in capitals, and only so."""
        for method in METHODS:
            self.assertEqual(request_line(method + b" / HTTP/1.1")[0], method)
            self.assert_lines(501, [method.lower() + b" / HTTP/1.1", method.title() + b" / HTTP/1.1"])

    def test_methods_not_served(self) -> None:
        """A well-formed method that we do not know is 501; CONNECT and PRI speak to other kinds of server."""
        self.assert_lines(501, (method + b" / HTTP/1.1" for method in b"FOO CONNECT PRI GETT GE G!T 1".split()))

    def test_versions(self) -> None:
        """HTTP/1.0 and 1.1 are spoken; other versions are told so (505), and what is no version is 400."""
        self.assert_lines(ACCEPTED, [b"GET / HTTP/1.1", b"GET / HTTP/1.0"])
        self.assert_lines(505, (b"GET / HTTP/" + v for v in (b"0.9", b"1.2", b"1.9", b"2.0", b"3.0", b"9.9", b"0.0")))
        versions = b"1 2 1. .1 1.10 01.1 1.01 1.1.1 1,1 1.x +1.1 1.\xb9 1.1x".split()
        self.assert_lines(400, (b"GET / HTTP/" + version for version in versions))
        self.assert_lines(
            400,
            (
                b"GET / http/1.1",
                b"GET / Http/1.1",
                b"GET / HTTPS/1.1",
                b"GET / HTTP 1.1",
                b"GET / HTTP/ 1.1",
                b"GET / ICY/1.1",
                b"GET / HTTP",
                b"GET / HTTP/",
                b"GET /",
                b"GET",
                b"",
            ),
        )

    def test_white_space(self) -> None:
        """Exactly one space between the parts and none around them: no reader may find another target than we do."""
        self.assert_lines(
            400,
            (
                b" GET / HTTP/1.1",
                b"GET  / HTTP/1.1",
                b"GET /  HTTP/1.1",
                b"GET / HTTP/1.1 ",
                b"GET\t/ HTTP/1.1",
                b"GET /\tHTTP/1.1",
                b"GET / HTTP/1.1\t",
                b"GET\x0b/ HTTP/1.1",
                b"GET\x0c/ HTTP/1.1",
                b"GET\r/ HTTP/1.1",
                b"GET /\rHTTP/1.1",
                b"GET / HTTP/1.1\r",
                b"GET\xa0/ HTTP/1.1",
                b"GET /a /b HTTP/1.1",
                b"GET / HTTP/1.1 HTTP/1.1",
                b"GET /a b HTTP/1.1",
                b"GET  HTTP/1.1",
                b"GET HTTP/1.1",
                b"\r\nGET / HTTP/1.1",
                b"\nGET / HTTP/1.1",
                b"GET /\nX: y HTTP/1.1",
                b"GET / HTTP/1.1\nX: y",
                b"GET / HTTP/1.1\rX: y",
            ),
        )

    def test_every_byte_in_a_method(self) -> None:
        """A method is a token: what is none is 400, and a token that names no method is 501."""
        for byte in range(256):
            expected = 501 if byte in TCHAR else 400
            self.assertEqual(verdict(block(line=b"GE" + bytes([byte]) + b"TT / HTTP/1.1")), expected, byte)

    def test_every_byte_in_a_target(self) -> None:
        """A target is visible ASCII without fragment or backslash; honest clients percent-encode everything else."""
        for byte in range(256):
            expected = ACCEPTED if byte in VISIBLE and byte not in b"#\\" else 400
            self.assertEqual(verdict(block(line=b"GET /a" + bytes([byte]) + b"b HTTP/1.1")), expected, byte)


class StatusLineTests(WireTestCase):
    def test_good_lines(self) -> None:
        """The line to send on names our version, whatever the instance's; an instance may leave the reason out."""
        for line, expected in (
            (b"HTTP/1.1 200 OK", (200, b"HTTP/1.1 200 OK", 1)),
            (b"HTTP/1.0 404 Not Found", (404, b"HTTP/1.1 404 Not Found", 0)),
            (b"HTTP/1.1 204 ", (204, b"HTTP/1.1 204 ", 1)),
            (b"HTTP/1.1 204", (204, b"HTTP/1.1 204 ", 1)),
            (b"HTTP/1.1 100 Continue", (100, b"HTTP/1.1 100 Continue", 1)),
            (b"HTTP/1.1 599 caf\xc3\xa9\tbar", (599, b"HTTP/1.1 599 caf\xc3\xa9\tbar", 1)),
            (b"HTTP/1.1 200  two spaces", (200, b"HTTP/1.1 200  two spaces", 1)),
        ):
            self.assertEqual(status_line(line), expected)
            self.assertEqual(status_line(line), expected)

    def test_bad_lines(self) -> None:
        """A garbled status line is the instance's fault: 502, never passed on."""
        for line in (
            b"",
            b"HTTP/1.1",
            b"HTTP/1.1 ",
            b"HTTP/1.1 20",
            b"HTTP/1.1 2000",
            b"HTTP/1.1 -20 X",
            b"HTTP/1.1 +20 X",
            b"HTTP/1.1 2x0 OK",
            b"HTTP/1.1 200OK",
            b"HTTP/1.1  200 OK",
            b"HTTP/1.1\t200 OK",
            b" HTTP/1.1 200 OK",
            b"HTTP/1.1 000 X",
            b"HTTP/1.1 099 X",
            b"HTTP/1.1 600 X",
            b"HTTP/1.1 999 X",
            b"HTTP/1.1 200 O\0K",
            b"HTTP/1.1 200 O\x1bK",
            b"HTTP/1.1 200 O\x7fK",
            b"HTTP/1.1 200 O\rK",
            b"HTTP/1.1 200 O\nK",
            b"HTTP/2.0 200 OK",
            b"HTTP/1.2 200 OK",
            b"HTTP/0.9 200 OK",
            b"HTTP/2 200 OK",
            b"http/1.1 200 OK",
            b"ICY 200 OK",
            b"HTTP/1.10 200 OK",
            b"<html>",
            b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 OK",
        ):
            fault = self.assertRaises(WireError, status_line, line)
            self.assertEqual(fault.status, 502, line)


class HopelessTests(WireTestCase):
    def test_what_may_still_become_a_head(self) -> None:
        """A slow client is waited for, wherever its bytes were cut."""
        whole = b"\r\nGET / HTTP/1.1\r\nHost: a\r\nX: y\r\n"
        for length in range(len(whole)):
            for known in range(length + 1):
                self.assertIsNone(hopeless(whole[:length], known), whole[:length])

    def test_other_protocols_are_told_at_once(self) -> None:
        """A TLS client on a plain port, or binary junk, is not waited for until the deadline."""
        self.assertIn("TLS", hopeless(b"\x16\x03\x01\x02", 0) or "")
        for junk in (b"\x00", b"\x80", b"\xff\xfe", b" GET", b"1", b"{", b"\x04\x01\x00\x50"):
            self.assertIsNotNone(hopeless(junk, 0), junk)

    def test_bare_line_feeds_are_told_at_once(self) -> None:
        """Lines that end with LF alone would never make a head; nor may a cut between reads hide one."""
        for partial in (b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\nHost: a\n\n", b"GET / HTTP/1.1\r\nHost: a\n"):
            self.assertIsNotNone(hopeless(partial, 0), partial)
            self.assertIsNotNone(hopeless(partial, len(partial) - 1), partial)

    def test_a_crlf_cut_in_two_is_no_bare_line_feed(self) -> None:
        """The CR came in an earlier read than its LF."""
        partial = b"GET / HTTP/1.1\r\n"
        self.assertIsNone(hopeless(partial, len(partial) - 1))
        self.assertIsNone(hopeless(partial, len(partial)))
