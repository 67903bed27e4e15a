"""Tests of wmesh.proxy.pool: which connection to an instance a request gets, and what becomes of it afterwards."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from twisted.internet.defer import Deferred, fail

from tests.proxy.support import LINGER_NOW, Conversation, Instance, Scene, polite, request, response, says, silent, take
from wmesh.events import InstanceRemoved
from wmesh.model import Address, QueueSpec
from wmesh.proxy.pool import Dial


class KeptTests(Scene):
    async def warm(self, count: int) -> list[Conversation]:
        """Make this many connections, all kept in the end. Needs an instance whose script is `held`."""
        clients = [await self.client() for _ in range(count)]
        for client in clients:
            client.send(request())
        await self.until(lambda: self.cluster.in_flight == count)
        self.let_go = True
        for client in clients:
            await client.answer()
        return clients

    let_go = False

    async def held(self, conversation: Conversation) -> None:
        """Answers once `let_go` is set, and from then on at once, with the number of the connection."""
        assert conversation.instance is not None
        while True:
            await take(conversation)
            await self.until(lambda: self.let_go)
            conversation.send(response(b"%d" % conversation.instance.conversations.index(conversation)))

    async def test_newest_first(self) -> None:
        """The connection used last is used next, so that what is not needed grows old."""
        shop = self.instance(self.held)
        await self.open(shop)
        await self.warm(3)
        (pool,) = self.plane.pools.values()
        for _ in range(3):
            newest = pool.idle[-1]
            await self.ask(request())
            self.assertIs(pool.idle[-1], newest)
        self.assertEqual(len(shop.conversations), 3)

    async def test_no_more_than_allowed(self) -> None:
        """Only so many are kept for one instance."""
        shop = self.instance(self.held)
        await self.open(shop, keepalive_connections=2)
        await self.warm(5)
        self.assertEqual(self.idle(), 2)
        await self.until(lambda: len(shop.open) == 2)

    async def test_none_where_none_may_be_kept(self) -> None:
        """Keeping can be switched off."""
        shop = self.instance()
        await self.open(shop, keepalive_connections=0)
        for _ in range(3):
            await self.ask(request())
        self.assertEqual((self.idle(), len(shop.conversations)), (0, 3))

    async def test_the_old_are_closed(self) -> None:
        """A connection that nobody used for a while is closed before the instance does it."""
        shop = self.instance(self.held)
        await self.open(shop, keepalive_timeout=20.0)
        await self.warm(2)
        self.sweep(19)
        self.assertEqual(self.idle(), 2)
        self.sweep(21)
        self.assertEqual(self.idle(), 0)
        await self.until(lambda: not shop.open)

    async def test_bytes_that_nobody_asked_for(self) -> None:
        """An instance that speaks out of turn loses its connection; the next request gets another."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(response(b"answer"))
            await self.until(lambda: self.idle() == 1)
            conversation.send(response(b"poison", b"408 Request Timeout"))
            await conversation.ended()

        shop = self.instance(script)
        await self.open(shop)
        for number in range(3):
            self.assertEqual((await self.ask(request())).body, b"answer")
            await shop.conversations[number].lost()
            self.assertEqual(self.idle(), 0)

    async def test_it_closes_while_nobody_uses_it(self) -> None:
        """A kept connection that the instance closes is forgotten."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(response())
            await self.until(lambda: self.idle() == 1)
            conversation.close()

        shop = self.instance(script)
        await self.open(shop)
        await self.ask(request())
        await self.until(lambda: not self.idle())
        self.assertEqual((await self.ask(request())).status, 200)
        await self.until(lambda: not self.idle())

    async def test_an_instance_that_is_gone(self) -> None:
        """Connections to an instance that was taken out are not kept; a request under way is finished."""
        shop = self.instance(self.held)
        await self.open(shop, queue=QueueSpec(length=0))
        await self.warm(2)
        self.let_go = False
        client = await self.client()
        client.send(request())
        await self.until(lambda: self.cluster.in_flight == 1)
        self.directory.apply(InstanceRemoved("shop", "shop-0", "deregistered"))
        self.assertEqual(self.plane.pools, {})
        self.let_go = True
        self.assertEqual((await client.answer()).status, 200)
        await self.until(lambda: not shop.open)
        self.assertEqual((await self.ask(request())).json()["error"], "no_instances")


class RawInstance:
    """An instance on blocking sockets, for what must happen at exactly one moment, between two turns of the reactor."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self.listener.getsockname()[1])
        self.sockets: list[socket.socket] = []

    def accept(self) -> socket.socket:
        sock, _ = self.listener.accept()
        sock.settimeout(5)
        self.sockets.append(sock)
        return sock

    def stop(self) -> None:
        for sock in (*self.sockets, self.listener):
            sock.close()


