"""Tests of wmesh.wire.request: what is refused, what is understood, and what an instance gets."""

from __future__ import annotations

from tests.wire.heads import (
    ACCEPTED,
    LIMITS,
    VIA,
    WireTestCase,
    block,
    fields_of,
    read,
    relayed,
    verdict,
    written,
)
from wmesh.wire.request import IDEMPOTENT, read_request, upgrade_request, vias, write_request

POST = b"POST /a HTTP/1.1"
CHUNKED = b"Transfer-Encoding: chunked"


class FramingTests(WireTestCase):
    """One message has one end, for everybody."""

    def test_two_framings(self) -> None:
        """Content-Length beside Transfer-Encoding, whatever their order, values and spelling: the classic attack."""
        self.assert_fields_refused(
            400,
            (b"Content-Length: 6", CHUNKED),
            (CHUNKED, b"Content-Length: 6"),
            (b"Content-Length: 0", CHUNKED),
            (CHUNKED, b"Content-Length: 0"),
            (b"content-length: 6", b"X: y", b"TRANSFER-ENCODING: CHUNKED"),
            (CHUNKED, b"Connection: content-length", b"Content-Length: 6"),
            (CHUNKED, b"Connection: transfer-encoding", b"Content-Length: 6"),
            line=POST,
        )

    def test_two_lengths(self) -> None:
        """A doubled Content-Length is refused even where both agree: who merges them is not known."""
        self.assert_fields_refused(
            400,
            (b"Content-Length: 6", b"Content-Length: 6"),
            (b"Content-Length: 6", b"Content-Length: 5"),
            (b"Content-Length: 0", b"Content-Length: 0"),
            (b"Content-Length: 6", b"content-length: 0"),
            (b"Content-Length: 6", b"X: y", b"CONTENT-LENGTH: 7"),
            (b"Content-Length: 6", b"Content-Length:"),
            b"Content-Length: 6, 6",
            b"Content-Length: 6,6",
            b"Content-Length: 6,",
            b"Content-Length: ,6",
            line=POST,
        )

    def test_lengths_that_are_none(self) -> None:
        """A length is decimal digits; eighteen of them are more than any body has."""
        self.assert_fields_refused(
            400,
            *(
                b"Content-Length: " + value
                for value in (
                    b"", b"+3", b"-3", b"-0", b"0x3", b"0X3", b"x", b"3x", b"x3", b"3 0", b"3\t0", b"3.0", b"3e1",
                    b"'3'", b'"3"', b"3;", b"\xb3", b"\xd9\xa3", b"9999999999999999999", b"18446744073709551616",
                    b"18446744073709551617", b"340282366920938463463374607431768211456", b"0000000000000000003",
                )
            ),
            line=POST,
        )  # fmt: skip

    def test_lengths_are_written_anew(self) -> None:
        """What an instance reads is our number, not the client's spelling of it."""
        for value, length in ((b"0", 0), (b"007", 7), (b" 7 \t", 7), (b"999999999999999999", 10**18 - 1)):
            head = read(b"Content-Length:" + value, line=POST)
            self.assertEqual(head.length, length)
            self.assertIs(head.has_body, length > 0)
            self.assertEqual(relayed(b"content-LENGTH:" + value, line=POST), {b"content-length": b"%d" % length})

    def test_other_transfer_codings(self) -> None:
        """Only exactly "chunked" is understood; all else, known or garbled, is refused as not implemented."""
        self.assert_fields_refused(
            501,
            *(
                b"Transfer-Encoding: " + value
                for value in (
                    b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, identity", b"identity, chunked",
                    b"chunked, chunked", b"chunked,", b",chunked", b"xchunked", b"chunkedx", b"chunked;q=1",
                    b"identity", b"chunked ;", b"x-chunked", b"chunk", b"chunke", b'"chunked"', b"'chunked'",
                    b"chunked chunked", b"ch unked", b"cow", b"deflate", b"compress",
                    b"\xe3\x80\x80chunked", b"chunked\xa0", b"\x85chunked",
                )
            ),
            line=POST,
        )  # fmt: skip

    def test_transfer_codings_hidden_by_controls(self) -> None:
        """Control bytes, by which one reader may see the coding and another not, make it a bad request."""
        self.assert_fields_refused(
            400,
            b"Transfer-Encoding:",
            b"Transfer-Encoding: \x0bchunked",
            b"Transfer-Encoding: chunked\x0c",
            b"Transfer-Encoding: chunked\x00",
            b"Transfer-Encoding: \x1fchunked",
            b"Transfer-Encoding: chunked\r",
            b"Transfer-Encoding: chunked\x7f",
            b"Transfer-Encoding\x00: chunked",
            b"Transfer-Encoding : chunked",
            b"Transfer-Encoding\t: chunked",
            b" Transfer-Encoding: chunked",
            b"\x0bTransfer-Encoding: chunked",
            b"Transfer-Encoding:\r\n chunked",
            b"X: y\r\n\tTransfer-Encoding: chunked",
            b"X: y\rTransfer-Encoding: chunked",
            b"X: y\nTransfer-Encoding: chunked",
            b"X: y\n\rTransfer-Encoding: chunked",
            line=POST,
        )

    def test_two_transfer_encodings(self) -> None:
        """One such field, once: two are not joined, whatever they say."""
        for second in (b"chunked", b"identity", b"gzip", b"cow"):
            coding = b"Transfer-Encoding: " + second
            self.assertEqual(verdict(block(CHUNKED, coding, line=POST)), 400)
            self.assertIn(verdict(block(coding, CHUNKED, line=POST)), (400, 501))

    def test_transfer_encoding_in_http_1_0(self) -> None:
        """HTTP/1.0 has no chunks: its readers end the body elsewhere (RFC 9112 section 6.1)."""
        for fields in ((CHUNKED,), (CHUNKED, b"Connection: keep-alive"), (b"Content-Length: 3", CHUNKED)):
            self.assertEqual(verdict(block(*fields, line=b"POST /a HTTP/1.0")), 400)

    def test_the_version_is_judged_for_each_request(self) -> None:
        """The same fields that were fine in HTTP/1.1 are not in 1.0, in whichever order they come."""
        for _ in range(2):
            self.assertEqual(verdict(block(CHUNKED, line=b"POST /v HTTP/1.1")), ACCEPTED)
            self.assertEqual(verdict(block(CHUNKED, line=b"POST /v HTTP/1.0")), 400)

    def test_chunked_in_any_case(self) -> None:
        """Codings have no case; the instance gets it in lower case, once."""
        for value in (b"chunked", b"Chunked", b"CHUNKED", b"\tchunked ", b"cHuNkEd"):
            head = read(b"transfer-encoding:" + value, line=POST)
            self.assertTrue(head.chunked and head.has_body and head.length is None)
            self.assertEqual(relayed(b"Transfer-Encoding:" + value, line=POST), {b"transfer-encoding": b"chunked"})

    def test_no_body(self) -> None:
        """A request without framing fields has no body, whatever its method, and none is announced for it."""
        for method in (b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS"):
            head = read(line=method + b" /a HTTP/1.1")
            self.assertFalse(head.has_body or head.chunked or head.length is not None)
            self.assertEqual(relayed(line=method + b" /a HTTP/1.1"), {})

    def test_bodies_of_any_method(self) -> None:
        """A GET may have a body; its framing is passed on, so that nobody takes it for the next request."""
        for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH"):
            line = method + b" /a HTTP/1.1"
            self.assertEqual(relayed(b"Content-Length: 3", line=line), {b"content-length": b"3"})
            self.assertEqual(relayed(CHUNKED, line=line), {b"transfer-encoding": b"chunked"})

    def test_trace_has_no_body(self) -> None:
        """RFC 9110 section 9.3.8."""
        self.assert_fields_refused(400, b"Content-Length: 3", CHUNKED, line=b"TRACE / HTTP/1.1")
        self.assertEqual(verdict(block(b"Content-Length: 0", line=b"TRACE / HTTP/1.1")), ACCEPTED)

    def test_nominating_the_framing_does_not_remove_it(self) -> None:
        """Connection: content-length must not make an instance read a body as the next request."""
        for field, expected in (
            (b"Content-Length: 3", {b"content-length": b"3"}),
            (CHUNKED, {b"transfer-encoding": b"chunked"}),
        ):
            nominating = b"Connection: close, content-length, Transfer-Encoding"
            self.assertEqual(relayed(nominating, field, line=POST), expected)
            self.assertEqual(relayed(field, nominating, line=POST), expected)

    def test_framing_that_only_looks_like_it(self) -> None:
        """Near misses of framing names neither frame here nor there."""
        for field in (b"Content_Length: 3", b"Transfer_Encoding: chunked", b"Content-Lengt: 3", b"X-Content-Length: 3"):
            self.assertFalse(read(field, line=POST).has_body, field)


class HostTests(WireTestCase):
    def test_exactly_one(self) -> None:
        """No Host, or two, and an instance may serve another site than the one the route was chosen for."""
        self.assert_verdicts(
            {
                block(host=None): 400,
                block(host=b""): 400,
                block(host=b" \t"): 400,
                block(b"Host: example.com"): 400,
                block(b"Host: evil.example"): 400,
                block(b"host: example.com"): 400,
                block(b"HOST:"): 400,
                block(b"X: y", b"hOsT: evil.example"): 400,
                block(b"Host: a", b"Host: b", host=None): 400,
                block(b"Host: a", b"Host: b", line=b"GET / HTTP/1.0"): 400,
                block(b"Host: b", line=b"GET / HTTP/1.0"): 400,
                block(b"Host:", host=None, line=b"GET / HTTP/1.0"): 400,
                block(host=None, line=b"GET http://example.com/ HTTP/1.1"): 400,
                block(b"Host: b", line=b"GET http://example.com/ HTTP/1.1"): 400,
                block(host=b"a@b", line=b"GET http://example.com/ HTTP/1.1"): 400,
                block(host=None, line=b"OPTIONS * HTTP/1.1"): 400,
                block(b"Host : example.com", host=None): 400,
                block(b" Host: example.com", host=None): 400,
                block(b"X-Host: example.com", host=None): 400,
                block(b"Connection: host", b"Host: evil.example"): 400,
            }
        )

    def test_http_1_0_may_leave_it_out(self) -> None:
        """Old clients do not know it; then no host is known."""
        head = read(line=b"GET / HTTP/1.0", host=None)
        self.assertEqual((head.host, head.host_name), (b"", b""))
        self.assertEqual(read(line=b"GET http://a/ HTTP/1.0", host=None).host, b"a")

    def test_it_reaches_the_instance_first_and_once(self) -> None:
        """As the client wrote it, before all other fields, wherever it stood; nominating it changes nothing."""
        for fields in ((b"X: y",), (b"X: y", b"Connection: Host, X-Nobody"), (b"Connection: host",)):
            data = b"GET / HTTP/1.1\r\n" + b"".join(f + b"\r\n" for f in fields) + b"hOST: \tExample.com:81 \r\n"
            message = written(read_request(data, LIMITS))
            self.assertTrue(message.startswith(b"GET / HTTP/1.1\r\nHost: Example.com:81\r\n"), message)
            self.assertEqual([value for name, value in fields_of(message) if name == b"host"], [b"Example.com:81"])

    def test_a_request_can_change_its_host_without_changing_the_next_one(self) -> None:
        """Heads that came with the same bytes are told apart: what one exchange decides is its own."""
        first = read(line=b"GET / HTTP/1.0", host=None)
        first.host = b"chosen-by-route"
        first.wants_close = False
        second = read(line=b"GET / HTTP/1.0", host=None)
        self.assertEqual((second.host, second.wants_close), (b"", True))


class ConnectionTests(WireTestCase):
    def test_who_closes(self) -> None:
        """HTTP/1.1 stays open unless told to close, HTTP/1.0 the other way round; close wins over keep-alive."""
        for fields, in_1_1, in_1_0 in (
            ((), False, True),
            ((b"Connection: close",), True, True),
            ((b"Connection: keep-alive",), False, False),
            ((b"Connection: Keep-Alive, Close",), True, True),
            ((b"Connection: keep-alive", b"Connection: close"), True, True),
            ((b"Connection: close", b"Connection: keep-alive"), True, True),
            ((b"Connection: x-close",), False, True),
            ((b"Connection:",), False, True),
            ((b"Proxy-Connection: close",), False, True),
            ((b"Proxy-Connection: keep-alive",), False, True),
            ((b"Keep-Alive: timeout=5",), False, True),
        ):
            self.assertIs(read(*fields).wants_close, in_1_1, fields)
            self.assertIs(read(*fields, line=b"GET / HTTP/1.0").wants_close, in_1_0, fields)

    def test_nominated_fields_go(self) -> None:
        """What Connection names ends here (RFC 9110 section 7.6.1), in any spelling, list or number of fields."""
        for fields, expected in (
            ((b"Connection: X-A", b"X-A: 1", b"X-B: 2"), {b"x-b": b"2"}),
            ((b"X-A: 1", b"Connection: x-a"), {}),
            ((b"x-a: 1", b"X-A: 2", b"Connection: close, X-a"), {}),
            ((b"X-A: 1", b"X-B: 2", b"Connection: x-a", b"connection: ,x-b,"), {}),
            ((b"X-A: 1", b"Connection: x-ab"), {b"x-a": b"1"}),
            ((b"X-AB: 1", b"Connection: x-a"), {b"x-ab": b"1"}),
            ((b"X-A: 1", b"Connection: x-a;q=1"), {b"x-a": b"1"}),
            ((b"X-A: 1", b"Connection: keep-alive, x-a, x-nobody"), {}),
            ((b"Max-Forwards: 5", b"Connection: close"), {b"max-forwards": b"5"}),
        ):
            self.assertEqual(relayed(*fields), expected, fields)

    def test_what_must_stay_stays(self) -> None:
        """A client cannot take off by nomination what the gateway itself says to the instance."""
        names = b"host, via, x-request-id, x-forwarded-for, x-forwarded-proto, x-forwarded-host, content-length"
        head = read(b"Connection: " + names, b"Content-Length: 2", line=POST)
        message = written(head, b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n")
        there = [name for name, _ in fields_of(message)]
        self.assertEqual(sorted(there), sorted(names.split(b", ")))


class ExpectTests(WireTestCase):
    def test_continue(self) -> None:
        """The wish for a 100 goes with a body to the instance, which answers it; without a body it has no sense."""
        for value in (b"100-continue", b"100-Continue", b" 100-CONTINUE\t"):
            head = read(b"Expect:" + value, b"Content-Length: 3", line=POST)
            self.assertTrue(head.expect)
            self.assertEqual(
                relayed(b"Expect:" + value, b"Content-Length: 3", line=POST),
                {b"content-length": b"3", b"expect": b"100-continue"},
            )
            self.assertEqual(relayed(b"Expect:" + value, b"Content-Length: 0", line=POST), {b"content-length": b"0"})
            self.assertEqual(relayed(b"Expect:" + value, line=POST), {})

    def test_http_1_0_waits_for_nothing(self) -> None:
        """RFC 9110 section 10.1.1: the expectation of an HTTP/1.0 client is ignored."""
        line = b"POST / HTTP/1.0"
        self.assertFalse(read(b"Expect: 100-continue", b"Content-Length: 3", line=line).expect)
        self.assertEqual(relayed(b"Expect: 100-continue", b"Content-Length: 3", line=line), {b"content-length": b"3"})

    def test_others(self) -> None:
        """An expectation that nobody here can meet is refused, rather than passed to somebody who might not look."""
        for value in (b"", b"100", b"100-continue, x", b"x=1", b"100-continue;q=1", b"200-ok", b"100-continu\xc3\xa9"):
            self.assertEqual(verdict(block(b"Expect: " + value, line=POST)), 417, value)
        self.assertEqual(verdict(block(b"Expect: 100-continue", b"Expect: x", line=POST)), 417)


class UpgradeTests(WireTestCase):
    def test_only_where_connection_says_so(self) -> None:
        """Upgrade counts when Connection names it; the fields themselves always end here."""
        for fields, expected in (
            ((b"Upgrade: websocket", b"Connection: Upgrade"), b"websocket"),
            ((b"Connection: keep-alive, UPGRADE", b"Upgrade: WebSocket"), b"WebSocket"),
            ((b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AA"), b"h2c"),
            ((b"Upgrade: websocket", b"Upgrade: h2c", b"Connection: upgrade"), b"websocket, h2c"),
            ((b"Upgrade: websocket",), None),
            ((b"Connection: upgrade",), None),
            ((b"Upgrade: websocket", b"Connection: close"), None),
            ((b"Upgrade: websocket", b"Connection: x-upgrade"), None),
        ):
            self.assertEqual(read(*fields).upgrade, expected, fields)
            self.assertEqual(relayed(*fields), {}, fields)

    def test_http_1_0_cannot(self) -> None:
        """RFC 9110 section 7.8: the Upgrade of an HTTP/1.0 client is ignored, also when a 1.1 client asked first."""
        fields = (b"Upgrade: websocket", b"Connection: Upgrade")
        self.assertEqual(read(*fields).upgrade, b"websocket")
        self.assertIsNone(read(*fields, line=b"GET / HTTP/1.0").upgrade)

    def test_asking_the_instance(self) -> None:
        """A handshake goes on with Connection and Upgrade of our own, at the end of a whole head."""
        head = read(b"Upgrade: websocket, x", b"Connection: Upgrade", b"Sec-WebSocket-Key: k")
        there = dict(fields_of(upgrade_request(written(head), b"websocket")))
        self.assertEqual((there[b"upgrade"], there[b"connection"]), (b"websocket", b"Upgrade"))
        self.assertEqual(there[b"sec-websocket-key"], b"k")


class OtherFieldTests(WireTestCase):
    def test_trailers_are_wanted(self) -> None:
        """TE: trailers is said again to the instance, as our own wish for this hop; no other coding is."""
        wanted = {b"te": b"trailers", b"connection": b"TE"}
        for fields, expected in (
            ((b"TE: trailers",), wanted),
            ((b"TE: Trailers", b"Connection: TE"), wanted),
            ((b"TE: gzip;q=0.5 , trailers",), wanted),
            ((b"TE: gzip", b"TE: trailers"), wanted),
            ((b"TE: gzip",), {}),
            ((b"TE: xtrailers",), {}),
            ((b"TE: trailers-not",), {}),
            ((b"TE:",), {}),
        ):
            self.assertEqual(relayed(*fields), expected, fields)

    def test_max_forwards(self) -> None:
        """Counted down for OPTIONS and TRACE (RFC 9110 section 7.6.2), junk refused there; left alone elsewhere."""
        for method in (b"OPTIONS", b"TRACE"):
            line = method + b" / HTTP/1.1"
            self.assertEqual(relayed(b"Max-Forwards: 5", line=line), {b"max-forwards": b"4"})
            self.assertEqual(read(b"max-forwards: 0", line=line).max_forwards, 0)
            self.assert_fields_refused(
                400, *(b"Max-Forwards: " + v for v in (b"", b"-1", b"+1", b"x", b"1.0", b"1 1", b"9" * 10)), line=line
            )
        self.assertIsNone(read(b"Max-Forwards: 0").max_forwards)
        for value in (b"0", b"5", b"x"):
            self.assertEqual(relayed(b"Max-Forwards: " + value), {b"max-forwards": value})

    def test_max_forwards_nominated(self) -> None:
        """Naming it in Connection neither stops the count nor leaves two of them."""
        fields = (b"Max-Forwards: 3", b"Connection: max-forwards")
        self.assertEqual(relayed(*fields, line=b"TRACE / HTTP/1.1"), {b"max-forwards": b"2"})

    def test_request_id(self) -> None:
        """The client's id is known here, for those who trust it; the instance gets the one that was chosen."""
        self.assertEqual(read(b"X-Request-ID: mine").request_id, b"mine")
        self.assertEqual(read().request_id, b"")
        self.assertEqual(dict(fields_of(written(read(b"x-request-id: mine"))))[b"x-request-id"], b"id-1")

    def test_end_to_end_fields_pass_as_they_came(self) -> None:
        """Order, spelling, repetition and white space inside values are the client's."""
        lines = b"B: 2\r\na: 1\r\nb: 3\r\nCookie: x=1; y=2\r\nCookie: z\r\nX-\xff-no".split(b"\r\n")[:5]
        head = read(*lines, b"Connection: keep-alive", b"X:  a  b \t")
        self.assertEqual(head.lines, b"\r\nB: 2\r\na: 1\r\nb: 3\r\nCookie: x=1; y=2\r\nCookie: z\r\nX:  a  b \t\r\n")

    def test_via(self) -> None:
        """Our Via follows those of the proxies before us, and names the version that we were spoken to in."""
        for version in (b"1.0", b"1.1"):
            head = read(b"Via: 1.1 before", line=b"GET / HTTP/" + version)
            passed = [value for name, value in fields_of(written(head)) if name == b"via"]
            self.assertEqual(passed, [b"1.1 before", version + b" mesh"])
        self.assertEqual(vias("m")[1], b"Via: 1.1 m\r\nX-Request-Id: ")

    def test_the_whole_head(self) -> None:
        """Byte for byte, once: what a browser's request becomes."""
        head = read(b"Accept: */*", b"Connection: keep-alive", b"Content-Length: 3", line=b"PUT /s/a?b HTTP/1.0")
        self.assertEqual(
            write_request(head, b"/a?b", b"X-Forwarded-For: 1.2.3.4\r\n", VIA, b"7"),
            b"PUT /a?b HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\nX-Forwarded-For: 1.2.3.4\r\n"
            b"Via: 1.0 mesh\r\nX-Request-Id: 7\r\nContent-Length: 3\r\n\r\n",
        )

    def test_idempotent_methods(self) -> None:
        """RFC 9110 section 9.2.2: what may be sent twice. POST and PATCH may not."""
        self.assertEqual(IDEMPOTENT, {b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})


class RepetitionTests(WireTestCase):
    def test_reading_and_writing_again_changes_nothing(self) -> None:
        """Clients repeat themselves word for word: the hundredth time a head means what it meant the first time."""
        cases = (
            (b"X: y",),
            (b"Connection: x-a", b"X-A: 1"),
            (b"Content-Length: 5", b"Expect: 100-continue"),
            (CHUNKED, b"TE: trailers"),
            (b"X-Forwarded-For: 1.2.3.4", b"X-Request-Id: mine"),
            (b"Upgrade: websocket", b"Connection: Upgrade"),
            (b"Max-Forwards: 3",),
        )
        for fields in cases:
            for line in (b"POST /r HTTP/1.1", b"OPTIONS /r HTTP/1.1", b"OPTIONS http://else.example/ HTTP/1.1"):
                first = written(read(*fields, line=line))
                for _ in range(3):
                    self.assertEqual(written(read(*fields, line=line)), first)

    def test_many_different_heads(self) -> None:
        """However many different heads come by, none is taken for another, and what is remembered stays bounded."""
        import wmesh.wire.request as module

        for number in range(1500):
            head = read(b"X: %d" % number, b"Content-Length: %d" % number, line=b"PUT /%d HTTP/1.1" % number)
            self.assertEqual((head.target, head.length), (b"/%d" % number, number))
        for memo in (table for table in vars(module).values() if isinstance(table, dict) and len(table) > 100):
            self.assertLessEqual(len(memo), 1024)
