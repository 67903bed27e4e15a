"""Tests of wmesh.admin.request: names, bounds, and who asks."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from tests.admin.asking import LOCAL, REMOTE, AdminTestCase
from wmesh.admin.request import MAX_BODY, AdminRequest, Reply

JSON = {"Content-Type": "application/json"}


class RequestIdTests(AdminTestCase):
    def test_it_is_echoed(self) -> None:
        """The name that the gateway gave a request is on its answer, and in the body of an error."""
        self.assertEqual(self.ask("GET", "/health", {"X-Request-Id": "abc-1"}).fields["x-request-id"], "abc-1")
        missing = self.ask("GET", "/nope", {"X-Request-Id": "abc-2"})
        self.assertEqual((missing.fields["x-request-id"], missing.document["request_id"]), ("abc-2", "abc-2"))

    def test_without_one_or_with_nonsense_it_gets_a_new_one(self) -> None:
        """Every answer has a name to ask about, and nobody writes whatever they like into our logs."""
        names = [
            self.ask("GET", "/health", fields).fields["x-request-id"]
            for fields in ({}, {"X-Request-Id": "x" * 500}, {"X-Request-Id": "caf\xe9"}, {"X-Request-Id": ""})
        ]
        self.assertEqual(len(set(names)), len(names))
        self.assertTrue(all(len(name) == 16 for name in names), names)


class BodyTests(AdminTestCase):
    def test_large_bodies_are_not_kept(self) -> None:
        """More than 64 KiB is refused, whether its length was announced or not, and is never held in memory."""
        large = b'{"instances": 2, "filler": "' + b"x" * 70_000 + b'"}'
        self.assertEqual(self.ask("POST", "/services/pricing/scale", JSON, large).status, 413)
        made: list[AdminRequest] = []

        def remember(*given: Any, **options: Any) -> AdminRequest:
            made.append(AdminRequest(*given, **options))
            return made[-1]

        self.site.requestFactory = remember
        connection = self.connect()
        connection.send(
            b"POST /services/pricing/scale HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(100):
            connection.send(b"400\r\n" + b" " * 1024 + b"\r\n")
        (request,) = made
        self.assertTrue(request.oversized)
        self.assertLessEqual(request.content.tell(), MAX_BODY)
        connection.send(b"0\r\n\r\n")
        answer = connection.read()
        assert answer is not None
        self.assertEqual((answer.status, answer.document["error"]), (413, "body_too_large"))

    def test_bodies_up_to_the_limit_are_fine(self) -> None:
        """White space is no fault."""
        body = b'{"instances": 2}' + b" " * (64 * 1024 - 16)
        self.assertEqual(self.ask("POST", "/services/pricing/scale", JSON, body).status, 202)


class RequestCase(AdminTestCase):
    def asked(self, *lines: bytes, peer: IAddress = LOCAL) -> AdminRequest:
        """A request with these header lines, as an answer would get it."""
        made: list[AdminRequest] = []

        def remember(*given: Any, **options: Any) -> AdminRequest:
            made.append(AdminRequest(*given, **options))
            return made[-1]

        self.site.requestFactory = remember
        self.connection = self.connect(peer)
        self.connection.send(b"\r\n".join([b"GET /health HTTP/1.1", b"Host: x", *lines, b"", b""]))
        (request,) = made
        return request


class FieldTests(RequestCase):
    def test_one_list(self) -> None:
        """Lines of one name are one list; what is no UTF-8 is no error; absent is not empty."""
        request = self.asked(b"Accept: a", b"X-Odd: caf\xe9", b"ACCEPT: b", b"X-Empty:")
        self.assertEqual(request.field("accept"), "a, b")
        self.assertEqual(request.field("x-odd"), "caf\xe9")
        self.assertEqual((request.field("x-empty"), request.field("x-none")), ("", None))


class ClientsTests(RequestCase):
    def clients(self, *lines: bytes, peer: IAddress = LOCAL) -> list[str] | None:
        found = self.asked(*lines, peer=peer).clients()
        return None if found is None else [str(one) for one in found]

    def test_by_itself(self) -> None:
        """The peer, in the plain form of its address; behind a Unix socket there is none."""
        self.assertEqual(self.clients(), ["127.0.0.1"])
        self.assertEqual(self.clients(peer=IPv6Address("TCP", "::ffff:203.0.113.9", 1)), ["203.0.113.9"])
        self.assertEqual(self.clients(peer=UNIXAddress(None)), [])

    def test_through_this_machine(self) -> None:
        """Everybody that a relay on this machine names, in all lines of the field, instead of the relay."""
        lines = (b"X-Forwarded-For: 203.0.113.9, [2001:db8::1]", b"X-Forwarded-For: ::ffff:198.51.100.1")
        expected = ["203.0.113.9", "2001:db8::1", "198.51.100.1"]
        for peer in (LOCAL, IPv6Address("TCP", "::1", 1), UNIXAddress(None)):
            self.assertEqual(self.clients(*lines, peer=peer), expected)

    def test_a_claim_from_afar(self) -> None:
        """Another machine relays for nobody: it is the client."""
        self.assertEqual(self.clients(b"X-Forwarded-For: 127.0.0.1", peer=REMOTE), ["203.0.113.9"])

    def test_not_clear(self) -> None:
        """One hop that cannot be read makes the whole list worthless; so does a peer without a readable address."""
        self.assertIsNone(self.clients(b"X-Forwarded-For: 127.0.0.1, unknown"))
        self.assertIsNone(self.clients(peer=IPv4Address("TCP", "somewhere", 1)))


class AnswerTests(RequestCase):
    def test_once(self) -> None:
        """A second answer to the same request is not sent."""
        request = self.asked()
        first = self.connection.read()
        assert first is not None
        self.assertEqual(first.status, 200)
        request.answer(Reply({"second": True}, 500))
        self.assertIsNone(self.connection.read())

    def test_what_json_can_say(self) -> None:
        """Texts with half a character in them (from JSON, as it may be written) are shown, not an error."""
        self.assertEqual(Reply({"a": "\ud800é"}).body().decode(), '{\n  "a": "\\ud800é"\n}\n')

    def test_safe_to_show(self) -> None:
        """No browser guesses another type, no cache keeps it, and fields of the answer itself win."""
        answer = self.ask("GET", "/health")
        self.assertEqual(answer.fields["x-content-type-options"], "nosniff")
        self.assertEqual(answer.fields["cache-control"], "no-store")
        self.assertEqual(answer.fields["server"], "wmesh")
