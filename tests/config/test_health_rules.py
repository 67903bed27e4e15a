"""Combinations of check options: what would be ignored is refused, with the way out; what makes sense is not."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.config.texts import good, problems, service

PATH = "health_endpoint = /health"


def kind(name: str) -> str:
    return f"health_check_type = {name}"


class CombinationTests(SynchronousTestCase):
    def refuses(self, option: str, words: str, *lines: str) -> None:
        found = problems(service(*lines))
        self.assertEqual([problem.option for problem in found], [option], (lines, found))
        self.assertIn(words, f"{found[0].message}; {found[0].hint}")

    def test_what_each_kind_takes(self) -> None:
        """All that a kind of check can use is accepted with it."""
        asks = ("health_check_host = a.example", "health_check_headers = X-A: 1", "health_check_expected_body = ok")
        answer = ("health_check_method = POST", "health_check_expected_status = 2xx")
        tls = ("health_check_tls_name = a.example", "health_check_tls_ca = ca.pem", "health_check_tls_warn = 0")
        for lines in (
            (PATH, *asks, *answer),
            (PATH, kind("https"), *asks, *answer, *tls),
            (PATH, kind("http"), "health_check_tls = yes", *tls),
            (kind("websocket"), *asks, "health_check_message = hello"),
            (PATH, kind("websocket"), "health_check_tls = yes", *tls),
            (
                kind("tcp"),
                "health_check_tls = yes",
                "health_check_tls_verify = no",
                "health_check_tls_name = a.example",
            ),
            ("health_check_port = 9090", "health_check_id_header ="),
            ("protocol = websocket", PATH),
        ):
            self.assertEqual(problems(service(*lines)), (), lines)

    def test_defaults(self) -> None:
        """A path asks for http whatever the protocol is; without one, a connection is enough."""
        for lines, expected in (
            ((), ("tcp", False)),
            ((PATH, "protocol = websocket"), ("http", False)),
            ((PATH, kind("HTTPS")), ("http", True)),
            ((kind("websocket"),), ("websocket", False)),
        ):
            check = good(service(*lines)).config.services[0].check
            self.assertEqual((check.probe, check.secure), expected, lines)

    def test_answers_of_a_connection(self) -> None:
        """A tcp check has no answer, whether it was asked for or is the default."""
        for option, value in (
            ("health_check_expected_status", "200"),
            ("health_check_expected_body", "ok"),
            ("health_check_id_header", "X-Who"),
            ("health_check_method", "HEAD"),
            ("health_check_host", "a.example"),
            ("health_check_headers", "X-A: 1"),
        ):
            self.refuses(option, "add health_endpoint = /PATH", f"{option} = {value}")
            self.refuses(option, "change health_check_type", kind("tcp"), f"{option} = {value}")
        self.refuses("health_check_type", "(mesh.ini:3)", PATH, kind("tcp"))

    def test_websocket(self) -> None:
        """Its answer is always 101, to a GET; and nobody else sends messages."""
        self.refuses("health_check_method", "101", kind("websocket"), "health_check_method = HEAD")
        self.refuses("health_check_expected_status", "101", kind("websocket"), "health_check_expected_status = 200")
        self.refuses("health_check_message", "health_check_type = websocket", PATH, "health_check_message = x")

    def test_http(self) -> None:
        """It has to know what to ask for; and HEAD brings no body."""
        self.refuses("health_check_type", "health_endpoint", kind("http"))
        self.refuses("health_check_type", "health_endpoint", kind("https"))
        lines = ("health_check_method = HEAD", "health_check_expected_body = ok")
        self.refuses("health_check_expected_body", "no body", PATH, *lines)

    def test_tls(self) -> None:
        """What only TLS has needs TLS; https is TLS; who trusts anybody needs no list of whom to trust."""
        for option, value in (("verify", "no"), ("name", "a.example"), ("ca", "ca.pem"), ("warn", "9d")):
            line = f"health_check_tls_{option} = {value}"
            self.refuses(f"health_check_tls_{option}", "health_check_type = https", PATH, line)
            self.refuses(f"health_check_tls_{option}", "health_check_tls = yes", kind("websocket"), line)
        self.refuses("health_check_tls", "https is TLS", PATH, kind("https"), "health_check_tls = no")
        lines = ("health_check_tls_verify = no", "health_check_tls_ca = ca.pem")
        self.refuses("health_check_tls_ca", "nobody looks", PATH, kind("https"), *lines)

    def test_one_port_for_all(self) -> None:
        """Launched instances share a host: a port of its own would be the port of them all."""
        text = "[service:a]\nport = 3000\ncommand = run\nhealth_check_port = 9090\nmax_instances = {}\n"
        self.assertEqual([problem.option for problem in problems(text.format(2))], ["health_check_port"])
        self.assertEqual(problems(text.format(1)), ())

    def test_silent_where_something_else_is_wrong(self) -> None:
        """A type that is none is one problem, not three."""
        self.refuses("health_check_type", "did you mean websocket?", kind("websoket"), "health_check_message = x")
