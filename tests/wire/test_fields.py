"""Tests of wmesh.wire.fields."""

from __future__ import annotations

from tests.wire.heads import WireTestCase, relayed
from wmesh.wire.fields import (
    CLAIMS,
    REQUEST_SPECIALS,
    RESPONSE_SPECIALS,
    all_fields,
    connection_options,
    has_date,
    trailer_lines,
    value_of,
    values_of,
    without,
)

LINES = b"\r\nAccept: */*\r\nX-Trace:  1 \t\r\nx-trace: 2\r\nX-Trace-Id: 3\r\nEmpty:\r\n"


class LookUpTests(WireTestCase):
    def test_value_of(self) -> None:
        """The first field of a name in any spelling, without the white space round its value."""
        for name, expected in (
            (b"accept", b"*/*"),
            (b"ACCEPT", b"*/*"),
            (b"x-trace", b"1"),
            (b"X-Trace-Id", b"3"),
            (b"empty", b""),
            (b"trace", None),
            (b"x-trac", None),
            (b"x.trace", None),
            (b"host", None),
        ):
            self.assertEqual(value_of(LINES, name), expected, name)

    def test_a_value_is_never_taken_for_a_name(self) -> None:
        """What looks like a field within a value is not one."""
        lines = b"\r\nX: Host: evil\r\nY: \tDate: today\r\n"
        self.assertIsNone(value_of(lines, b"Host"))
        self.assertFalse(has_date(lines))
        self.assertEqual(len(REQUEST_SPECIALS.split(lines)), 1)

    def test_has_date(self) -> None:
        """Any spelling of Date counts, but not names that only begin or end like it."""
        for name in (b"Date", b"date", b"DATE"):
            self.assertTrue(has_date(b"\r\n%b: x\r\n" % name), name)
        for name in (b"Dates", b"X-Date", b"Dat", b"Update"):
            self.assertFalse(has_date(b"\r\n%b: x\r\n" % name), name)


class AllTests(WireTestCase):
    LINES = b"\r\nA: 1\r\nb:  2 \r\na:\t3\r\nAA: 4\r\n"

    def test_several_values(self) -> None:
        """Those of one name in any spelling, in order."""
        self.assertEqual(values_of(self.LINES, b"a"), [b"1", b"3"])
        self.assertEqual(values_of(self.LINES, b"c"), [])

    def test_all_of_them(self) -> None:
        self.assertEqual(all_fields(self.LINES), {b"a": [b"1", b"3"], b"b": [b"2"], b"aa": [b"4"]})
        self.assertEqual(all_fields(b"\r\n"), {})


class ConnectionOptionTests(WireTestCase):
    def test_lists(self) -> None:
        """Options come apart at commas, lose their white space and case; empty elements are no options."""
        for value, expected in (
            (b"close", (b"close",)),
            (b"Close", (b"close",)),
            (b"CLOSE", (b"close",)),
            (b"Keep-Alive", (b"keep-alive",)),
            (b"keep-alive,close", (b"keep-alive", b"close")),
            (b"keep-alive , \t Upgrade", (b"keep-alive", b"upgrade")),
            (b",, close ,", (b"close",)),
            (b"", ()),
            (b", \t,", ()),
            (b"X-A,X-B,X-A", (b"x-a", b"x-b", b"x-a")),
            (b"close;q=1", (b"close;q=1",)),
            (b"close keep-alive", (b"close keep-alive",)),
        ):
            self.assertEqual(connection_options(value), expected, value)

    def test_without(self) -> None:
        """Named fields go in every spelling, all of them; names that are only similar stay."""
        self.assertEqual(
            without(LINES, {b"x-trace", b"nobody", b""}), b"\r\nAccept: */*\r\nX-Trace-Id: 3\r\nEmpty:\r\n"
        )
        self.assertEqual(without(b"\r\nX: y\r\n", {b"x"}), b"\r\n")
        self.assertEqual(without(b"\r\n", {b"x"}), b"\r\n")


