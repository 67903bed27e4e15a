"""Tests of wmesh.admin.resource and wmesh.admin.request: methods, names, and everything that goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from tests.admin.asking import AdminTestCase
from wmesh.admin.request import MAX_BODY, AdminRequest

JSON = {"Content-Type": "application/json"}


class MethodTests(AdminTestCase):
    def test_what_a_path_does_not_do(self) -> None:
        """Another method is a 405 that says which ones there are; the error has the shape of all the gateway's."""
        table = {
            ("POST", "/health"): "GET, HEAD",
            ("DELETE", "/services/pricing"): "GET, HEAD",
            ("PUT", "/services/pricing/scale"): "POST",
            ("GET", "/services/pricing/scale"): "POST",
            ("OPTIONS", "/services/pricing/scale"): "POST",
            ("BREW", "/status"): "GET, HEAD",
        }
        for (method, path), allowed in table.items():
            answer = self.ask(method, path)
            self.assertEqual((answer.status, answer.fields["allow"]), (405, allowed), method)
            self.assertEqual(set(answer.document), {"error", "reason", "service", "request_id"})
        self.assertEqual(self.controls.scaled, [])


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


class FailureTests(AdminTestCase):
    def test_a_bug_is_a_500_that_shows_nothing(self) -> None:
        """The client reads that it is not its fault and what to quote; the traceback is in the log."""
        self.controls.broken = ZeroDivisionError("the secret inside")
        answer = self.ask("GET", "/service-mesh/stats", {"X-Request-Id": "abc-3"})
        self.assertEqual((answer.status, answer.document["error"]), (500, "internal"))
        self.assertEqual(answer.document["request_id"], "abc-3")
        self.assertNotIn(b"secret", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_what_is_not_json_is_a_500_too(self) -> None:
        """A part that describes itself badly does not leave the client waiting."""
        self.controls.notes = [object()]
        self.assertEqual(self.ask("GET", "/status").status, 500)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_the_next_request_is_none_the_worse(self) -> None:
        """An error does not cost the connection."""
        connection = self.connect()
        for path, status in ((b"/nope", 404), (b"/health", 200)):
            connection.send(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
            answer = connection.read()
            assert answer is not None
            self.assertEqual(answer.status, status)


class LeavingTests(AdminTestCase):
    def test_an_operation_goes_on_without_its_client(self) -> None:
        """Who hangs up after asking for more instances still gets them, and nothing fails."""
        waiting: Deferred[Mapping[str, Any]] = Deferred()
        self.controls.answer = waiting
        connection = self.connect()
        connection.send(
            b"POST /services/pricing/scale HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b'Content-Length: 15\r\n\r\n{"instances":2}'
        )
        self.assertEqual(self.controls.scaled, [("pricing", 2)])
        self.assertIsNone(connection.read())
        connection.protocol.connectionLost(Failure(ConnectionLost()))
        waiting.callback({"target": 2})
        self.assertIsNone(connection.read())


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
