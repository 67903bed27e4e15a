"""One connection, opened and logged in: TLS, whose certificates are real, and logins."""

from __future__ import annotations

import gc
import shutil
import tempfile
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SkipTest, TestCase

from tests.certificates import Authority
from tests.control.registry.front import tls_front
from tests.control.registry.scene import Server
from wmesh.control.registry.dial import abort, ask, dial
from wmesh.errors import RegistryError
from wmesh.registry_url import Target, parse_target


class DialTests(TestCase):
    """dial()."""

    async def setUp(self) -> None:
        self.server = Server()
        self.addCleanup(lambda: self.server.remove())
        await self.server.start()
        self.folder = tempfile.mkdtemp(prefix="wmt-")
        self.addCleanup(shutil.rmtree, self.folder)

    def front(self, authority: Authority, ask: bool = False, interface: str = "127.0.0.1") -> int:
        """The port of a TLS relay to the server."""
        port = tls_front(self.server, authority.server_options(ask), interface)
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def dial(self, url: str) -> Any:
        """The answer to a PING."""
        from twisted.internet import reactor

        target = parse_target(url)
        connection = await dial(target, reactor, 2.0)
        try:
            return await ask(connection, target, reactor, 2.0, b"PING")
        finally:
            gone = connection.whenDisconnected()
            abort(connection)
            await gone

    async def refused(self, url: str) -> str:
        with self.assertRaises(RegistryError) as caught:
            await self.dial(url)
        return str(caught.exception)

    async def test_verified(self) -> None:
        """With the right authority, and a certificate for the name or address dialled, TLS is no obstacle."""
        authority = Authority(self.folder, "127.0.0.1", "localhost")
        port = self.front(authority)
        for host in ("127.0.0.1", "localhost"):
            self.assertEqual(await self.dial(f"rediss://{host}:{port}?ca={authority.ca}"), b"PONG")

    async def test_ipv6(self) -> None:
        """An IPv6 address, too, is a name that a certificate can be for."""
        authority = Authority(self.folder, "::1")
        try:
            port = self.front(authority, interface="::1")
        except CannotListenError:
            raise SkipTest("this machine has no IPv6") from None
        self.assertEqual(await self.dial(f"rediss://[::1]:{port}?ca={authority.ca}"), b"PONG")

    async def test_not_trusted(self) -> None:
        """A certificate of an unknown authority is refused, and the message says that it is the certificate."""
        port = self.front(Authority(self.folder))
        self.assertIn("certificate verify failed", await self.refused(f"rediss://127.0.0.1:{port}"))

    async def test_wrong_name(self) -> None:
        """A trusted certificate of another host, or another address, is refused."""
        for names, host in ((("127.0.0.1",), "localhost"), (("127.0.0.2", "localhost"), "127.0.0.1")):
            authority = Authority(self.folder, *names)
            said = await self.refused(f"rediss://{host}:{self.front(authority)}?ca={authority.ca}")
            self.assertIn(f"certificate is not for {host}", said)

    async def test_client_certificate(self) -> None:
        """A server that wants to know who comes is shown a certificate; without one, the message says what it wants."""
        authority = Authority(self.folder)
        port = self.front(authority, ask=True)
        cert, key = authority.issue("me")
        url = f"rediss://127.0.0.1:{port}?ca={authority.ca}"
        self.assertEqual(await self.dial(f"{url}&cert={cert}&key={key}"), b"PONG")
        self.assertIn("certificate", await self.refused(url))

    async def test_no_tls_there(self) -> None:
        """TLS to a server that has none is an error of TLS, not silence."""
        from twisted.internet import reactor

        class Plain(Protocol):
            def dataReceived(self, data: bytes) -> None:
                self.transport.write(b"-ERR Protocol error\r\n")

        factory = Factory.forProtocol(Plain)
        factory.noisy = False
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.assertIn("TLS: ", await self.refused(f"rediss://127.0.0.1:{port.getHost().port}"))

    async def test_silence(self) -> None:
        """Who says nothing, be it to TLS, to a login or to a PING, is given up in time, and leaves nothing behind."""
        from twisted.internet import reactor

        factory = Factory.forProtocol(Protocol)
        factory.noisy = False
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        for begin in ("rediss://", "redis://:pw@", "redis://"):
            target = parse_target(f"{begin}127.0.0.1:{port.getHost().port}")
            with self.assertRaises(RegistryError) as caught:
                await dial(target, reactor, 0.1)
            self.assertEqual(str(caught.exception), "no answer within 0.1 s")
        gc.collect()

    async def test_cancelled(self) -> None:
        """Who is stopped while he connects is stopped, and takes it for no failure that calls for another try."""
        from twisted.internet import reactor

        dialling = Deferred.fromCoroutine(dial(Target(host="127.0.0.1", port=1), reactor, 1.0))
        dialling.cancel()
        await self.assertFailure(dialling, CancelledError)

    async def test_odd_hosts(self) -> None:
        """A host that cannot be one, as a Sentinel may name it, is an error like others."""
        from twisted.internet import reactor

        for host in ("", "a..b", "x" * 70, "\x00", "fe80::1%nowhere"):
            for tls in (False, True):
                with self.assertRaises(RegistryError):
                    await dial(Target(host=host, tls=tls), reactor, 1.0)

    async def test_logins(self) -> None:
        """User and password are believed as they stand, a user without password is not somebody else, and no refusal
        repeats the password."""
        await self.server.ask(b"ACL", b"SETUSER", b"me", b"on", b">p \xff:/w", b"+@all", b"~*")
        url = self.server.url
        from twisted.internet import reactor

        async def whoami(user: str, password: str) -> Any:
            from dataclasses import replace

            target = replace(parse_target(url), user=user, password=password)
            connection = await dial(target, reactor, 2.0)
            try:
                return await ask(connection, target, reactor, 2.0, b"ACL", b"WHOAMI")
            finally:
                gone = connection.whenDisconnected()
                abort(connection)
                await gone

        self.assertEqual(await whoami("", ""), b"default")
        self.assertEqual(await whoami("me", "p \udcff:/w"), b"me")
        for user, password in (("me", ""), ("me", "hidden-one"), ("nobody", "hidden-one")):
            with self.assertRaises(RegistryError) as caught:
                await whoami(user, password)
            self.assertIn("WRONGPASS", str(caught.exception))
            self.assertNotIn("hidden", str(caught.exception))
            self.assertFalse(str(caught.exception).endswith("."))
