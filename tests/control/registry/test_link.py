"""One connection kept up: what the registry's tests do not reach, above all TLS."""

from __future__ import annotations

import datetime
import ipaddress
import random
import shutil
import tempfile
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate
from twisted.trial.unittest import TestCase

from tests.control.registry.scene import Recorder, Server, a_record, until
from wmesh.control.registry.link import Link
from wmesh.control.registry.redis import RedisRegistry
from wmesh.errors import RegistryError
from wmesh.model import RegistrySpec
from wmesh.registry_url import Target, parse_target


def a_certificate(folder: str) -> tuple[PrivateCertificate, str]:
    """A self-signed certificate for 127.0.0.1, and a file that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = f"{folder}/ca.pem"
    with open(path, "wb") as file:
        file.write(pem)
    return PrivateCertificate.loadPEM(pem + secret), path


class Front(Protocol):
    """One side of a byte relay between a TLS port and the server's socket."""

    other: Protocol | None = None
    early = b""

    def dataReceived(self, data: bytes) -> None:
        if self.other is None:
            self.early += data
        else:
            self.other.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        if self.other is not None:
            self.other.transport.loseConnection()


class TlsTests(TestCase):
    """rediss://"""

    async def setUp(self) -> None:
        from twisted.internet import reactor

        self.server = Server()
        self.addCleanup(lambda: self.server.remove())
        await self.server.start()
        folder = tempfile.mkdtemp(prefix="wmt-")
        self.addCleanup(shutil.rmtree, folder)
        certificate, self.ca = a_certificate(folder)
        socket = self.server.socket

        class Inner(Front):
            pass

        class Outer(Front):
            def connectionMade(self) -> None:
                connecting = UNIXClientEndpoint(reactor, socket).connect(Factory.forProtocol(Inner))
                connecting.addCallback(self.join)

            def join(self, inner: Front) -> None:
                self.other, inner.other = inner, self
                inner.transport.write(self.early)

        factory = Factory.forProtocol(Outer)
        factory.noisy = False
        port = reactor.listenSSL(0, factory, certificate.options(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.port = port.getHost().port

    def registry(self, url: str) -> RedisRegistry:
        from twisted.internet import reactor

        registry = RedisRegistry(parse_target(url), RegistrySpec(namespace="test"), reactor, timeout=1.0)
        self.addCleanup(registry.stop)
        return registry

    async def test_verified(self) -> None:
        """With the right authority and name, a registry over TLS is a registry."""
        registry, told = self.registry(f"rediss://127.0.0.1:{self.port}?ca={self.ca}"), Recorder()
        await registry.start(told)
        await registry.register(a_record())
        await until(lambda: told.known)
        await registry.stop()

    async def test_not_trusted(self) -> None:
        """A certificate of an unknown authority is refused, and the message says that it is the certificate."""
        with self.assertRaises(RegistryError) as caught:
            await self.registry(f"rediss://127.0.0.1:{self.port}").start(Recorder())
        self.assertIn("certificate", str(caught.exception))

    async def test_wrong_name(self) -> None:
        """A trusted certificate of another host is refused."""
        with self.assertRaises(RegistryError) as caught:
            await self.registry(f"rediss://localhost:{self.port}?ca={self.ca}").start(Recorder())
        self.assertIn("localhost", str(caught.exception))

    async def test_no_certificates(self) -> None:
        """A file of authorities that is not there is named at the start."""
        for path in ("/no/such/file.pem", "/dev/null"):
            with self.assertRaises(RegistryError) as caught:
                await self.registry(f"rediss://127.0.0.1:{self.port}?ca={path}").start(Recorder())
            self.assertIn(path, str(caught.exception))


class Mute(Protocol):
    """Takes connections and never says a word."""


class Chatty(Protocol):
    """Answers everything with something that is no Redis."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"+HELLO\r\n")


class StrangerTests(TestCase):
    """What listens there is no registry."""

    def link(self, protocol: type[Protocol]) -> Link:
        from twisted.internet import reactor

        self.accepted = 0

        class Counting(Factory):
            noisy = False

            def buildProtocol(factory, addr: Any) -> Protocol:
                self.accepted += 1
                return protocol()

        port = reactor.listenTCP(0, Counting(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        target = Target(host="127.0.0.1", port=port.getHost().port)
        link = Link(target, reactor, timeout=0.2, retry_max=0.1, rng=random.Random(1), now=reactor.seconds)
        self.addCleanup(lambda: link.stop())
        link.start()
        return link

    async def test_silence(self) -> None:
        """A listener that never answers fails commands in time, and is tried again and again."""
        link = self.link(Mute)
        with self.assertRaises(RegistryError):
            await link.command(b"PING")
        await until(lambda: self.accepted > 2)
        self.assertIn("no answer within", link.problem)

    async def test_nonsense(self) -> None:
        """A listener that is not Redis is not taken for one."""
        link = self.link(Chatty)
        await until(lambda: self.accepted > 2)
        self.assertIn("not Redis", link.problem)
        self.assertFalse(link.connected)
