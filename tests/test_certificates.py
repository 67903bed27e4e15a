"""Tests of wmesh.certificates: what is told about files that make no sense, and about names that do not match."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from twisted.trial.unittest import SynchronousTestCase

from tests.certificates import Authority
from tests.children import ENVIRONMENT
from wmesh.certificates import certificates_in, check_files, check_services, identity_problem, verification_text
from wmesh.config.draft import Origin
from wmesh.errors import CertificateFileError, ConfigError
from wmesh.model import CheckSpec, ServiceSpec, TlsSpec

QUIET = "import sys, wmesh.certificates; print([m for m in ('twisted', 'socket', 'ssl') if m in sys.modules])"


class CertificatesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="wmt-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.authority = Authority(self.folder)
        self.cert, self.key = self.authority.issue("me")

    def write(self, text: str | bytes) -> str:
        path = Path(self.folder, "odd.pem")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def assert_bad(self, part: str, *words: str, **files: str) -> None:
        given = {"ca": self.authority.ca, "cert": self.cert, "key": self.key, **files}
        error = self.assertRaises(CertificateFileError, check_files, **given)
        self.assertEqual(error.part, part)
        for word in words:
            self.assertIn(word, str(error))

    def test_good(self) -> None:
        """Each alone, all together, and none at all."""
        check_files("", "", "")
        check_files(self.authority.ca, "", "")
        check_files("", self.cert, self.key)
        check_files(self.authority.ca, self.cert, self.key)

    def test_bad(self) -> None:
        """The error says which file it is and what is wrong with it."""
        _, stranger = self.authority.issue("stranger")
        broken = self.write(Path(self.authority.ca).read_text().replace("M", "!"))
        self.assert_bad("ca", "/no/such.pem", "No such file", ca="/no/such.pem")
        self.assert_bad("ca", "/dev/null", "no certificate in it", ca="/dev/null")
        self.assert_bad("ca", self.folder, "directory", ca=self.folder)
        self.assert_bad("ca", broken, "damaged", ca=broken)
        self.assert_bad("cert", "/no/such.pem", cert="/no/such.pem")
        self.assert_bad("cert", "/dev/null", "no certificate in it", cert="/dev/null")
        self.assert_bad("cert", broken, "damaged", cert=broken)
        self.assert_bad("key", "/no/such.pem", key="/no/such.pem")
        self.assert_bad("key", "/dev/null", "no private key in it", key="/dev/null")
        self.assert_bad("key", self.cert, "no private key in it", key=self.cert)
        self.assert_bad("key", stranger, "is not that of", self.cert, key=stranger)

    def test_a_key_with_a_passphrase(self) -> None:
        """Nobody is asked for it: it is told."""
        key = serialization.load_pem_private_key(Path(self.key).read_bytes(), None)
        locked = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open sesame"),
        )
        self.assert_bad("cert", "passphrase", key=self.write(locked))

    def test_a_chain(self) -> None:
        """Several certificates in one file are told apart, whatever stands between them."""
        one = Path(self.cert).read_bytes()
        two = Path(self.authority.ca).read_bytes()
        self.assertEqual(certificates_in(self.write(b"me:\n" + one + b"\nmine:\n" + two), "cert"), [one, two])

    def problem(self, name: str, *names: str) -> str:
        cert, _ = self.authority.issue("somebody", *names)
        return identity_problem(x509.load_pem_x509_certificate(Path(cert).read_bytes()), name)

    def test_names(self) -> None:
        """A name or an address; wildcards stand for one label."""
        self.assertEqual(self.problem("a.example", "b.example", "a.example"), "")
        self.assertEqual(self.problem("api.shop.example", "*.shop.example"), "")
        self.assertEqual(self.problem("127.0.0.1", "127.0.0.1"), "")
        self.assertEqual(self.problem("::1", "::1"), "")
        self.assertEqual(
            self.problem("a.example", "b.example", "10.0.0.1"),
            "the certificate is not for a.example but for b.example, 10.0.0.1",
        )
        self.assertEqual(self.problem("10.0.0.2", "10.0.0.1"), "the certificate is not for 10.0.0.2 but for 10.0.0.1")
        self.assertEqual(self.problem("a.example"), "the certificate is not for a.example")
        many = self.problem("x.example", *(f"{number}.example" for number in range(9)))
        self.assertTrue(many.endswith("0.example, 1.example, 2.example, 6 more"), many)

    def test_no_name_for_a_certificate(self) -> None:
        """What cannot be a name at all is told, and no accident."""
        self.assertEqual(self.problem("shop 1", "a.example"), "no certificate can be for shop 1")

    def test_words(self) -> None:
        """The common errors have words, the others their number."""
        self.assertEqual(verification_text(10), "the certificate has expired")
        self.assertIn("79", verification_text(79))

    def test_services(self) -> None:
        """Problems of all services at once, each where it stands; files that nobody uses are not looked at."""
        bad = TlsSpec(ca="/no/such.pem")
        check = CheckSpec(tls=True, tls_ca="/not/this.pem")
        services = (
            ServiceSpec("a", protocol="https", tls=bad, check=CheckSpec(tls=True, tls_ca=bad.ca)),
            ServiceSpec("b", protocol="websocket", tls=TlsSpec(True, cert=self.cert, key="/no.key"), check=check),
            ServiceSpec("c", tls=bad, check=CheckSpec(tls_ca=bad.ca)),
        )
        origins = defaultdict(lambda: Origin(), {("service:a", "tls_ca"): Origin("mesh.ini", 7)})
        error = self.assertRaises(ConfigError, check_services, services, origins, "some.ini")
        told = [(each.source, each.line, each.section, each.option) for each in error.problems]
        self.assertEqual(
            told,
            [
                ("mesh.ini", 7, "service:a", "tls_ca"),
                ("some.ini", 0, "service:b", "tls_key"),
                ("some.ini", 0, "service:b", "health_check_tls_ca"),
            ],
        )
        self.assertIn("/no/such.pem: No such file", error.problems[0].message)

    def test_quick(self) -> None:
        """To have it costs a configuration check neither Twisted nor sockets."""
        result = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, env=ENVIRONMENT)
        self.assertEqual((result.stdout, result.stderr), ("[]\n", ""))
