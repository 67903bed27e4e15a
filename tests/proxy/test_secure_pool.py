"""Tests of wmesh.proxy.secure_pool: instances that must prove who they are before they get anything of a request."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from typing import Any

from tests.certificates import Authority
from tests.proxy.support import (
    Conversation,
    Instance,
    Message,
    Scene,
    chunked,
    polite,
    request,
    response,
    says,
    take,
)
from wmesh.events import InstanceUpdated
from wmesh.model import TlsSpec
from wmesh.proxy.secure_pool import SESSION_LIFE, SecurePool


async def greeting(conversation: Conversation) -> None:
    """A server that speaks first, and no TLS."""
    conversation.send(b"220 mail.example ESMTP\r\n")
    await conversation.ended()


class SecurePoolScene(Scene):
    def setUp(self) -> None:
        super().setUp()
        folder = tempfile.mkdtemp(prefix="wmt-")
        self.addCleanup(shutil.rmtree, folder)
        self.authority = Authority(folder)

    def authority_of_others(self) -> Authority:
        folder = tempfile.mkdtemp(prefix="wmt-")
        self.addCleanup(shutil.rmtree, folder)
        return Authority(folder)

    def secured(self, script: Any = polite, *names: str, by: Authority | None = None, **options: Any) -> Instance:
        return self.instance(script, tls=(by or self.authority).instance_options(*names, **options))

    async def open_tls(self, *instances: Any, protocol: str = "https", tls: TlsSpec | None = None, **more: Any) -> None:
        spec = replace(tls or TlsSpec(), enabled=protocol != "https")
        if spec.verify and not spec.ca:
            spec = replace(spec, ca=self.authority.ca)
        await self.open(*instances, protocol=protocol, tls=spec, **more)

    @property
    def pool(self) -> SecurePool:
        pool = self.plane.pools["shop", "shop-0"]
        assert isinstance(pool, SecurePool)
        return pool

    async def refused(self, instance: Any, **more: Any) -> str:
        """The reason why a lone instance gets nothing."""
        await self.open_tls(instance, **more)
        answer = await self.ask(request(b"POST", body=b"secret"))
        self.assertEqual((answer.status, answer.json()["error"]), (502, "instance_unreachable"), answer)
        if isinstance(instance, Instance):
            self.assertEqual(instance.requests, [], "whoever is not trusted is told nothing")
        return str(answer.json()["reason"])


class TrustedTests(SecurePoolScene):
    async def test_asked_and_kept(self) -> None:
        """One handshake for many requests."""
        shop = self.secured()
        await self.open_tls(shop)
        for number in range(5):
            answer = await self.ask(request(target=b"/%d" % number))
            self.assertEqual((answer.status, answer.body), (200, b"/%d" % number))
        self.assertEqual((self.idle(), len(shop.conversations)), (1, 1))

    async def test_what_the_handshake_says(self) -> None:
        """HTTP/1.1 is asked for, and a name is sent, but no address."""
        shop = self.secured(polite, "shop.internal")
        await self.open_tls(shop, tls=TlsSpec(name="shop.internal"))
        self.assertEqual((await self.ask(request())).status, 200)
        (conversation,) = shop.conversations
        transport: Any = conversation.transport
        connection = transport.getHandle()
        self.assertEqual(connection.get_servername(), b"shop.internal")
        self.assertIn(connection.get_protocol_version_name(), ("TLSv1.2", "TLSv1.3"))

    async def test_addresses_are_no_names(self) -> None:
        shop = self.secured()
        await self.open_tls(shop)
        await self.ask(request())
        transport: Any = shop.conversations[0].transport
        self.assertIsNone(transport.getHandle().get_servername())

    async def test_the_name_that_was_looked_up(self) -> None:
        """Of an instance that the DNS told, the certificate is for the name that was asked for."""
        shop = self.secured(polite, "shop.internal")
        await self.open_tls(shop)
        member = self.cluster.members["shop-0"]
        self.directory.apply(InstanceUpdated(replace(member.record, domain="shop.internal")))
        self.assertEqual((await self.ask(request())).status, 200)

    async def test_a_client_certificate(self) -> None:
        cert, key = self.authority.issue("gateway")
        shop = self.secured(ask=True)
        await self.open_tls(shop, tls=TlsSpec(cert=cert, key=key))
        self.assertEqual((await self.ask(request())).status, 200)
        transport: Any = shop.conversations[0].transport
        shown = transport.getPeerCertificate().to_cryptography()
        self.assertEqual(shown.subject.rfc4514_string(), "CN=gateway")

    async def test_sessions(self) -> None:
        """A second connection resumes, until the certificate must be seen again."""
        shop = self.secured(says(response(b"ok", b"200 OK", b"Connection: close"), close=True))
        await self.open_tls(shop)
        seen: list[bool] = []
        judge = SecurePool.judge
        self.patch(SecurePool, "judge", lambda pool, stream: seen.append(stream.resumed) or judge(pool, stream))
        real = self.plane.clock
        for later, resumed in ((0.0, False), (1.0, True), (SESSION_LIFE + 1, False), (SESSION_LIFE + 2, True)):
            self.plane.clock = lambda later=later: real() + later
            self.assertEqual((await self.ask(request())).status, 200)
            self.assertEqual(seen.pop(), resumed, later)
        self.plane.clock = real

    async def test_unverified(self) -> None:
        """Only where that was asked for."""
        shop = self.secured(polite, "somebody.else", days=-1, by=self.authority_of_others())
        await self.open_tls(shop, tls=TlsSpec(verify=False))
        self.assertEqual((await self.ask(request())).status, 200)


class RefusedTests(SecurePoolScene):
    async def test_for_somebody_else(self) -> None:
        """The reason says which name was meant, and whose the certificate is."""
        shop = self.secured(polite, "other.internal")
        reason = await self.refused(shop, tls=TlsSpec(name="shop.internal"))
        self.assertEqual(
            reason,
            f"TLS to {shop.address} as shop.internal failed: the certificate is not for shop.internal but for"
            " other.internal",
        )

    async def test_another_address(self) -> None:
        reason = await self.refused(self.secured(polite, "127.0.0.2"))
        self.assertIn("the certificate is not for 127.0.0.1 but for 127.0.0.2", reason)

    async def test_expired(self) -> None:
        self.assertIn("failed: the certificate has expired", await self.refused(self.secured(days=-1)))

    async def test_not_trusted(self) -> None:
        shop = self.secured(by=self.authority_of_others())
        self.assertIn("signed by an authority that is not trusted", await self.refused(shop))

    async def test_a_plain_server(self) -> None:
        """It is never spoken to in the clear."""
        self.assertIn("it does not speak TLS", await self.refused(self.instance(greeting)))

    async def test_it_hangs_up(self) -> None:
        async def shy(conversation: Conversation) -> None:
            await conversation.exactly(1)
            conversation.reset()

        self.assertIn("closed the connection in the middle of the handshake", await self.refused(self.instance(shy)))

    async def test_nobody_there(self) -> None:
        self.assertIn("refused the connection", await self.refused(await self.nobody()))

    async def test_it_asks_for_a_certificate(self) -> None:
        """Even in TLS 1.3, where it comes late, this is known to be no answer to anything: a POST goes elsewhere."""
        reason = await self.refused(self.secured(ask=True))
        self.assertIn("it asks for a client certificate", reason)

    async def test_files_that_are_gone(self) -> None:
        reason = await self.refused(self.secured(), tls=TlsSpec(ca="/no/such.pem"))
        self.assertIn("/no/such.pem: No such file", reason)

    async def test_it_takes_too_long(self) -> None:
        """The handshake is part of connecting, and of its deadline; a client that left makes no difference."""

        async def mute(conversation: Conversation) -> None:
            await conversation.ended()

        shop = self.instance(mute)
        await self.open_tls(shop, timeout_connect=3.0)
        for leaves in (False, True):
            client = await self.client()
            client.send(request())
            await self.until(lambda: shop.open and shop.open[-1].received)
            if leaves:
                client.reset()
                await self.at_rest()
            self.sweep(3.1)
            if not leaves:
                answer = await client.answer()
                self.assertEqual(answer.status, 502)
                self.assertIn("failed: no handshake within 3 s", answer.json()["reason"])
            await self.until(lambda: not shop.open)

    async def assert_elsewhere(self, bad: Instance) -> None:
        """Another instance is asked, for a POST as well, since nothing was sent to the first that it looked at."""
        good = self.secured()
        await self.open_tls(bad, good)
        answer = await self.ask(request(b"POST", body=b"order"))
        self.assertEqual((answer.status, bad.requests, len(good.requests)), (200, [], 1))
        (_, first, *_) = self.plane.decisions[-1][-1][0][1].partition("shop-0: connect_failed: TLS to ")
        self.assertTrue(first, self.plane.decisions[-1])

    async def test_elsewhere_than_at_somebody_else(self) -> None:
        await self.assert_elsewhere(self.secured(polite, "other.internal"))

    async def test_elsewhere_than_at_a_stranger(self) -> None:
        await self.assert_elsewhere(self.secured(by=self.authority_of_others()))

    async def test_elsewhere_than_where_we_are_refused(self) -> None:
        await self.assert_elsewhere(self.secured(ask=True))

    async def test_elsewhere_than_in_the_clear(self) -> None:
        await self.assert_elsewhere(self.instance(greeting))

    async def test_a_client_that_leaves(self) -> None:
        """The connection is finished for whoever comes next."""
        shop = self.secured()
        await self.open_tls(shop)
        client = await self.client()
        client.send(request())
        await self.until(lambda: self.cluster.in_flight)
        client.reset()
        await self.at_rest()
        await self.until(lambda: self.idle() <= 1 and shop.conversations)
        self.assertEqual((await self.ask(request())).status, 200)


class StreamingTests(SecurePoolScene):
    async def test_bodies(self) -> None:
        """Megabytes both ways, byte for byte, with a length and in chunks."""
        data = bytes(range(256)) * 8192

        async def echo(conversation: Conversation) -> None:
            while True:
                message = await take(conversation)
                conversation.send(response(message.body))

        await self.open_tls(self.secured(echo))
        self.assertTrue((await self.ask(request(b"POST", body=data))).body == data)
        pieces = [data[start : start + 100_000] for start in range(0, len(data), 100_000)]
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.assertTrue((await self.ask(head + chunked(*pieces))).body == data)

    async def test_held_back(self) -> None:
        """A client that stops reading stops the instance; the gateway holds no more than a little."""
        sent = 0

        async def flood(conversation: Conversation) -> None:
            nonlocal sent
            await take(conversation)
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            transport: Any = conversation.transport

            class Source:
                def resumeProducing(self) -> None:
                    nonlocal sent
                    sent += 65536
                    transport.write(bytes(65536))

                def stopProducing(self) -> None:
                    """The end."""

            transport.registerProducer(Source(), False)
            await conversation.ended()

        await self.open_tls(self.secured(flood))
        client = await self.client(window=65536)
        client.pause()
        client.send(request())
        await self.until(lambda: self.unsent() > 65536)
        before = -1
        while before != sent:
            before = sent
            await self.turn(200)
        self.assertLess(self.unsent(), 2_000_000)
        client.reset()
        await self.at_rest()

    async def test_cut_in_the_middle(self) -> None:
        """Where the close is the end of the body, only a goodbye makes it one."""
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"

        async def cut(conversation: Conversation) -> None:
            message = await take(conversation)
            conversation.send(head, b"all of it")
            if message.target == b"/whole":
                conversation.close()
                return
            await self.until(lambda: self.clients[-1].received)
            transport: Any = conversation.transport
            transport.transport.loseConnection()

        await self.open_tls(self.secured(cut))
        whole = await self.ask(request(target=b"/whole"))
        self.assertEqual(whole.body, b"all of it")
        client = await self.client()
        client.send(request(target=b"/cut"))
        self.assertEqual(await client.ended(), "reset")

    async def test_restarted(self) -> None:
        """Kept connections are gone with the instance, and its new certificate is verified anew."""
        shop = self.secured()
        await self.open_tls(shop)
        self.assertEqual((await self.ask(request())).status, 200)
        await shop.stop()
        for conversation in shop.open:
            conversation.reset()
        await self.until(lambda: not self.idle())
        renewed = self.instance(polite, shop.address.port, self.authority.instance_options())
        self.assertEqual((await self.ask(request(b"POST", body=b"x"))).status, 200)
        await renewed.stop()
        for conversation in renewed.open:
            conversation.reset()
        await self.until(lambda: not self.idle())
        self.instance(polite, shop.address.port, self.authority_of_others().instance_options())
        answer = await self.ask(request())
        self.assertIn("not trusted", answer.json()["reason"])

    async def test_websockets(self) -> None:
        """A tunnel over TLS: both directions, and the end of both sides."""

        async def switching(conversation: Conversation) -> None:
            message: Message = await take(conversation)
            assert message.value(b"Upgrade") == b"websocket"
            conversation.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n")
            conversation.send(b"Connection: Upgrade\r\n\r\nhi")
            conversation.send(b"you said " + await conversation.exactly(5))
            await conversation.ended()

        shop = self.secured(switching)
        await self.open_tls(shop, protocol="websocket")
        client = await self.client()
        client.send(request(b"GET", b"/", b"Upgrade: websocket", b"Connection: Upgrade"))
        self.assertEqual((await client.message()).status, 101)
        self.assertEqual(await client.exactly(2), b"hi")
        client.send(b"hello")
        self.assertEqual(await client.exactly(14), b"you said hello")
        client.close()
        await self.until(lambda: not shop.open)
        await self.at_rest()
