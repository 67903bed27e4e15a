"""Rules between the options of TLS to instances, and what checks take over from them."""

from __future__ import annotations

from tests.config.texts import RuleTests, good, problems, service
from wmesh.model import CheckSpec, ServiceSpec, TlsSpec


def spec_of(*lines: str) -> ServiceSpec:
    return good(service(*lines)).config.services[0]


HTTPS = ("protocol = https", "tls_name = shop.internal", "tls_ca = ca.pem", "tls_cert = me.pem", "tls_key = me.key")


class TlsTests(RuleTests):
    def test_who_speaks_tls(self) -> None:
        """https does, websocket where it is asked for, http does not."""
        self.assertTrue(spec_of("protocol = https").secure)
        self.assertTrue(spec_of("protocol = https", "tls = yes").secure)
        self.assertTrue(spec_of("protocol = websocket", "tls = yes").secure)
        self.assertFalse(spec_of("protocol = websocket").secure)
        self.assertFalse(spec_of("tls = no").secure)

    def test_every_option_arrives(self) -> None:
        tls = spec_of(*HTTPS).tls
        self.assertEqual(tls, TlsSpec(name="shop.internal", ca="ca.pem", cert="me.pem", key="me.key"))
        self.assertFalse(spec_of("protocol = https", "tls_verify = no").tls.verify)

    def test_contradictions(self) -> None:
        """What protocol says already cannot be said otherwise."""
        problem = self.only(service("protocol = https", "tls = no"))
        self.assertEqual((problem.option, problem.hint), ("tls", "write protocol = http"))
        problem = self.only(service("tls = yes", "tls_ca = ca.pem"))
        self.assertEqual((problem.option, problem.hint), ("tls", "write protocol = https"))

    def test_without_tls(self) -> None:
        """What would be ignored without a word is a problem, so that nobody believes himself to be safe."""
        for option in ("tls_verify = yes", "tls_name = a.example", "tls_ca = a.pem", "tls_cert = a.pem", "tls_key = k"):
            problem = self.only(service(option))
            self.assertEqual((problem.option, problem.hint), (option.split()[0], "write protocol = https"))
            self.assertEqual(self.only(service("protocol = websocket", option)).hint, "add tls = yes")

    def test_halves(self) -> None:
        """A certificate needs its key, and a key its certificate; for checks as well."""
        for prefix in ("", "health_check_"):
            problem = self.only(service("protocol = https", f"{prefix}tls_cert = a.pem"))
            self.assertEqual((problem.option, problem.hint), (f"{prefix}tls_cert", f"add {prefix}tls_key = FILE"))
            problem = self.only(service("protocol = https", f"{prefix}tls_key = a.key"))
            self.assertEqual((problem.option, problem.hint), (f"{prefix}tls_key", f"add {prefix}tls_cert = FILE"))

    def test_unverified(self) -> None:
        """Is noted, and goes with no authority."""
        notes = good(service("protocol = https", "tls_verify = no")).config.notes
        self.assertTrue(any("tls_verify" in note and "read and change" in note for note in notes), notes)
        self.assertEqual(self.only(service("protocol = https", "tls_verify = no", "tls_ca = a.pem")).option, "tls_ca")


class ChecksTests(RuleTests):
    def check(self, *lines: str) -> CheckSpec:
        return spec_of(*HTTPS, *lines).check

    def assert_as_traffic(self, check: CheckSpec) -> None:
        self.assertTrue(check.secure)
        files = (check.tls_verify, check.tls_name, check.tls_ca, check.tls_cert, check.tls_key)
        self.assertEqual(files, (True, "shop.internal", "ca.pem", "me.pem", "me.key"))

    def test_as_the_traffic(self) -> None:
        """Whichever kind it is, unless somebody says otherwise."""
        self.assert_as_traffic(self.check())
        self.assert_as_traffic(self.check("health_endpoint = /health"))
        self.assert_as_traffic(self.check("health_endpoint = /health", "health_check_type = https"))
        self.assert_as_traffic(self.check("health_check_type = tcp"))
        secure = spec_of("protocol = websocket", "tls = yes", "health_check_type = websocket", "tls_ca = ca.pem").check
        self.assertEqual((secure.secure, secure.tls_ca), (True, "ca.pem"))

    def test_in_the_clear(self) -> None:
        """Only because it was asked for."""
        self.assertFalse(self.check("health_endpoint = /health", "health_check_tls = no").secure)
        self.assertFalse(self.check("health_endpoint = /health", "health_check_type = http").secure)

    def test_otherwise(self) -> None:
        """Each of the checks' own options holds alone."""
        self.assertEqual(self.check("health_check_tls_name = b.example").tls_name, "b.example")
        self.assertEqual(self.check("health_check_tls_ca = other.pem").tls_ca, "other.pem")
        own = self.check("health_check_tls_cert = o.pem", "health_check_tls_key = o.key")
        self.assertEqual((own.tls_cert, own.tls_key, own.tls_ca), ("o.pem", "o.key", "ca.pem"))
        trusting = self.check("health_check_tls_verify = no")
        self.assertEqual((trusting.tls_verify, trusting.tls_ca, trusting.tls_name), (False, "", "shop.internal"))

    def test_unverified_traffic(self) -> None:
        """Checks follow there, too, but for an authority of their own."""
        self.assertFalse(spec_of("protocol = https", "tls_verify = no").check.tls_verify)
        own = spec_of("protocol = https", "tls_verify = no", "health_check_tls_ca = ca.pem").check
        self.assertEqual((own.tls_verify, own.tls_ca), (True, "ca.pem"))

    def test_plain_services(self) -> None:
        """Nothing changes for those."""
        self.assertEqual(spec_of("health_endpoint = /h"), spec_of("health_endpoint = /h", "protocol = http"))
        self.assertFalse(spec_of("health_endpoint = /h").check.secure)
        self.assertEqual(problems(service("health_endpoint = /h", "health_check_type = https")), ())
