"""Certificates, good and bad, as the https check meets them on real sockets."""

from __future__ import annotations

import datetime
from dataclasses import replace

from twisted.internet.interfaces import ITCPTransport

from tests.certificates import Authority as Issuer
from tests.control.probes.certificates import Authority
from tests.control.probes.scene import Scene
from wmesh.control.probes import HttpProbe
from wmesh.control.probes.security import Contexts, SecurityError
from wmesh.model import Address, CheckResult, CheckSpec

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nhealthy"
STRANGE = "the certificate is signed by an authority that is not trusted"


class HttpsTests(Scene):
    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(self.folder())
        self.says(OK)

    async def check(self, *names: str, since: float = -30, until: float = 90, **options: object) -> CheckResult:
        """Of a server with a certificate for these names and days."""
        record = self.listen_tls(self.authority.options(*names, since=since, until=until))
        spec = CheckSpec(kind="https", path="/health", tls_ca=str(self.authority.file), timeout=3.0)
        return await HttpProbe(self.reactor)(record, replace(spec, **options))

    async def assert_result(self, ok: bool, reason: str, *names: str, **options: object) -> None:
        before = len(self.requests)
        result = await self.check(*names, **options)
        self.assertEqual((result.ok, result.reason), (ok, reason))
        self.assertEqual(len(self.requests) - before, 1 if ok else 0, "whoever is not trusted is asked nothing")

    async def test_good(self) -> None:
        """For the address that is asked, or for the name that the service has."""
        await self.assert_result(True, "status 200", "127.0.0.1")
        await self.assert_result(True, "status 200", "shop.example", tls_name="shop.example")
        await self.assert_result(True, "status 200", "*.shop.example", tls_name="api.shop.example")

    async def test_the_name_that_was_looked_up(self) -> None:
        """Of an instance that the DNS told, the name that the operator wrote counts."""
        record = replace(self.listen_tls(self.authority.options("shop.example")), domain="shop.example")
        spec = CheckSpec(kind="https", path="/health", tls_ca=str(self.authority.file), timeout=3.0)
        self.assertTrue((await HttpProbe(self.reactor)(record, spec)).ok)

    async def test_for_somebody_else(self) -> None:
        """A good certificate proves nothing about another name; one without any name proves nothing at all."""
        no = "the certificate is not for "
        await self.assert_result(False, no + "127.0.0.1 but for localhost, 127.0.0.2", "127.0.0.2", "localhost")
        await self.assert_result(False, no + "a.example but for b.example", "b.example", tls_name="a.example")
        await self.assert_result(False, "the certificate is not for 127.0.0.1")

    async def test_times(self) -> None:
        """Too late, too early."""
        await self.assert_result(False, "the certificate has expired", "127.0.0.1", until=-1)
        await self.assert_result(False, "the certificate is not valid yet", "127.0.0.1", since=1)

    async def test_not_trusted(self) -> None:
        """Signed by somebody else than whom the service trusts; or the system trusts."""
        other = Authority(self.folder(), "other")
        await self.assert_result(False, STRANGE, "127.0.0.1", tls_ca=str(other.file))
        await self.assert_result(False, STRANGE, "127.0.0.1", tls_ca="")

    async def test_believed_unseen(self) -> None:
        """With verification switched off anything goes."""
        await self.assert_result(True, "status 200", "b.example", until=-1, tls_verify=False, tls_ca="", tls_warn=0.0)

    async def test_it_ends_soon(self) -> None:
        """The warning names the day, and comes with a check that passes; not before it is time."""
        day = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=9)).strftime("%Y-%m-%d")
        result = await self.check("127.0.0.1", until=9)
        self.assertTrue(result.ok, result.reason)
        self.assertIn(f"the certificate for 127.0.0.1 ends at {day} ", result.warning)
        self.assertEqual((await self.check("127.0.0.1", until=9, tls_warn=8 * 86400.0)).warning, "")
        self.assertEqual((await self.check("127.0.0.1", until=9, tls_warn=0.0)).warning, "")
        ended = await self.check("127.0.0.1", until=-1, tls_verify=False, tls_ca="")
        self.assertIn(" ended at ", ended.warning)

    async def test_who_does_not_say_goodbye(self) -> None:
        """A server that leaves our goodbye unanswered does not hold up the verdict until the timeout."""
        deaf: list[ITCPTransport] = []

        def answer(transport: ITCPTransport) -> None:
            transport.write(OK)
            transport.pauseProducing()
            deaf.append(transport)

        self.answer = answer
        record = self.listen_tls(self.authority.options("127.0.0.1"))
        spec = CheckSpec(kind="https", path="/health", tls_ca=str(self.authority.file), timeout=60.0)
        self.assertTrue((await HttpProbe(self.reactor)(record, spec)).ok)
        deaf[0].resumeProducing()

    async def test_it_hangs(self) -> None:
        """One timeout: also when it says nothing, also when it is in the middle of its answer."""
        self.answer = lambda transport: None
        await self.assert_late("no answer in 0.3 s")
        self.says(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nhea", close=False)
        await self.assert_late("the answer did not end in 0.3 s")

    async def assert_late(self, reason: str) -> None:
        result = await self.check("127.0.0.1", timeout=0.3)
        self.assertEqual((result.ok, result.reason), (False, reason))

    async def test_no_tls_there(self) -> None:
        """An answer in the clear is recognised as one."""
        self.says(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        greeting = b"220 mail.example ESMTP\r\n"
        self.greets(greeting)
        spec = CheckSpec(kind="https", path="/", timeout=2.0)
        result = await HttpProbe(self.reactor)(self.record, spec)
        self.assertEqual((result.ok, result.reason), (False, "it does not speak TLS"))

    async def test_closed_in_the_middle(self) -> None:
        """It hangs up on our hello."""
        self.greets(None)
        result = await HttpProbe(self.reactor)(self.record, CheckSpec(kind="https", path="/", timeout=2.0))
        self.assertEqual((result.ok, result.reason), (False, "closed in the middle of the TLS handshake"))

    async def test_refused(self) -> None:
        """Nobody listens: the same word as ever."""
        result = await HttpProbe(self.reactor)(await self.nobody(), CheckSpec(kind="https", path="/", timeout=2.0))
        self.assertEqual((result.ok, result.reason), (False, "refused"))

    async def test_files_that_are_none(self) -> None:
        """A file of authorities that is not there, or is something else, is the reason; nobody is asked."""
        missing = self.folder() / "ca.pem"
        spec = CheckSpec(kind="https", path="/", tls_ca=str(missing))
        probe = HttpProbe(self.reactor)
        self.assertIn(f"{missing}: No such file", (await probe(self.record, spec)).reason)
        missing.write_text("this is no certificate")
        self.assertIn("no certificate in it", (await probe(self.record, spec)).reason)
        self.assertEqual(self.connections, 0)

    def test_hosts_that_no_certificate_names(self) -> None:
        """What cannot be a host name is said, and breaks nothing."""
        error = self.assertRaises(SecurityError, Contexts().secured, CheckSpec(tls_verify=False), "a" * 64 + ".example")
        self.assertIn("no certificate can be for", str(error))

    async def test_files_that_change(self) -> None:
        """A new authority counts from the next check; one that makes no sense leaves the old one in use."""
        other = Authority(self.folder())
        record = self.listen_tls(other.options("127.0.0.1"))
        spec = CheckSpec(kind="https", path="/health", tls_ca=str(self.authority.file), timeout=3.0)
        probe = HttpProbe(self.reactor)
        self.assertIn(STRANGE, (await probe(record, spec)).reason)
        self.authority.file.write_bytes(other.file.read_bytes())
        self.assertTrue((await probe(record, spec)).ok)
        self.authority.file.write_text("this is no certificate")
        self.assertTrue((await probe(record, spec)).ok)

    async def test_a_client_certificate(self) -> None:
        """Is shown where the server asks for one, and its absence told where there is none."""
        folder = self.folder()
        issuer = Issuer(folder)
        cert, key = issuer.issue("gateway")
        record = self.listen_tls(issuer.server_options(ask=True))
        spec = CheckSpec(kind="https", path="/health", tls_ca=issuer.ca, timeout=3.0)
        probe = HttpProbe(self.reactor)
        self.assertTrue((await probe(record, replace(spec, tls_cert=cert, tls_key=key))).ok)
        self.assertFalse((await probe(record, spec)).ok)

    def test_contexts_are_shared(self) -> None:
        """Ten thousand instances, one context."""
        contexts = Contexts()
        for number in range(100):
            contexts.secured(CheckSpec(tls_verify=False), str(Address(f"10.0.0.{number}", 443)))
        self.assertEqual(len(contexts._contexts), 1)
