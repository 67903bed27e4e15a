"""Tests of wmesh.proxy.local_reply: what clients are told when the gateway itself answers."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from wmesh.cluster.outcome import Outcome, Refusal
from wmesh.errors import WireError
from wmesh.proxy.local_reply import OUTCOMES, REASONS, WORDS, LocalReply, for_outcome, for_refusal, for_status

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"


def rendered(reply: LocalReply, connection: bytes = b"", with_body: bool = True) -> tuple[bytes, dict[str, str], bytes]:
    """(status line, fields by name in lower case, body)"""
    head, _, body = reply.render(b"id-1", DATE, connection, with_body).partition(b"\r\n\r\n")
    start, *lines = head.split(b"\r\n")
    fields = {}
    for line in lines:
        name, _, value = line.decode().partition(": ")
        assert name.lower() not in fields, line
        fields[name.lower()] = value
    return start, fields, body


class RenderTests(SynchronousTestCase):
    def test_the_whole(self) -> None:
        """A small JSON object with a word, a sentence, the service and the request's id."""
        start, fields, body = rendered(LocalReply(502, "instance_unreachable", "it is gone", "shop"))
        self.assertEqual(start, b"HTTP/1.1 502 Bad Gateway")
        self.assertEqual(
            json.loads(body),
            {"error": "instance_unreachable", "reason": "it is gone", "service": "shop", "request_id": "id-1"},
        )
        self.assertEqual(fields["content-length"], str(len(body)))
        self.assertEqual(fields["content-type"], "application/json")
        self.assertEqual((fields["date"], fields["x-request-id"]), (DATE.decode(), "id-1"))
        self.assertEqual(fields["cache-control"], "no-store")
        self.assertNotIn("connection", fields)

    def test_the_head_alone(self) -> None:
        """For HEAD: the same fields, no body."""
        reply = LocalReply(404, "no_route", "nowhere")
        self.assertEqual(rendered(reply, with_body=False)[:2], rendered(reply)[:2])
        self.assertEqual(rendered(reply, with_body=False)[2], b"")

    def test_fields_that_some_have(self) -> None:
        """Retry-After, Allow and Connection stand where they are wanted."""
        _, fields, _ = rendered(LocalReply(503, "full", "come again", retry_after=7), b"Connection: close\r\n")
        self.assertEqual((fields["retry-after"], fields["connection"]), ("7", "close"))
        _, fields, _ = rendered(LocalReply(405, "method_not_allowed", "no", allow="GET, HEAD"))
        self.assertEqual(fields["allow"], "GET, HEAD")

    def test_what_a_client_sent_is_not_believed(self) -> None:
        """Reasons may quote the request: nothing in them gets out of the body, or breaks the JSON."""
        start, fields, body = rendered(LocalReply(404, "no_route", 'no route takes /"\r\nSet-Cookie: x\u2028<script>'))
        self.assertEqual(start, b"HTTP/1.1 404 Not Found")
        self.assertNotIn("set-cookie", fields)
        self.assertIn("Set-Cookie", json.loads(body)["reason"])

    def test_an_odd_request_id(self) -> None:
        """An id that a trusted proxy gave need not be ASCII."""
        reply = LocalReply(404, "no_route", "nowhere").render(b"\xff-id", DATE, b"", True)
        self.assertIn(b"X-Request-Id: \xff-id\r\n", reply)
        json.loads(reply.partition(b"\r\n\r\n")[2])


class MapTests(SynchronousTestCase):
    def test_refusals(self) -> None:
        """Nobody free: 503, the word and the time of the refusal."""
        reply = for_refusal(Refusal("service_full", "5 of 5", 3), "shop")
        self.assertEqual(
            (reply.status, reply.error, reply.reason, reply.service, reply.retry_after),
            (503, "service_full", "5 of 5", "shop", 3),
        )

    def test_every_failure_has_an_answer(self) -> None:
        """Each way in which an attempt may fail is a 502, or a 504 where time ran out."""
        for outcome in (Outcome.CONNECT_FAILED, Outcome.RESET, Outcome.TIMEOUT, Outcome.INVALID):
            reply = for_outcome(outcome, "because", "shop")
            self.assertEqual(reply.status, 504 if outcome is Outcome.TIMEOUT else 502)
            rendered(reply)
        self.assertEqual(len({word for _, word in OUTCOMES.values()}), len(OUTCOMES))

    def test_every_status_has_its_words(self) -> None:
        """Whatever `wire` finds wrong can be said."""
        for status in (400, 408, 414, 417, 431, 501, 505):
            fault = WireError("because", status)
            reply = for_status(fault.status, fault.reason)
            self.assertEqual((reply.error, reply.reason), (WORDS[status], "because"))
            rendered(reply)
        self.assertLessEqual(set(WORDS), set(REASONS))
