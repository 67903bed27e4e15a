"""Tests of wmesh.admin.resource: methods, and everything that goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from tests.admin.asking import AdminTestCase

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
