"""An authority made for one test, and certificates of its own making: for servers at any address, and for clients."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Its certificate is in `folder`/ca.pem. `names` are what servers' certificates are for: hosts, or IP addresses."""

    def __init__(self, folder: Path | str, *names: str) -> None:
        self.folder = Path(folder)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])
        self._serial = 1
        self.names = names or ("127.0.0.1", "::1")
        self._certificate = self._sign(self._name, self._key, x509.BasicConstraints(True, None))
        self.ca = self._write("ca.pem", self._certificate.public_bytes(serialization.Encoding.PEM))

    @property
    def options(self) -> str:
        """What a URL needs to trust servers of this authority."""
        return f"ca={self.ca}"

    def issue(self, who: str, *names: str, days: float = 1) -> tuple[str, str]:
        """Files of a certificate for `names` and of its key. It ends after so many days, or ended before now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who)])
        alternatives = x509.SubjectAlternativeName([_general(name) for name in names]) if names else None
        certificate = self._sign(subject, key, *([alternatives] if alternatives else []), days=days)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        return self._write(f"{who}.pem", pem), self._write(f"{who}.key", secret)

    def server_options(self, ask: bool = False) -> Any:
        """Twisted's options for a server with a certificate for `names`; `ask`: clients must show one, too."""
        from twisted.internet.ssl import Certificate, PrivateCertificate

        cert, key = self.issue("server", *self.names)
        load: Any = PrivateCertificate.loadPEM
        private = load(Path(cert).read_bytes() + Path(key).read_bytes())
        return private.options(Certificate.loadPEM(Path(self.ca).read_bytes())) if ask else private.options()

    def instance_options(self, *names: str, ask: bool = False, days: float = 1) -> Any:
        """The same for an instance at other names, that keeps sessions and speaks HTTP/1.1, as most do."""
        from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate

        cert, key = self.issue("instance", *(names or self.names), days=days)
        load: Any = PrivateCertificate.loadPEM
        private = load(Path(cert).read_bytes() + Path(key).read_bytes())
        make: Any = CertificateOptions
        return make(
            privateKey=private.privateKey.original,
            certificate=private.original,
            trustRoot=Certificate.loadPEM(Path(self.ca).read_bytes()) if ask else None,
            enableSessionTickets=True,
            acceptableProtocols=[b"http/1.1"],
        )

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *extensions: Any, days: float = 1
    ) -> x509.Certificate:
        self._serial += 1
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(self._serial)
            .not_valid_before(now - datetime.timedelta(days=2))
            .not_valid_after(now + datetime.timedelta(days=days))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, False)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, data: bytes) -> str:
        path = self.folder / name
        path.write_bytes(data)
        return str(path)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
