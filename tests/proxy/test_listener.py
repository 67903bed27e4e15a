"""Tests of wmesh.proxy.listener: every kind of endpoint serves, survives trouble, and goes away again."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import ssl
import stat
from typing import Any

from twisted.internet.endpoints import AdoptedStreamServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol

from tests.certificates import Authority
from tests.proxy.support import Conversation, Ended, Message, Scene, request, response, says, silent, take
from wmesh.proxy.downstream import Downstream
from wmesh.proxy.listener import DownstreamFactory, ListeningReactor, is_secure, listen
from wmesh.wire.forwarded import Peers

HALF_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"


class TcpTests(Scene):
    async def test_it_stops(self) -> None:
        """After `stopListening` nobody gets in, and who was in is served."""
        await self.open(self.instance())
        client = await self.client()
        await self.until(lambda: self.plane.connections)
        await self.ports[0].stopListening()
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection((client.transport.getPeer().host, client.transport.getPeer().port), 1)
        client.send(request(b"GET", b"/in"))
        self.assertEqual((await client.answer()).body, b"/in")

    async def test_a_port_that_is_taken(self) -> None:
        """The usual error, from the usual place."""
        await self.open(self.instance())
        taken = self.ports[0].getHost().port
        await self.assertFailure(self.listening(f"tcp:{taken}:interface=127.0.0.1"), CannotListenError)

    def listening(self, description: str) -> Any:
        return listen(self.plane, description, Peers((), b"http", False))

    async def test_nonsense(self) -> None:
        """A string that is no endpoint is a ValueError."""
        await self.open(self.instance())
        for nonsense in ("", "pigeon:8000"):
            with self.assertRaises(ValueError):
                await self.listening(nonsense)

    async def test_held_shut(self) -> None:
        """A port may be bound before it is opened; who knocks meanwhile is served then."""
        await self.open(self.instance())
        port = self.ports[0]
        port.stopReading()
        client = await self.client()
        client.send(request(b"GET", b"/patient"))
        await self.turn(5)
        self.assertEqual(self.plane.accepted, 0)
        port.startReading()
        self.assertEqual((await client.answer()).body, b"/patient")

    async def test_a_crowd(self) -> None:
        """Three hundred at once are all let in."""
        await self.open(self.instance())
        clients = [await self.client() for _ in range(300)]
        for client in clients:
            client.send(request())
        for client in clients:
            self.assertEqual((await client.answer()).status, 200)
        self.assertEqual(self.plane.accepted, 300)

    async def test_ipv6(self) -> None:
        """Clients over IPv6 are served, and told of by their address."""
        if not socket.has_ipv6:
            self.skipTest("this machine has no IPv6")
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            self.skipTest("this machine has no IPv6")
        shop = self.instance()
        await self.open(shop, gateway={"forwarded_header": True})
        port = await self.listen("tcp6:0:interface=\\:\\:1")
        conversation = self.adopt(socket.create_connection(("::1", port.getHost().port)))
        conversation.send(request())
        self.assertEqual((await conversation.answer()).status, 200)
        self.assertEqual(shop.requests[0].value(b"X-Forwarded-For"), b"::1")
        self.assertIn(b'for="[::1]"', shop.requests[0].value(b"Forwarded") or b"")

    async def test_an_adopted_socket(self) -> None:
        """A socket that somebody else bound (systemd does) is served like our own."""
        await self.open(self.instance())
        listener = socket.create_server(("127.0.0.1", 0))
        reactor: Any = ListeningReactor(self.plane.poller)
        endpoint = AdoptedStreamServerEndpoint(reactor, os.dup(listener.fileno()), socket.AF_INET)
        listener.close()
        port: Any = await endpoint.listen(DownstreamFactory(self.plane, Peers((), b"http", False)))
        self.ports.insert(0, port)
        self.assertEqual((await self.ask(request(b"GET", b"/adopted"))).body, b"/adopted")
        self.assertEqual(self.plane.accepted, 1)

    async def test_another_protocol(self) -> None:
        """An ordinary Twisted protocol runs on these transports, too; one that wants no connection gets none."""

        class Greeting(Protocol):
            def connectionMade(self) -> None:
                self.transport.write(b"hello " + type(self.transport.getPeer()).__name__.encode())
                self.transport.loseConnection()

        await self.open(self.instance())
        factory: Any = Factory.forProtocol(Greeting)
        factory.noisy = False
        reactor: Any = ListeningReactor(self.plane.poller)
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.ports.insert(0, port)
        client = await self.client()
        self.assertEqual(await client.ended(), "fin")
        self.assertEqual(bytes(client.received), b"hello IPv4Address")
        factory.buildProtocol = lambda address: None
        client = await self.client()
        self.assertIn(await client.ended(), ("fin", "reset"))


class TroubleTests(Scene):
    async def test_a_bug_ends_one_connection_only(self) -> None:
        """An error of our own, met in a client's first request, costs that client its connection and nobody else."""
        await self.open(self.instance())
        received = Downstream.dataReceived

        def fail(protocol: Downstream, data: bytes) -> None:
            if b"/bug" in data:
                raise RuntimeError("a bug")
            received(protocol, data)

        self.patch(Downstream, "dataReceived", fail)
        port = self.ports[0]
        for first in (True, False):
            port.stopReading()
            client = await self.client()
            client.send(request(b"GET", b"/bug" if first else b"/"))
            await self.turn(5)
            port.startReading()
            if not first:
                await client.answer()
                client.send(request(b"GET", b"/bug"))
            self.assertIn(await client.ended(), ("fin", "reset"))
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
            self.assertEqual((await self.ask(request(b"GET", b"/fine"))).body, b"/fine")
        await self.until(lambda: not self.plane.connections)

    async def test_a_bug_while_a_connection_is_made(self) -> None:
        """The same where no protocol could be made at all."""
        await self.open(self.instance())
        build = DownstreamFactory.build
        bugs = [RuntimeError("a bug")]

        def fail(factory: DownstreamFactory, address: str) -> Downstream:
            if bugs:
                raise bugs.pop()
            return build(factory, address)

        self.patch(DownstreamFactory, "build", fail)
        client = await self.client()
        self.assertIn(await client.ended(), ("fin", "reset"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual((await self.ask(request(b"GET", b"/fine"))).body, b"/fine")

    async def test_no_descriptors_left(self) -> None:
        """With all descriptors in use clients are turned away or wait; once there are some again, all is well."""
        await self.open(self.instance())
        self.assertEqual((await self.ask(request(b"GET", b"/before"))).body, b"/before")
        clients = [await self.client() for _ in range(3)]
        await self.until(lambda: len(self.plane.connections) >= 3)
        sockets = [socket.socket() for _ in range(5)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        fillers: list[int] = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        try:
            with contextlib.suppress(OSError):
                while True:
                    fillers.append(os.dup(0))
            for sock in sockets:
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", self.ports[0].getHost().port))
            await self.turn(20)
            clients[0].send(request(b"GET", b"/inside"))
            await self.turn(20)
        finally:
            for filler in fillers:
                os.close(filler)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertIn((await clients[0].answer()).status, (200, 502))
        for sock in sockets:
            sock.close()
        await self.turn(5)
        self.flushLoggedErrors()
        self.assertEqual((await self.ask(request(b"GET", b"/after"))).body, b"/after")


class UnixTests(Scene):
    async def test_served(self) -> None:
        """A listener on a Unix socket serves, and counts its clients as trusted."""
        shop = self.instance()
        path = f"{self.directory()}/shop.sock"
        await self.open(shop, listen=f"unix:{path}")
        self.assertTrue(stat.S_ISSOCK(os.stat(path).st_mode))
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        client = self.adopt(sock)
        client.send(request(b"GET", b"/unix", b"X-Forwarded-For: 10.0.0.1", b"X-Request-Id: mine"))
        answer = await client.answer()
        self.assertEqual((answer.body, answer.value(b"X-Request-Id")), (b"/unix", b"mine"))
        self.assertEqual(shop.requests[0].value(b"X-Forwarded-For"), b"10.0.0.1, unix")
        client.half_close()
        self.assertEqual(await client.ended(), "fin")
        await self.until(lambda: not self.plane.connections)
        await self.ports[0].stopListening()
        self.assertFalse(os.path.exists(path), "the socket file goes with the listener")


class TlsClient:
    """The client's end of TLS by hand, so that a test decides what is answered and what is not."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.received = b""
        self.end = ""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="shop.test")

    def _flush(self) -> None:
        data = self._out.read()
        if data:
            self.conversation.send(data)

    async def _more(self) -> None:
        """More bytes from the gateway; Ended if none will come."""
        conversation = self.conversation
        await conversation.until(lambda: bool(conversation.received))
        self._in.write(bytes(conversation.received))
        conversation.received.clear()

    async def handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                await self._more()
            else:
                self._flush()
                return

    def send(self, *pieces: bytes) -> None:
        self._tls.write(b"".join(pieces))
        self._flush()

    async def until(self, condition: Any) -> None:
        while not condition():
            try:
                data = self._tls.read(65536)
            except ssl.SSLWantReadError:
                await self._more()
                continue
            except ssl.SSLZeroReturnError:
                data = b""
            if not data:
                self.end = "closed in order"
                raise Ended(self.end)
            self.received += data

    async def answer(self) -> Message:
        await self.until(lambda: b"\r\n\r\n" in self.received)
        head, _, rest = self.received.partition(b"\r\n\r\n")
        message = Message(head + b"\r\n\r\n")
        size = int(message.value(b"Content-Length") or 0)
        self.received = rest
        await self.until(lambda: len(self.received) >= size)
        message.body, self.received = self.received[:size], self.received[size:]
        return message

    async def ended(self) -> str:
        """How the gateway ended it: "closed in order" (it said so in TLS), or "reset" or "fin" of the connection."""
        try:
            await self.until(lambda: False)
        except Ended as end:
            return str(end)
        raise AssertionError

    def say_goodbye(self) -> None:
        """Answer the gateway's closing alert."""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLError):
            self._tls.unwrap()
        self._flush()


class TlsTests(Scene):
    async def secure(self, *instances: Any, **changes: Any) -> None:
        certificate, key = Authority(self.directory()).issue("shop", "shop.test")
        where = f"ssl:0:privateKey={key}:certKey={certificate}:interface=127.0.0.1"
        await self.open(*instances, listen=where, **changes)

    async def tls(self, window: int = 0) -> TlsClient:
        client = TlsClient(await self.client(window))
        client.conversation.closes = False
        await client.handshake()
        return client

    def test_which_are_secure(self) -> None:
        """The scheme that instances are told of comes from the endpoint's kind."""
        self.assertTrue(is_secure("ssl:443:privateKey=x"))
        self.assertFalse(is_secure("tcp:443"))

    async def test_served(self) -> None:
        """Many requests over one connection; the instance learns that the client's side is secure."""
        shop = self.instance()
        await self.secure(shop)
        client = await self.tls()
        for number in range(20):
            client.send(request(b"GET", b"/%d" % number))
            self.assertEqual((await client.answer()).body, b"/%d" % number)
        self.assertEqual({m.value(b"X-Forwarded-Proto") for m in shop.requests}, {b"https"})

    async def test_pipelined_and_with_bodies(self) -> None:
        """TLS hands over what it has in pieces of its own: the order and the bodies hold all the same."""
        shop = self.instance()
        await self.secure(shop)
        client = await self.tls()
        body = b"b" * 100_000
        client.send(
            request(b"GET", b"/1"), request(b"POST", b"/2", body=body), *(request(b"GET", b"/x") for _ in range(500))
        )
        self.assertEqual([(await client.answer()).body for _ in range(2)], [b"/1", b"/2"])
        for _ in range(500):
            self.assertEqual((await client.answer()).body, b"/x")
        self.assertEqual(shop.requests[1].body, body)

    async def test_long_bodies_both_ways(self) -> None:
        """A lot in both directions, with a client that stops reading meanwhile: nothing lost, nothing piled up."""
        size = 8_000_000
        data = bytes(range(250)) * (size // 250)

        async def script(conversation: Conversation) -> None:
            while True:
                message = await take(conversation)
                conversation.send(response(message.body))

        await self.secure(self.instance(script))
        client = await self.tls(window=4096)
        client.send(request(b"POST", b"/", body=data))
        client.conversation.pause()
        await self.until(lambda: self.unsent() > 65536)
        most = 0
        for _ in range(100):
            most = max(most, self.unsent())
            await self.turn()
        self.assertLess(most, 600_000)
        client.conversation.resume()
        answer = await client.answer()
        self.assertTrue(answer.body == data)

    async def test_it_closes_in_order(self) -> None:
        """The end is said in TLS first, so that the client knows that nothing was cut off."""
        await self.secure(self.instance())
        client = await self.tls()
        client.send(request(b"GET", b"/", b"Connection: close"))
        self.assertEqual((await client.answer()).status, 200)
        self.assertEqual(await client.ended(), "closed in order")
        client.say_goodbye()
        await self.until(lambda: not self.plane.connections)

    async def test_the_client_closes(self) -> None:
        """In order or not: nothing is left of it."""
        shop = self.instance(silent)
        await self.secure(shop)
        for how in ("goodbye", "fin", "reset"):
            client = await self.tls()
            client.send(request())
            await self.until(lambda: self.cluster.in_flight == 1)
            if how == "goodbye":
                client.say_goodbye()
            elif how == "fin":
                client.conversation.half_close()
            else:
                client.conversation.reset()
            await self.at_rest()
            await self.until(lambda: not self.plane.connections)

    async def test_a_broken_answer_is_no_orderly_end(self) -> None:
        """An answer that breaks off must not be followed by what says that all is said."""
        await self.secure(self.instance(says(HALF_CHUNK, close=True)))
        for version in (b"1.1", b"1.0"):
            client = await self.tls()
            client.send(b"GET / HTTP/%b\r\nHost: shop.test\r\n\r\n" % version)
            self.assertEqual(await client.ended(), "reset", version)
            self.assertIn(b"short", client.received)

    async def test_a_client_that_does_not_say_goodbye(self) -> None:
        """The end of a connection does not depend on the client's politeness: idle, refused, or answered."""
        await self.secure(self.instance())
        for data in (b"", request(b"GET", b"/", b"Connection: close"), b"nonsense\r\n\r\n"):
            client = await self.tls()
            await self.until(lambda: self.plane.connections)
            client.send(request())
            await client.answer()
            if data:
                client.send(data)
                await client.answer()
            else:
                self.overdue(76)
            self.assertEqual(await client.ended(), "closed in order")
            self.sweep(100)
            self.sweep(110)
            await self.turn(3)
            self.assertEqual(len(self.plane.connections), 0, data)
            client.conversation.reset()

    async def test_an_early_answer(self) -> None:
        """An answer to a request that is still on its way comes whole, and the connection ends."""

        async def script(conversation: Conversation) -> None:
            await conversation.up_to(b"\r\n\r\n")
            conversation.send(response(b"too soon" * 1000))
            await conversation.ended()

        await self.secure(self.instance(script))
        client = await self.tls()
        client.send(request(b"POST", b"/", b"Content-Length: 3000000"), b"x" * 200_000)
        self.assertEqual((await client.answer()).body, b"too soon" * 1000)
        self.assertEqual(await client.ended(), "closed in order")
        client.say_goodbye()
        await self.until(lambda: not self.plane.connections)

    async def test_not_tls(self) -> None:
        """Who speaks plain HTTP to a TLS port is shown the door."""
        await self.secure(self.instance())
        client = await self.client()
        client.send(request())
        self.assertIn(await client.ended(), ("fin", "reset"))
        await self.until(lambda: not self.plane.connections)

    async def test_who_never_speaks(self) -> None:
        """A connection without a handshake does not stay for ever."""
        await self.secure(self.instance())
        client = await self.client()
        await self.until(lambda: self.plane.connections)
        self.overdue(76)
        self.sweep(80)
        self.sweep(90)
        self.assertIn(await client.ended(), ("fin", "reset"))
        await self.until(lambda: not self.plane.connections)

    async def test_drain(self) -> None:
        """Idle TLS connections end when the gateway drains."""
        await self.secure(self.instance())
        client = await self.tls()
        client.send(request())
        await client.answer()
        drained = self.plane.drain()
        self.assertEqual(await client.ended(), "closed in order")
        client.say_goodbye()
        await drained
