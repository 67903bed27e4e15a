"""Tests of wmesh.wire.response: what an instance may say, and what a client gets of it."""

from __future__ import annotations

from tests.wire.heads import LIMITS, TCHAR, VIA, WireTestCase, answer, fields_of
from wmesh.errors import WireError
from wmesh.wire.response import Body, read_response, write_interim, write_response, write_switch

DATE = b"Fri, 31 Jan 2025 12:00:00 GMT"
CHUNKED = b"Transfer-Encoding: chunked"
OK_1_0 = b"HTTP/1.0 200 OK"


def sent(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK", is_head: bool = False, chunked: bool | None = None) -> bytes:
    head = answer(*fields, line=line, is_head=is_head)
    in_chunks = head.body >= Body.CHUNKED if chunked is None else chunked
    return write_response(head, in_chunks, VIA, b"id-1", DATE, b"")


def passed(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK", is_head: bool = False) -> dict[bytes, bytes]:
    """What the client gets of these fields; what is always there is left out."""
    pairs = fields_of(sent(*fields, line=line, is_head=is_head))
    there = dict(pairs)
    if len(there) != len(pairs):
        raise AssertionError(f"doubled fields: {pairs}")
    for name in (b"via", b"x-request-id", b"date"):
        del there[name]
    return there


class FramingTests(WireTestCase):
    def refused(self, *fields: bytes, line: bytes = b"HTTP/1.1 200 OK") -> None:
        fault = self.assertRaises(WireError, answer, *fields, line=line)
        self.assertEqual(fault.status, 502, fields)

    def test_how_the_end_is_known(self) -> None:
        """By length, by chunks, or by the end of the connection, and then it takes no other request."""
        for fields, line, body, length, keep in (
            ((b"Content-Length: 5",), b"HTTP/1.1 200 OK", Body.LENGTH, 5, True),
            ((b"content-length:0",), b"HTTP/1.1 200 OK", Body.LENGTH, 0, True),
            ((CHUNKED,), b"HTTP/1.1 200 OK", Body.CHUNKED, None, True),
            ((b"transfer-encoding: Chunked ",), b"HTTP/1.1 404 No", Body.CHUNKED, None, True),
            ((), b"HTTP/1.1 200 OK", Body.UNTIL_CLOSE, None, False),
            ((b"Connection: keep-alive",), b"HTTP/1.1 200 OK", Body.UNTIL_CLOSE, None, False),
            ((), OK_1_0, Body.UNTIL_CLOSE, None, False),
            ((b"Content-Length: 5",), OK_1_0, Body.LENGTH, 5, False),
            ((b"Content-Length: 5", b"Connection: Keep-Alive"), OK_1_0, Body.LENGTH, 5, True),
            ((b"Content-Length: 5", b"Connection: close"), b"HTTP/1.1 200 OK", Body.LENGTH, 5, False),
            ((b"Content-Length: 5", b"Connection: keep-alive, close"), b"HTTP/1.1 200 OK", Body.LENGTH, 5, False),
            ((b"Content-Length: 5",), b"HTTP/1.1 205 Reset Content", Body.LENGTH, 5, True),
            ((b"Content-Length: 5",), b"HTTP/1.1 500 No", Body.LENGTH, 5, True),
        ):
            head = answer(*fields, line=line)
            self.assertEqual((head.body, head.length, head.keep), (body, length, keep), (fields, line))

    def test_answers_without_a_body(self) -> None:
        """1xx, 204, 304 and answers to HEAD end with their head, whatever length or coding they announce."""
        for fields in ((), (b"Content-Length: 5",), (CHUNKED,)):
            for line in (b"HTTP/1.1 100 Continue", b"HTTP/1.1 103 Early Hints", b"HTTP/1.1 204 No Content"):
                head = answer(*fields, line=line)
                self.assertEqual((head.body, head.length), (Body.NONE, None), (fields, line))
            self.assertIs(answer(*fields, line=b"HTTP/1.1 304 Not Modified").body, Body.NONE)
            self.assertIs(answer(*fields, is_head=True).body, Body.NONE)

    def test_lengths_of_bodies_that_are_not_sent(self) -> None:
        """The length in an answer to HEAD, or in a 304, is information: it stays. In a 204 it is a mistake: it goes."""
        self.assertEqual(passed(b"Content-Length: 5", is_head=True), {b"content-length": b"5"})
        self.assertEqual(passed(b"Content-Length: 5", line=b"HTTP/1.1 304 Not Modified"), {b"content-length": b"5"})
        self.assertEqual(passed(b"Content-Length: 5", line=b"HTTP/1.1 204 No Content"), {})
        self.assertEqual(passed(CHUNKED, is_head=True), {})
        self.assertEqual(passed(CHUNKED, line=b"HTTP/1.1 204 No Content"), {})

    def test_the_same_bytes_answer_get_and_head(self) -> None:
        """One and the same head means a body after GET and none after HEAD, in whichever order they come."""
        for length in (b"Content-Length: 41", b"Content-Length: 42"):
            for is_head in (length.endswith(b"1"), not length.endswith(b"1")) * 2:
                self.assertIs(answer(length, is_head=is_head).body, Body.NONE if is_head else Body.LENGTH)

    def test_two_framings(self) -> None:
        """A client and we could disagree on where such an answer ends: 502."""
        self.refused(b"Content-Length: 5", CHUNKED)
        self.refused(CHUNKED, b"Content-Length: 5")
        self.refused(CHUNKED, b"Content-Length: 0")
        self.refused(b"Content-Length: 5", CHUNKED, line=b"HTTP/1.1 304 Not Modified")
        self.refused(b"Content-Length: 5", CHUNKED, line=b"HTTP/1.1 204 No Content")
        self.refused(b"Connection: content-length", b"Content-Length: 5", CHUNKED)

    def test_lengths(self) -> None:
        """Doubled, listed or garbled lengths are refused, also where they seem to agree."""
        self.refused(b"Content-Length: 5", b"Content-Length: 5")
        self.refused(b"Content-Length: 5", b"content-length: 6")
        for value in (b"", b"+5", b"-5", b"5, 5", b"5,", b"0x5", b"5 5", b"5.0", b"x", b"9" * 19, b"9" * 30, b"\xb2"):
            self.refused(b"Content-Length: " + value)

    def test_transfer_codings(self) -> None:
        """What we cannot undo, or what HTTP/1.0 does not have, cannot be passed on as a whole answer."""
        for value in (b"gzip", b"gzip, chunked", b"chunked, gzip", b"identity", b"xchunked", b"chunked;x", b"", b","):
            self.refused(b"Transfer-Encoding: " + value)
        self.refused(CHUNKED, CHUNKED)
        self.refused(CHUNKED, b"Transfer-Encoding: identity")
        self.refused(CHUNKED, line=OK_1_0)
        self.refused(CHUNKED, b"Connection: keep-alive", line=OK_1_0)

    def test_lines_that_could_split_an_answer(self) -> None:
        """Bare CR or LF, folded lines and controls are a 502, so no client ever sees two answers in one."""
        for field in (
            b"X: y\nSet-Cookie: a=b",
            b"X: y\rSet-Cookie: a=b",
            b"X: y\r\n Set-Cookie: a=b",
            b"X : y",
            b" X: y",
            b"X: \0",
            b"X: \x1b",
            b"X",
            b": y",
            b"HTTP/1.1 200 OK",
            b"Transfer-Encoding : chunked",
            b"Content-Length\t: 5",
        ):
            self.refused(field)

    def test_every_byte_in_a_name(self) -> None:
        """Names are tokens in answers, too."""
        for byte in set(range(256)) - TCHAR - {ord(":")}:
            self.refused(b"X" + bytes([byte]) + b"Y: 1")

    def test_status_lines(self) -> None:
        """A bad status line is a 502, whatever follows it."""
        for line in (b"HTTP/1.1 600 X", b"HTTP/1.1 99 X", b"HTTP/2.0 200 OK", b"200 OK", b"", b"HTTP/1.1 200 \x00"):
            self.refused(b"Content-Length: 0", line=line)

    def test_too_many_fields(self) -> None:
        """An instance gone mad is cut off."""
        data = b"HTTP/1.1 200 OK\r\n" + b"X-Mad: y\r\n" * 11
        self.assertEqual(self.assertRaises(WireError, read_response, data, True, 10).status, 502)
        self.assertEqual(read_response(data, True, 11).status, 200)


class FieldTests(WireTestCase):
    def test_hop_by_hop_fields_end_here(self) -> None:
        """What an instance says to the gateway is not for the client."""
        for field in (
            b"Connection: close",
            b"Connection: keep-alive",
            b"Keep-Alive: timeout=5",
            b"Proxy-Connection: close",
            b"Upgrade: h2c",
            b"TE: trailers",
            b"Proxy-Authenticate: Basic",
            b"X-Request-Id: theirs",
        ):
            for spelling in (field, field.lower(), field.upper()):
                self.assertEqual(passed(spelling, b"Content-Length: 0"), {b"content-length": b"0"}, spelling)

    def test_nominated_fields_go(self) -> None:
        """Connection names more of them; it cannot name our own framing."""
        fields = (b"Connection: x-a, Content-Length, transfer-encoding", b"X-A: 1", b"x-b: 2", b"X-a: 3")
        self.assertEqual(passed(*fields, b"Content-Length: 0"), {b"x-b": b"2", b"content-length": b"0"})
        self.assertEqual(passed(*fields, CHUNKED), {b"x-b": b"2", b"transfer-encoding": b"chunked"})

    def test_end_to_end_fields_pass_as_they_came(self) -> None:
        """Two cookies stay two, in order; bytes above ASCII and names with underscores are nobody's harm here."""
        fields = (b"Set-Cookie: a", b"set-cookie: b", b"X_Y: caf\xc3\xa9", b"Server: x", b"Content_Length: 3")
        head = answer(*fields, b"Connection: close", b"Content-Length: 0")
        self.assertEqual(head.lines, b"\r\n" + b"".join(field + b"\r\n" for field in fields))

    def test_date_is_filled_in_where_it_is_missing(self) -> None:
        """RFC 9110 section 6.6.1; the instance's own Date stays, and there are never two."""
        for fields, expected in (
            ((), DATE),
            ((b"Date: theirs",), b"theirs"),
            ((b"date:theirs",), b"theirs"),
            ((b"DATE: theirs",), b"theirs"),
            ((b"X: Date: theirs",), DATE),
            ((b"Dates: theirs",), DATE),
            ((b"Date: theirs", b"Connection: date"), DATE),
        ):
            dates = [value for name, value in fields_of(sent(*fields)) if name == b"date"]
            self.assertEqual(dates, [expected], fields)

    def test_via_names_what_the_instance_spoke(self) -> None:
        """Our Via comes after those of proxies behind us."""
        for line, version in ((OK_1_0, b"1.0"), (b"HTTP/1.1 200 OK", b"1.1")):
            passed_on = [value for name, value in fields_of(sent(b"Via: 1.1 behind", line=line)) if name == b"via"]
            self.assertEqual(passed_on, [b"1.1 behind", version + b" mesh"])


class WritingTests(WireTestCase):
    def test_the_whole_head(self) -> None:
        """Byte for byte, once; an HTTP/1.0 answer becomes one of HTTP/1.1."""
        head = answer(b"Server: x", b"Date: d", b"Content-Length: 5", line=OK_1_0)
        self.assertEqual(
            write_response(head, False, VIA, b"7", DATE, b"Connection: close\r\n"),
            b"HTTP/1.1 200 OK\r\nServer: x\r\nDate: d\r\nVia: 1.0 mesh\r\nX-Request-Id: 7\r\n"
            b"Content-Length: 5\r\nConnection: close\r\n\r\n",
        )

    def test_framing_for_the_client(self) -> None:
        """A length that is known, chunks where it is not, or, for HTTP/1.0, nothing but the end of the connection."""
        self.assertEqual(passed(b"Content-Length: 005"), {b"content-length": b"5"})
        self.assertEqual(passed(), {b"transfer-encoding": b"chunked"})
        self.assertEqual(passed(CHUNKED), {b"transfer-encoding": b"chunked"})
        self.assertNotIn(b"transfer-encoding", dict(fields_of(sent(CHUNKED, chunked=False))))

    def test_a_missing_reason_stays_missing(self) -> None:
        """The space behind the status is there all the same (RFC 9112 section 4)."""
        for line in (b"HTTP/1.1 299", b"HTTP/1.1 299 "):
            self.assertTrue(sent(line=line).startswith(b"HTTP/1.1 299 \r\n"))

    def test_interim_answers(self) -> None:
        """A 103 keeps its links and loses what is said to us; it has neither framing nor Via of our own."""
        head = answer(b"Link: </a>", b"Connection: x", b"X: y", b"Content-Length: 3", line=b"HTTP/1.1 103 Early Hints")
        self.assertEqual(write_interim(head), b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        self.assertEqual(write_interim(answer(line=b"HTTP/1.1 100")), b"HTTP/1.1 100 \r\n\r\n")

    def test_switching_protocols(self) -> None:
        """A 101 says again what was agreed, and passes on the rest of the handshake."""
        line = b"HTTP/1.1 101 Switching Protocols"
        head = answer(b"Upgrade: WebSocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: k", line=line)
        self.assertEqual((head.upgrade, head.body), (b"WebSocket", Body.NONE))
        message = write_switch(head, b"websocket", VIA, b"7")
        self.assertTrue(message.startswith(line + b"\r\n"))
        self.assertEqual(
            dict(fields_of(message)),
            {
                b"sec-websocket-accept": b"k",
                b"connection": b"Upgrade",
                b"upgrade": b"websocket",
                b"via": b"1.1 mesh",
                b"x-request-id": b"7",
            },
        )

    def test_writing_a_head_twice(self) -> None:
        """Answers repeat themselves word for word: each is read and written as if it were the first."""
        first = sent(b"Connection: x", b"X: y", b"Content-Length: 3")
        for _ in range(3):
            self.assertEqual(sent(b"Connection: x", b"X: y", b"Content-Length: 3"), first)
        self.assertLessEqual(len(first), LIMITS.head)
