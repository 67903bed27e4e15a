"""Tests of wmesh.admin.explain: questions taken apart, and wrong ones answered with the right way to ask."""

from __future__ import annotations

from tests.admin.asking import REMOTE, AdminTestCase

EXPLAIN = "/service-mesh/explain"


class ExplainTests(AdminTestCase):
    def test_a_path(self) -> None:
        """With all that a request can have, or with what stands for it where nothing is said."""
        self.assertEqual(self.ask("GET", f"{EXPLAIN}?path=/shop/a%3Fb=c").document, {"pick": "a"})
        more = "method=PUT&host=shop.example&client=203.0.113.9&header=X-User:%20ann&header=Cookie:a=b:c"
        self.ask("GET", f"{EXPLAIN}?path=/&{more}")
        self.assertEqual(
            self.controls.asked,
            [
                ("", "GET", "/shop/a?b=c", "", "127.0.0.1", []),
                ("", "PUT", "/", "shop.example", "203.0.113.9", [("X-User", "ann"), ("Cookie", "a=b:c")]),
            ],
        )

    def test_a_service(self) -> None:
        """By its name, for a client."""
        self.ask("GET", f"{EXPLAIN}?service=pricing&client=::1")
        self.assertEqual(self.controls.asked, [("pricing", "GET", "", "", "::1", [])])

    def test_one_client_in_many_spellings(self) -> None:
        """Strategies hash the text of an address, so that of a connection has to be asked for."""
        for said, meant in (("2001:DB8:0:0::1", "2001:db8::1"), ("::ffff:10.0.0.9", "10.0.0.9"), ("::1", "::1")):
            self.ask("GET", f"{EXPLAIN}?service=pricing&client={said}")
            self.assertEqual(self.controls.asked.pop()[4], meant)

    def test_wrong_questions(self) -> None:
        """Each is told what would be right, and nobody is asked."""
        for query, words in (
            ("", "either a service or a path"),
            ("?service=a&path=/", "either a service or a path"),
            ("?service=", "either a service or a path"),
            ("?service=a&method=GET", "belong to a path"),
            ("?service=a&header=a:b", "belong to a path"),
            ("?path=/&header=", "NAME:VALUE"),
            ("?path=/&header=:b", "NAME:VALUE"),
            ("?path=/&client=localhost", "an IP address"),
            ("?path=/&client=%FF", "an IP address"),
            ("?path=/&path=/", "path is given more than once"),
            ("?paht=/", "unknown parameter paht; known: service, path"),
            ("?path=/&%FF=1", "unknown parameter"),
        ):
            answer = self.ask("GET", EXPLAIN + query)
            self.assertEqual((answer.status, words in answer.document["reason"]), (400, True), (query, answer))
        self.assertEqual(self.controls.asked, [])
        self.assertEqual(self.ask("POST", f"{EXPLAIN}?path=/").status, 405)


class DecisionTests(AdminTestCase):
    def test_one(self) -> None:
        """By its id; one that nobody remembers is not there."""
        self.assertEqual(self.ask("GET", "/service-mesh/decisions/r1").document, {"request_id": "r1"})
        self.assertEqual(self.ask("GET", "/service-mesh/decisions/r2").status, 404)

    def test_the_last_ones(self) -> None:
        """As many as were asked for, within bounds."""
        for query, count in (("", 3), ("?count=2", 2), ("?count=1000", 3)):
            self.assertEqual(len(self.ask("GET", f"/service-mesh/decisions{query}").document["decisions"]), count)
        for text in ("0", "1001", "-1", "1.5", "many", "%C2%B2", "9" * 30):
            self.assertEqual(self.ask("GET", f"/service-mesh/decisions?count={text}").status, 400, text)
        self.assertEqual(self.ask("GET", "/service-mesh/decisions?counts=1").status, 400)

    def test_only_for_operators(self) -> None:
        """What others asked for is nobody else's business; where a request would go is no secret."""
        for path in ("/service-mesh/decisions", "/service-mesh/decisions/r1"):
            self.assertEqual(self.ask("GET", path, peer=REMOTE).status, 403)
        self.assertEqual(self.ask("GET", f"{EXPLAIN}?path=/", peer=REMOTE).status, 200)
