"""Files of certificates and keys: what is told about those that make no sense, before anything is connected."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.certificates import Authority
from tests.children import ENVIRONMENT
from wmesh.control.registry.tls import check_files, client_options
from wmesh.errors import RegistryError
from wmesh.registry_url import Target

QUIET = "import sys, wmesh.control.registry.tls; print([m for m in ('twisted', 'socket') if m in sys.modules])"


class FilesTests(SynchronousTestCase):
    """check_files, and client_options that rests on it."""

    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="wmt-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.authority = Authority(self.folder)
        self.cert, self.key = self.authority.issue("me")

    def target(self, **files: str) -> Target:
        given = {"ca": self.authority.ca, "cert": self.cert, "key": self.key, **files}
        return Target(host="h", tls=True, **given)

    def write(self, text: str | bytes) -> str:
        path = Path(self.folder, "odd.pem")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def test_good(self) -> None:
        """Right files, a chain of certificates, and one file for certificate and key are all good."""
        both = Path(self.cert).read_bytes() + Path(self.authority.ca).read_bytes() + Path(self.key).read_bytes()
        for target in (self.target(), self.target(ca=""), self.target(cert=self.write(both), key=self.write(both))):
            check_files(target)
            client_options(target)
        check_files(Target(host="h", tls=True))

    def test_bad(self) -> None:
        """The error names the file and what is wrong with it."""
        _, stranger = self.authority.issue("stranger")
        broken = self.write(Path(self.authority.ca).read_text().replace("M", "!"))
        for files, words in (
            ({"ca": "/no/such.pem"}, ("(ca)", "/no/such.pem", "No such file")),
            ({"ca": "/dev/null"}, ("(ca)", "/dev/null", "no certificate in it")),
            ({"ca": self.folder}, ("(ca)", self.folder, "directory")),
            ({"ca": broken}, ("(ca)", broken, "damaged")),
            ({"cert": "/no/such.pem"}, ("(cert)", "/no/such.pem")),
            ({"cert": "/dev/null"}, ("(cert)", "/dev/null", "no certificate in it")),
            ({"cert": broken}, (broken, "damaged")),
            ({"key": "/no/such.pem"}, ("(key)", "/no/such.pem")),
            ({"key": "/dev/null"}, ("/dev/null", "no private key in it")),
            ({"key": stranger}, (stranger, "is not that of", self.cert)),
        ):
            for look in (check_files, client_options):
                error = self.assertRaises(RegistryError, look, self.target(**files))
                for word in words:
                    self.assertIn(word, str(error))

    def test_a_key_with_a_passphrase(self) -> None:
        """Nobody is asked for it: it is told."""
        from cryptography.hazmat.primitives import serialization

        key = serialization.load_pem_private_key(Path(self.key).read_bytes(), None)
        locked = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open sesame"),
        )
        error = self.assertRaises(RegistryError, check_files, self.target(key=self.write(locked)))
        self.assertIn("passphrase", str(error))

    def test_no_name_for_a_certificate(self) -> None:
        """A host that no certificate can name (the name of a container, say) is an error, and no accident."""
        error = self.assertRaises(RegistryError, client_options, Target(host="redis_1", tls=True))
        self.assertIn("no certificate can be for redis_1", str(error))

    def test_quick(self) -> None:
        """To look costs a configuration check no Twisted."""
        result = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, env=ENVIRONMENT)
        self.assertEqual((result.stdout, result.stderr), ("[]\n", ""))
