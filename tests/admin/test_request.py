"""Tests of wmesh.admin.request: names, bounds, and who asks."""

from __future__ import annotations

from typing import Any

from tests.admin.asking import AdminTestCase
from wmesh.admin.request import MAX_BODY, AdminRequest

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
