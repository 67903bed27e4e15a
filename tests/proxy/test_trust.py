"""Tests of wmesh.proxy.trust: contexts that are shared, and that follow their files."""

from __future__ import annotations

import os
import shutil
import ssl
import tempfile
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.certificates import Authority
from wmesh.errors import CertificateFileError
from wmesh.model import TlsSpec
from wmesh.proxy.trust import Contexts


class ContextsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="wmt-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.authority = Authority(self.folder)
        cert, key = self.authority.issue("me")
        self.spec = TlsSpec(ca=self.authority.ca, cert=cert, key=key)
        self.contexts = Contexts()

    def test_shared(self) -> None:
        """By all who trust the same, whatever their names are."""
        first = self.contexts.context(self.spec)
        self.assertIs(self.contexts.context(replace(self.spec, name="shop.internal")), first)
        self.assertIsNot(self.contexts.context(replace(self.spec, cert="", key="")), first)

    def test_what_is_asked_for(self) -> None:
        """Certificates are verified unless that is switched off; TLS 1.2 is the least."""
        context = self.contexts.context(self.spec)
        self.assertEqual(context.verify_mode, ssl.CERT_REQUIRED)
        self.assertEqual(context.minimum_version, ssl.TLSVersion.TLSv1_2)
        self.assertEqual(self.contexts.context(TlsSpec(verify=False)).verify_mode, ssl.CERT_NONE)
        self.assertEqual(self.contexts.context(TlsSpec()).verify_mode, ssl.CERT_REQUIRED)

    def test_renewed(self) -> None:
        """A file that was replaced is used for the next connection."""
        before = self.contexts.context(self.spec)
        os.replace(Authority(tempfile.mkdtemp(dir=self.folder)).ca, self.spec.ca)
        after = self.contexts.context(self.spec)
        self.assertIsNot(after, before)
        self.assertNotEqual(after.get_ca_certs(True), before.get_ca_certs(True))
        self.assertIs(self.contexts.context(self.spec), after)

    def test_broken_meanwhile(self) -> None:
        """The old ones stay in use, and it is told once; when the files are good again, they are used."""
        before = self.contexts.context(self.spec)
        good = Path(self.spec.key).read_bytes()
        os.remove(self.spec.key)
        self.assertIs(self.contexts.context(self.spec), before)
        self.assertIs(self.contexts.context(self.spec), before)
        Path(self.spec.key).write_bytes(good)
        self.assertIsNot(self.contexts.context(self.spec), before)

    def test_never_good(self) -> None:
        error = self.assertRaises(CertificateFileError, self.contexts.context, TlsSpec(ca="/no/such.pem"))
        self.assertIn("/no/such.pem", str(error))
