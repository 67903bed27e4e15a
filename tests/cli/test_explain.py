"""`wmesh explain` against an admin side of its own: what it asks, what it prints, how it ends."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.admin_side import CommandCase

PICKED: dict[str, Any] = {
    "route": "/shop/",
    "target": "/cart",
    "bound": None,
    "service": "pricing",
    "strategy": "round_robin",
    "subset": "version=2",
    "zone": None,
    "panic": False,
    "key": None,
    "pick": "p1",
    "why": "picked by round_robin",
    "waiting": 0,
    "candidates": [
        {"id": "p1", "address": "10.0.0.1:80", "score": 0.5, "note": "its turn", "in_flight": 0, "reasons": []}
    ],
    "excluded": [{"id": "p2", "address": "10.0.0.2:80", "reasons": ["admin state is drain", "health is unknown"]}],
    "candidates_total": 201,
    "excluded_total": 1,
}
BECAME: dict[str, Any] = {
    "request_id": "r1",
    "ago_seconds": 2.5,
    "began_at": 1.0,
    "milliseconds": 12.0,
    "method": "GET",
    "target": "/shop/cart",
    "route": "/shop/",
    "service": "pricing",
    "strategy": "round_robin",
    "status": 200,
    "instance": "p1",
    "steps": [{"at_ms": 1.5, "what": "p2: reset: gone"}],
}


class ExplainTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.documents["/service-mesh/explain?path=%2Fshop%2Fcart"] = PICKED

    def test_a_path(self) -> None:
        """Route, pick and why, then everybody with score or reasons; what is not shown is counted."""
        status, out, err = self.wmesh("explain", "/shop/cart")
        self.assertEqual((status, err), (0, ""))
        for words in (
            "route      /shop/, which the instance sees as /cart",
            "service    pricing, round_robin",
            "subset     version=2",
            "pick       p1: picked by round_robin",
            "10.0.0.1:80",
            "its turn",
            "admin state is drain; health is unknown",
            "200 more candidates are not shown",
        ):
            self.assertIn(words, out)

    def test_a_whole_url_and_everything_else(self) -> None:
        """What belongs to a request is asked for as it is."""
        query = "client=%3A%3A1&path=%2Fa%3Fb%3Dc&host=shop.example%3A8000&method=PUT&header=X-User%3A+ann"
        self.documents[f"/service-mesh/explain?{query}"] = PICKED
        options = ("--method", "PUT", "--client", "::1", "--header", "X-User: ann")
        self.assertEqual(self.wmesh("explain", "http://shop.example:8000/a?b=c#d", *options)[0], 0)

    def test_nobody(self) -> None:
        """Then the exit status is 1: a script can ask."""
        nobody = {**PICKED, "pick": None, "why": "instances_full: every instance has its limit", "candidates": []}
        self.documents["/service-mesh/explain?service=pricing"] = nobody
        status, out, _ = self.wmesh("explain", "--service", "pricing")
        self.assertEqual((status, "pick       nobody: instances_full" in out), (1, True))
        self.documents["/service-mesh/explain?path=%2Felse"] = {
            "route": None,
            "service": None,
            "why": "no_route: no route takes /else",
        }
        status, out, _ = self.wmesh("explain", "/else")
        self.assertEqual((status, out), (1, "pick       nobody: no_route: no route takes /else\n"))

    def test_a_request(self) -> None:
        """What became of it, step by step; broken off, or answered by the gateway itself."""
        self.documents["/service-mesh/decisions/r1"] = BECAME
        status, out, _ = self.wmesh("explain", "--request", "r1")
        self.assertEqual(status, 0)
        self.assertIn("answer     200 after 12 ms, from p1", out)
        self.assertIn("1.5 ms p2: reset: gone", out)
        self.documents["/service-mesh/decisions/r2"] = {**BECAME, "status": None, "instance": None, "service": None}
        out = self.wmesh("explain", "--request", "r2")[1]
        self.assertIn("answer     broken off after 12 ms, from the gateway itself", out)

    def test_json(self) -> None:
        """Programs get the document."""
        status, out, _ = self.wmesh("explain", "/shop/cart", "--json")
        self.assertEqual((status, json.loads(out)), (0, PICKED))

    def test_called_wrongly(self) -> None:
        """Nothing, or two things at once: 2. Unknown to the gateway: 1, with its reason."""
        for arguments in ((), ("/a", "--service", "b"), ("--service", "a", "--request", "b")):
            status, out, err = self.wmesh("explain", *arguments)
            self.assertEqual((status, out, "explain what?" in err), (2, "", True), arguments)
        status, out, err = self.wmesh("explain", "--request", "nope")
        self.assertEqual((status, out, "no such service" in err), (1, "", True))

    def test_options_that_have_no_meaning(self) -> None:
        """They are not passed over: whoever gave them would take the answer for another one."""
        for arguments in (
            ("--service", "pricing", "--method", "PUT"),
            ("--service", "pricing", "--header", "a:b"),
            ("--request", "r1", "--header", "a:b"),
            ("--request", "r1", "--client", "::1"),
        ):
            status, out, err = self.wmesh("explain", *arguments)
            self.assertEqual((status, out, arguments[2] in err), (2, "", True), (arguments, err))

    def test_what_is_no_url(self) -> None:
        """A slip of the pen is a message, not a traceback."""
        status, _, err = self.wmesh("explain", "http://[::1/shop")
        self.assertEqual((status, "not a URL" in err), (2, True), err)

    def test_a_section_of_its_own(self) -> None:
        """What it sets is shown; older gateways say nothing of it."""
        own = {"section": "route:pay", "options": {"retry_attempts": "0", "fallback_file": ""}}
        self.documents["/service-mesh/explain?path=%2Fpay"] = {**PICKED, **own, "overridden": ["retry_attempts"]}
        self.assertIn("section    [route:pay]: retry_attempts = 0\n", self.wmesh("explain", "/pay")[1])
        self.documents["/service-mesh/explain?path=%2Fpay"] = {**PICKED, **own, "overridden": ["fallback_file"]}
        self.assertIn("section    [route:pay]: fallback_file = (empty)\n", self.wmesh("explain", "/pay")[1])
        self.documents["/service-mesh/explain?path=%2Fpay"] = {**PICKED, **own, "overridden": []}
        self.assertIn("section    [route:pay]\n", self.wmesh("explain", "/pay")[1])

    def test_hedging(self) -> None:
        """When another instance would be asked as well."""
        path = "/service-mesh/explain?path=%2Fpay"
        self.documents[path] = {**PICKED, "hedging": {"after_ms": 12.5, "samples": 300}}
        self.assertIn("hedged     after 12.5 ms; 300 answers are known\n", self.wmesh("explain", "/pay")[1])
        self.documents[path] = {**PICKED, "hedging": {"after_ms": 12.5, "samples": None}}
        self.assertIn("hedged     after 12.5 ms\n", self.wmesh("explain", "/pay")[1])
        self.documents[path] = {**PICKED, "hedging": {"after_ms": None, "samples": 3}}
        self.assertIn("hedged     not yet; 3 answers are known\n", self.wmesh("explain", "/pay")[1])