class RaceTests(Scene):
    """Kept connections that the instance closes at the very moment when a request takes them."""

    async def kept(self, raw: RawInstance, count: int) -> list[socket.socket]:
        """So many kept connections to a raw instance, oldest first."""
        clients = [await self.client() for _ in range(count)]
        for client in clients:
            client.send(request())
        await self.until(lambda: sum(1 for stream in self.streams() if not stream.server_side) == count)
        sockets = [raw.accept() for _ in range(count)]
        for sock in sockets:
            while b"\r\n\r\n" not in sock.recv(65536):
                pass
            sock.sendall(response())
        for client in clients:
            await client.answer()
        self.assertEqual(self.idle(), count)
        return sockets

    def raw(self) -> RawInstance:
        raw = RawInstance()
        self.addCleanup(raw.stop)
        return raw

    def ask_now(self, data: bytes) -> socket.socket:
        """A request that is on its way when this returns, on a connection that the gateway knows."""
        client = self.clients[0]
        client.send_now(data)
        return client.transport.getHandle()

    async def test_a_get_is_repeated(self) -> None:
        """The instance closed just before it got the request: the client notices nothing."""
        raw = self.raw()
        await self.open(raw.address)
        for end in ("fin", "reset"):
            (sock,) = await self.kept(raw, 1)
            self.ask_now(request(b"GET", b"/again"))
            if end == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOW)
            sock.close()
            await self.until(lambda: sum(1 for stream in self.streams() if not stream.server_side) == 1)
            await self.turn(3)
            fresh = raw.accept()
            self.assertIn(b"GET /again", fresh.recv(65536))
            fresh.sendall(response(b"second try", b"200 OK", b"Connection: close"))
            self.assertEqual((await self.clients[0].answer()).body, b"second try")
            self.assertEqual(self.cluster.failures, 0, "the race says nothing against the instance")
            for client in self.clients:
                client.reset()
            self.clients.clear()
            await self.until(lambda: not self.plane.connections)

    async def test_a_get_finds_all_kept_connections_closed(self) -> None:
        """An instance that was restarted closed them all: however many there were, a GET finds a living one."""
        raw = self.raw()
        shop = self.instance()
        await self.open(raw.address)
        sockets = await self.kept(raw, 8)
        port = raw.address.port
        raw.listener.close()
        self.ask_now(request(b"GET", b"/again"))
        for sock in reversed(sockets):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOW)
            sock.close()
        shop = self.instance(polite, port)
        answer = await self.clients[0].answer()
        self.assertEqual((answer.status, answer.body), (200, b"/again"))
        self.assertEqual(len(shop.requests), 1)

    async def test_a_post_takes_no_closed_connection(self) -> None:
        """What must not be sent twice is only sent where somebody listens, and is sent once."""
        raw = self.raw()
        await self.open(raw.address)
        sockets = await self.kept(raw, 3)
        port = raw.address.port
        raw.listener.close()
        self.ask_now(request(b"POST", b"/once", body=b"pay"))
        for sock in sockets:
            sock.close()
        shop = self.instance(polite, port)
        answer = await self.clients[0].answer()
        self.assertEqual((answer.status, answer.body), (200, b"/once"))
        self.assertEqual([message.body for message in shop.requests], [b"pay"])

    async def test_a_post_that_was_sent_is_not_sent_again(self) -> None:
        """The connection closed after the POST went out: the instance may have got it, and the client is told."""
        raw = self.raw()
        await self.open(raw.address)
        (sock,) = await self.kept(raw, 1)
        self.ask_now(request(b"POST", b"/once", body=b"pay"))
        await self.until(lambda: self.cluster.in_flight)
        self.assertIn(b"POST /once", sock.recv(65536))
        sock.close()
        answer = await self.clients[0].answer()
        self.assertEqual((answer.status, answer.json()["error"]), (502, "instance_closed_connection"))
        raw.listener.setblocking(False)
        with self.assertRaises(BlockingIOError):
            raw.listener.accept()

    async def test_a_long_put_takes_no_closed_connection(self) -> None:
        """A body too long to be kept cannot be sent again: it goes to a living connection the first time."""
        raw = self.raw()
        await self.open(raw.address)
        (sock,) = await self.kept(raw, 1)
        port = raw.address.port
        raw.listener.close()
        data = request(b"PUT", b"/long", body=b"x" * 300000)
        self.ask_now(data[:1000])
        sock.close()
        shop = self.instance(polite, port)
        self.clients[0].send(data[1000:])
        self.assertEqual((await self.clients[0].answer()).body, b"/long")
        self.assertEqual(len(shop.requests[0].body), 300000)

    async def test_unsolicited_bytes_just_before_a_post(self) -> None:
        """Bytes that came before the request was sent are not its answer."""
        raw = self.raw()
        await self.open(raw.address)
        (sock,) = await self.kept(raw, 1)
        port = raw.address.port
        raw.listener.close()
        self.ask_now(request(b"POST", b"/once", body=b"pay"))
        sock.sendall(response(b"poison", b"408 Request Timeout"))
        self.instance(polite, port)
        self.assertEqual((await self.clients[0].answer()).body, b"/once")