class SpecialFieldTests(WireTestCase):
    def test_each_special_is_found_wherever_it_stands(self) -> None:
        """First, last, alone, or beside another: what remains is whole lines."""
        for finder, name in ((REQUEST_SPECIALS, b"Host"), (RESPONSE_SPECIALS, b"Content-Length")):
            special = b"%b: 1\r\n" % name
            for lines, rest in (
                (special, b"\r\n"),
                (special + special, b"\r\n"),
                (special + b"X: y\r\n", b"\r\nX: y\r\n"),
                (b"X: y\r\n" + special, b"\r\nX: y\r\n"),
                (b"X: y\r\n" + special + special + b"Z:\r\n" + special, b"\r\nX: y\r\nZ:\r\n"),
            ):
                pieces = finder.split(b"\r\n" + lines)
                self.assertEqual(b"".join(pieces[0::3]), rest)
                self.assertEqual({piece.lower() for piece in pieces[1::3]}, {name.lower()})

    def test_similar_names_are_left_alone(self) -> None:
        """A name that begins or ends like a special one is another field."""
        names = (
            b"Hosts", b"X-Host", b"Hos", b"Content-Lengthy", b"X-Content-Length", b"Content-Type", b"Connections",
            b"T", b"Tee", b"X-Te", b"Upgrade-Insecure-Requests", b"Keep-Aliveness", b"Expect-CT", b"Proxys", b"X-Proxy",
            b"X-Forwarded", b"X-Forwarded-Forx", b"Forwarded-For", b"X-Real-Ipv6", b"X-Request-Ids", b"X-Request",
            b"Transfer-Encodings", b"Transfer.Encoding", b"Max-Forward", b"HTTP2-Setting",
        )  # fmt: skip
        for name in names:
            self.assertEqual(relayed(name + b": v"), {name.lower(): b"v"}, name)

    def test_hop_by_hop_fields_end_here(self) -> None:
        """What a client says to the gateway is not repeated to an instance, in any spelling."""
        for field in (
            b"Connection: keep-alive",
            b"CONNECTION: close",
            b"Keep-Alive: timeout=5",
            b"Proxy-Connection: keep-alive",
            b"TE: gzip",
            b"Upgrade: h2c",
            b"Upgrade: websocket",
            b"HTTP2-Settings: AAMAAABkAAQAAP__",
            b"Proxy-Authorization: Basic Zm9vOmJhcg==",
            b"Expect: 100-continue",
            b"X-Request-Id: mine",
            b"Proxy: http://evil.example/",
        ):
            for spelling in (field, field.lower(), field.upper() if b"100" not in field else field):
                self.assertEqual(relayed(spelling), {}, spelling)

    def test_underscores_are_no_way_round(self) -> None:
        """CGI and WSGI turn hyphens into underscores: what would pass there for a special field is dropped here."""
        for name in (
            b"X_Forwarded_For",
            b"X-Forwarded_For",
            b"x_forwarded-for",
            b"X_FORWARDED_PROTO",
            b"X_Forwarded_Ssl",
            b"X_Real_IP",
            b"Content_Length",
            b"Transfer_Encoding",
            b"Max_Forwards",
            b"Proxy_Authorization",
            b"X_Request_Id",
            b"Keep_Alive",
        ):
            self.assertEqual(relayed(name + b": 1"), {}, name)
        self.assertEqual(relayed(b"My_Own: 1"), {b"my_own": b"1"})


class TrailerTests(WireTestCase):
    def test_fields_that_must_not_come_late(self) -> None:
        """What frames, routes, authenticates or vouches has no business behind a body (RFC 9110 section 6.5.1)."""
        for name in sorted(
            {b"Content-Length", b"Transfer-Encoding", b"Host", b"Trailer", b"TE", b"Connection", b"Authorization"}
            | {b"Set-Cookie", b"Cookie", b"Content-Type", b"Cache-Control", b"Proxy-Authorization", b"X-Request-Id"}
            | {b"Transfer_Encoding", b"x_forwarded_for", b"Expect", b"Upgrade", b"Via", b"Max-Forwards", b"Range"}
            | CLAIMS
        ):
            for spelling in (name, name.lower(), name.upper()):
                self.assertEqual(trailer_lines(b"%b: 1\r\n" % spelling), b"", spelling)

    def test_the_others_pass(self) -> None:
        """Checksums, timings and the status of gRPC are what trailers are for; order and spelling are kept."""
        lines = b"Grpc-Status: 0\r\nhost: x\r\nServer-Timing: db;dur=5\r\nX-SUM:  a \r\n"
        self.assertEqual(trailer_lines(lines), b"Grpc-Status: 0\r\nServer-Timing: db;dur=5\r\nX-SUM:  a \r\n")
        self.assertEqual(trailer_lines(b""), b"")