class DialTests(Scene):
    async def test_a_client_that_left_meanwhile(self) -> None:
        """A connection whose client has gone is there for the next one."""
        listener, hole = self.deaf_port()
        await self.open(hole, timeout_connect=30.0)
        client = await self.client()
        client.send(request())
        await self.until(self.dials)
        client.reset()
        await self.at_rest()
        self.assertEqual(len(self.dials()), 1)
        listener.setblocking(False)
        while not self.idle():
            with contextlib.suppress(BlockingIOError):
                sock, _ = listener.accept()
                self.addCleanup(sock.close)
            await self.turn()
        self.assertEqual(self.dials(), [])

    def dials(self) -> list[Dial]:
        return [swept for swept in self.plane.deadlines.watched() if isinstance(swept, Dial)]

    def deaf_port(self) -> tuple[socket.socket, Address]:
        """A listener whose queue is full: connections to it hang in the making."""
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(3):
            filler = socket.socket()
            self.addCleanup(filler.close)
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(address)
        return listener, Address(*address)

    async def test_a_connection_that_is_not_taken(self) -> None:
        """An address that does not answer: given up after the connect timeout, and another instance asked."""
        _, hole = self.deaf_port()
        good = self.instance()
        await self.open(hole, good)
        client = await self.client()
        client.send(request(b"POST", b"/", body=b"unsent"))
        await self.until(self.dials)
        self.sweep(2.9)
        await self.turn(5)
        self.assertEqual(client.received, b"")
        self.sweep(3.1)
        self.assertEqual((await client.answer()).status, 200)
        self.assertEqual(good.requests[0].body, b"unsent")
        self.assertEqual(self.dials(), [])

    async def test_nobody_takes_a_connection(self) -> None:
        """With no other instance: a 502 that says so."""
        _, hole = self.deaf_port()
        await self.open(hole)
        client = await self.client()
        client.send(request())
        await self.until(self.dials)
        self.sweep(3.1)
        answer = await client.answer()
        self.assertEqual((answer.status, answer.json()["error"]), (502, "instance_unreachable"))
        self.assertIn("did not accept within 3 s", answer.json()["reason"])

    async def test_the_plane_stops_meanwhile(self) -> None:
        """Connections in the making are given up when the gateway stops."""
        _, hole = self.deaf_port()
        await self.open(hole)
        client = await self.client()
        client.send(request())
        await self.until(self.dials)


class NamesTests(Scene):
    """Instances that are known by name. The names are looked up by a stand-in for the reactor's resolver."""

    def resolver(self, answer: Any) -> None:
        real = self.plane.reactor

        class Resolving:
            asked: list[str] = []

            def resolve(self, name: str, timeout: Any = ()) -> Deferred[str]:
                self.asked.append(name)
                return answer() if callable(answer) else answer

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        self.plane.reactor = Resolving()
        self.asked = Resolving.asked

    async def named(self, instance: Instance) -> None:
        await self.open(Address("shop.internal", instance.address.port))

    async def test_a_name_is_looked_up_for_each_connection(self) -> None:
        """An instance that moved is found at its next connection."""
        shop = self.instance(says(response(b"ok", b"200 OK", b"Connection: close"), close=True))
        await self.named(shop)

        def answer() -> Deferred[str]:
            found: Deferred[str] = Deferred()
            self.reactor.callLater(0, found.callback, "127.0.0.1")
            return found

        self.resolver(answer)
        for _ in range(2):
            self.assertEqual((await self.ask(request())).status, 200)
        self.assertEqual(self.asked, ["shop.internal"] * 2)

    async def test_an_answer_at_once(self) -> None:
        """A resolver that knows at once is no special case."""
        shop = self.instance()
        await self.named(shop)
        found: Deferred[str] = Deferred()
        found.callback("127.0.0.1")
        self.resolver(found)
        self.assertEqual((await self.ask(request())).status, 200)

    async def test_a_name_that_is_not_found(self) -> None:
        """A 502 that names the name."""
        await self.named(self.instance())
        self.resolver(lambda: fail(OSError("no such name")))
        answer = await self.ask(request())
        self.assertEqual(answer.status, 502)
        self.assertIn("shop.internal", answer.json()["reason"])

    async def test_a_name_that_takes_too_long(self) -> None:
        """The connect timeout holds for finding the address, too; what is found afterwards is of no use."""
        shop = self.instance(silent)
        await self.named(shop)
        found: Deferred[str] = Deferred()
        self.resolver(found)
        client = await self.client()
        client.send(request())
        await self.until(lambda: self.cluster.in_flight)
        self.sweep(3.1)
        self.assertEqual((await client.answer()).status, 502)
        found.callback("127.0.0.1")
        await self.turn(5)
        self.assertEqual(shop.conversations, [])

    async def test_the_plane_stops_before_the_name_is_found(self) -> None:
        """An address that comes when the gateway has stopped leads nowhere, and hurts nobody."""
        await self.named(self.instance())
        found: Deferred[str] = Deferred()
        self.resolver(found)
        client = await self.client()
        client.send(request())
        await self.until(lambda: self.cluster.in_flight)
        await self._take_down()
        found.callback("127.0.0.1")
        self.instances.clear(), self.clients.clear(), self.ports.clear()
