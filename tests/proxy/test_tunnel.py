"""Tests of wmesh.proxy.tunnel: what happens to a connection after its 101, and to one that gets none."""

from __future__ import annotations

import socket
from ipaddress import ip_network
from typing import Any

from tests.proxy.support import Conversation, Scene, Script, request, response, says, take
from wmesh.model import StickySpec
from wmesh.proxy.decisions import recent

UPGRADE = (
    b"Connection: keep-alive, Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version: 13",
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3p\r\n\r\n"
)


async def echo(conversation: Conversation) -> None:
    """Accepts, and gives back what comes."""
    await take(conversation)
    conversation.send(SWITCH)
    while True:
        await conversation.until(lambda: bool(conversation.received))
        piece = bytes(conversation.received)
        conversation.received.clear()
        conversation.send(piece)


class TunnelScene(Scene):
    async def websocket(self, script: Script, **changes: Any) -> None:
        self.shop = self.instance(script)
        await self.open(self.shop, protocol="websocket", **changes)

    async def connected(self, script: Script = echo) -> tuple[Conversation, Conversation]:
        """An open tunnel: the client's end and the instance's."""
        await self.websocket(script)
        client = await self.client()
        client.send(request(b"GET", b"/socket", *UPGRADE))
        self.assertEqual((await client.message()).status, 101)
        return client, self.shop.conversations[0]


class OpeningTests(TunnelScene):
    async def test_the_handshake(self) -> None:
        """Both sides see the handshake as if they stood face to face."""
        await self.websocket(echo)
        client = await self.client()
        client.send(request(b"GET", b"/socket", *UPGRADE))
        answer = await client.message()
        self.assertEqual(answer.status, 101)
        self.assertEqual(answer.value(b"Upgrade"), b"websocket")
        self.assertEqual(answer.value(b"Connection"), b"Upgrade")
        self.assertEqual(answer.value(b"Sec-WebSocket-Accept"), b"s3p")
        self.assertIsNotNone(answer.value(b"X-Request-Id"))
        seen = self.shop.requests[0]
        self.assertEqual(seen.value(b"Upgrade"), b"websocket")
        self.assertEqual(seen.value(b"Connection"), b"Upgrade")
        self.assertEqual(seen.value(b"Sec-WebSocket-Key"), b"dGhlIHNhbXBsZSBub25jZQ==")

    async def test_the_client_is_bound(self) -> None:
        """A client that only opens WebSockets gets its cookie with the 101, and not again while it has it."""
        await self.websocket(echo, sticky=StickySpec(enabled=True))
        client, again = await self.client(), await self.client()
        client.send(request(b"GET", b"/socket", *UPGRADE))
        answer = await client.message()
        cookie = (answer.value(b"Set-Cookie") or b"").partition(b";")[0]
        self.assertEqual((answer.status, cookie[:11]), (101, b"wmesh-shop="))
        again.send(request(b"GET", b"/socket", *UPGRADE, b"Cookie: " + cookie))
        answer = await again.message()
        self.assertEqual((answer.status, answer.value(b"Set-Cookie")), (101, None))

    async def test_a_trusted_client_asks_why(self) -> None:
        """It is told with the 101, as with any other answer."""
        await self.websocket(echo, gateway={"trusted_proxies": (ip_network("127.0.0.1"),)})
        client = await self.client()
        client.send(request(b"GET", b"/socket", *UPGRADE, b"X-Wmesh-Debug: 1"))
        self.assertIn(b"instance=shop-0; attempts=1", (await client.message()).value(b"X-Wmesh-Decision") or b"")

    async def test_bytes_both_ways(self) -> None:
        """What goes in at one end comes out at the other, whatever it is."""
        client, _ = await self.connected()
        data = bytes(range(256)) * 4000
        client.send(data)
        self.assertTrue(await client.exactly(len(data)) == data)
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual(await client.exactly(18), b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual((self.cluster.in_flight, self.idle()), (1, 0))

    async def test_what_the_client_sent_early(self) -> None:
        """Bytes right behind the client's handshake are the first of the tunnel."""
        await self.websocket(echo)
        client = await self.client()
        client.send(request(b"GET", b"/socket", *UPGRADE), b"early frames")
        self.assertEqual((await client.message()).status, 101)
        self.assertEqual(await client.exactly(12), b"early frames")

    async def test_what_the_client_sent_while_waiting(self) -> None:
        """So are those that come while the instance still thinks."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            await self.until(lambda: any(connection.partial for connection in self.plane.connections))
            conversation.send(SWITCH)
            conversation.send(await conversation.exactly(12))

        await self.websocket(script)
        client = await self.client()
        client.send(request(b"GET", b"/socket", *UPGRADE))
        await self.until(lambda: self.shop.requests)
        client.send(b"early frames")
        self.assertEqual((await client.message()).status, 101)
        self.assertEqual(await client.exactly(12), b"early frames")

    async def test_what_the_instance_sent_early(self) -> None:
        """Bytes right behind the 101 reach the client behind it."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(SWITCH, b"welcome")
            await conversation.ended()

        client, _ = await self.connected(script)
        self.assertEqual(await client.exactly(7), b"welcome")

    async def test_the_instance_refuses(self) -> None:
        """A 403 is an answer like any other, and the connection goes on."""
        await self.websocket(says(response(b"not you", b"403 Forbidden")))
        client = await self.client()
        for _ in range(2):
            client.send(request(b"GET", b"/socket", *UPGRADE))
            answer = await client.message()
            self.assertEqual((answer.status, answer.body), (403, b"not you"))
            self.assertEqual(answer.values(b"Upgrade"), [])
        self.assertEqual(len(self.shop.conversations), 1)

    async def test_no_instance(self) -> None:
        """With nobody there the client is told in plain HTTP."""
        await self.open(await self.nobody(), protocol="websocket")
        answer = await self.ask(request(b"GET", b"/socket", *UPGRADE))
        self.assertEqual((answer.status, answer.json()["error"]), (502, "instance_unreachable"))

    async def test_another_instance(self) -> None:
        """An instance that is down does not keep a client from its socket."""
        good = self.instance(echo)
        await self.open(await self.nobody(), good, protocol="websocket")
        client = await self.client()
        client.send(request(b"GET", b"/socket", *UPGRADE))
        self.assertEqual((await client.message()).status, 101)
        self.assertEqual([member.in_flight for member in self.cluster.members.values()], [0, 1])

    async def test_a_service_that_has_no_sockets(self) -> None:
        """On a service of plain HTTP the wish to upgrade is left out, and the rest is served."""
        shop = self.instance()
        await self.open(shop)
        answer = await self.ask(request(b"GET", b"/socket", *UPGRADE))
        self.assertEqual((answer.status, answer.body), (200, b"/socket"))
        self.assertEqual((shop.requests[0].values(b"Upgrade"), shop.requests[0].values(b"Connection")), ([], []))

    async def test_plain_requests_to_a_service_of_sockets(self) -> None:
        """Health checks and pages beside the socket are served as usual; so is an upgrade to something else."""
        shop = self.instance()
        await self.open(shop, protocol="websocket")
        self.assertEqual((await self.ask(request(b"GET", b"/page"))).body, b"/page")
        other = (b"Connection: Upgrade", b"Upgrade: h2c")
        self.assertEqual((await self.ask(request(b"GET", b"/other", *other))).body, b"/other")
        self.assertEqual(shop.requests[1].values(b"Upgrade"), [])

    async def test_an_old_client_cannot_upgrade(self) -> None:
        """An Upgrade in HTTP/1.0 must be ignored (RFC 9110 section 7.8)."""
        shop = self.instance()
        await self.open(shop, protocol="websocket")
        fields = b"".join(b"%b\r\n" % field for field in UPGRADE)
        answer = await self.ask(b"GET /old HTTP/1.0\r\nHost: shop.test\r\n" + fields + b"\r\n")
        self.assertEqual((answer.status, answer.body), (200, b"/old"))
        self.assertEqual(shop.requests[0].values(b"Upgrade"), [])

    async def test_a_handshake_with_a_body(self) -> None:
        """Nobody knows what the body of a handshake would mean: it is refused."""
        await self.websocket(echo)
        answer = await self.ask(request(b"GET", b"/socket", *UPGRADE, body=b"what?"))
        self.assertEqual(answer.status, 400)
        self.assertEqual(self.shop.conversations, [])

    async def test_a_switch_to_something_else(self) -> None:
        """An instance that switches to what was not asked for has not answered."""
        await self.websocket(says(b"HTTP/1.1 101 Fine\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"))
        self.assertEqual((await self.ask(request(b"GET", b"/socket", *UPGRADE))).status, 502)


class EndingTests(TunnelScene):
    async def gone(self, *conversations: Conversation) -> None:
        for conversation in conversations:
            await conversation.lost()
        await self.at_rest()
        await self.until(lambda: not self.plane.connections)
        self.assertEqual(self.idle(), 0)
        self.assertEqual(self.cluster.failures, 0)

    async def test_the_client_closes(self) -> None:
        """The instance gets what was sent, and then the end."""
        client, shop = await self.connected()
        shop.pause()
        client.send(b"last words" * 1000)
        await self.turn(5)
        client.close()
        await self.turn(5)
        shop.resume()
        self.assertEqual(await shop.ended(), "fin")
        await self.gone(client, shop)
        self.assertEqual(self.traffic["shop"].responses[1], 1)

    async def test_the_instance_closes(self) -> None:
        """The client gets what was sent, and then the end."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(SWITCH)
            await conversation.exactly(4)
            conversation.send(b"x" * 3_000_000)
            conversation.close()

        client, shop = await self.connected(script)
        client.pause()
        client.send(b"bye?")
        await self.turn(20)
        client.resume()
        self.assertEqual(len(await client.exactly(3_000_000)), 3_000_000)
        self.assertEqual(await client.ended(), "fin")
        await self.gone(client, shop)

    async def test_the_client_has_said_all(self) -> None:
        """A client that ends its side only goes on receiving until the instance has said all, too."""

        async def script(conversation: Conversation) -> None:
            conversation.closes = False
            await take(conversation)
            conversation.send(SWITCH)
            self.assertEqual(await conversation.ended(), "fin")
            await self.turn(5)
            conversation.send(b"%d bytes" % len(conversation.received))
            conversation.close()

        client, shop = await self.connected(script)
        client.send(b"x" * 500_000)
        client.half_close()
        self.assertEqual(await client.exactly(12), b"500000 bytes")
        self.assertEqual(await client.ended(), "fin")
        await self.gone(client, shop)

    async def test_the_instance_has_said_all(self) -> None:
        """An instance that ends its side ends the tunnel; the client may be sending still, and loses nothing by it."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(SWITCH, b"that is all" * 10_000)
            conversation.half_close()
            await conversation.lost()

        await self.websocket(script)
        client = await self.client()
        client.pause()
        client.send(request(b"GET", b"/socket", *UPGRADE))
        await self.at_rest_again()
        for _ in range(10):
            client.send(b"y" * 1000)
            await self.turn()
        client.resume()
        self.assertEqual((await client.message()).status, 101)
        self.assertEqual(await client.exactly(110_000), b"that is all" * 10_000)
        self.assertEqual(await client.ended(), "fin")
        await self.gone(client, self.shop.conversations[0])

    async def at_rest_again(self) -> None:
        await self.until(lambda: self.cluster.requests == 1)
        await self.at_rest()

    async def test_it_leaves_a_record(self) -> None:
        """What became of it can be asked for when it is over, as of any request; once, whichever side ends first."""
        for first in (0, 1):
            client, shop = ends = await self.connected()
            self.assertEqual(len(self.plane.decisions), 0)
            ends[first].close()
            await self.gone(client, shop)
            [found] = recent(self.plane.decisions, 10, self.plane.clock(), 0.0)
            self.assertEqual((found["method"], found["target"], found["status"]), ("GET", "/socket", 101))
            self.assertEqual((found["service"], found["instance"], found["steps"]), ("shop", "shop-0", []))
            await self._take_down()
            self.instances.clear(), self.clients.clear(), self.ports.clear()

    async def test_the_client_is_reset(self) -> None:
        """A client that vanishes takes its tunnel with it."""
        client, shop = await self.connected()
        client.reset()
        await self.gone(client, shop)

    async def test_the_instance_is_reset(self) -> None:
        """So does an instance."""
        client, shop = await self.connected()
        shop.reset()
        await self.gone(client, shop)
        self.assertEqual(client.end, "fin")

    async def test_the_gateway_stops(self) -> None:
        """Tunnels do not outlive the gateway, and hold up nobody else's end."""
        client, shop = await self.connected()
        idle = await self.client()
        await self.until(lambda: len(self.plane.connections) == 2)
        self.plane.drain()
        await idle.lost()
        client.send(b"still here")
        self.assertEqual(await client.exactly(10), b"still here")
        self.plane.stop()
        self.assertEqual(self.cluster.in_flight, 0)
        await client.lost()
        await shop.lost()

    async def test_a_silent_tunnel_lives(self) -> None:
        """A socket on which nothing happens for an hour is nothing out of the ordinary."""
        client, _ = await self.connected()
        for minute in range(60):
            self.sweep(minute * 60.0)
        client.send(b"hello")
        self.assertEqual(await client.exactly(5), b"hello")

    async def test_a_client_that_takes_no_last_words(self) -> None:
        """The instance is gone and the client does not read what it said: that does not last for ever."""
        for much in (False, True):

            async def script(conversation: Conversation, much: bool = much) -> None:
                await take(conversation)
                conversation.send(SWITCH)
                await conversation.exactly(4)
                if much:
                    while all(stream._reading for stream in self.streams()):
                        conversation.send(b"x" * 100_000)
                        await self.turn()
                else:
                    conversation.send(b"x" * 50_000)
                    await self.until(self.unsent)
                conversation.reset()

            await self.websocket(script)
            client = await self.client(window=4096)
            client.send(request(b"GET", b"/socket", *UPGRADE))
            await client.message()
            client.pause()
            (connection,) = self.plane.connections
            assert connection.stream is not None
            if not much:
                connection.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            client.send(b"bye?")
            await self.shop.conversations[0].lost()
            await self.turn(5)
            self.assertGreater(self.unsent(), 0)
            self.overdue(61)
            self.assertEqual((len(self.plane.connections), self.cluster.in_flight), (0, 0))
            await self.until(lambda: not self.streams())
            await self._take_down()
            self.instances.clear(), self.clients.clear(), self.ports.clear()

    async def test_an_instance_that_takes_no_last_words(self) -> None:
        """The same the other way round."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(SWITCH)
            conversation.pause()
            await conversation.ended()

        client, shop = await self.connected(script)
        while not self.unsent():
            client.send(b"x" * 1_000_000)
            await self.turn()
        client.reset()
        await self.at_rest()
        self.overdue(61)
        self.assertEqual(self.streams(), [])
        shop.resume()


class BackpressureTests(TunnelScene):
    async def test_the_client_does_not_read(self) -> None:
        """A torrent from the instance waits at the instance."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(SWITCH, b"x" * 20_000_000)
            await conversation.ended()

        await self.websocket(script)
        client = await self.client(window=4096)
        client.send(request(b"GET", b"/socket", *UPGRADE))
        await client.message()
        client.pause()
        self.assertLess(await self.stands_still(), 400_000)
        client.resume()
        self.assertEqual(len(await client.exactly(20_000_000)), 20_000_000)

    async def test_the_instance_does_not_read(self) -> None:
        """A torrent from the client waits at the client."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(SWITCH)
            conversation.pause()
            await self.until(lambda: self.flowing)
            conversation.resume()
            conversation.send(b"%d" % len(await conversation.exactly(20_000_000)))

        self.flowing = False
        client, _ = await self.connected(script)
        client.send(b"y" * 20_000_000)
        self.assertLess(await self.stands_still(), 400_000)
        self.flowing = True
        self.assertEqual(await client.exactly(8), b"20000000")

    async def test_both_ways(self) -> None:
        """Both at once, a lot of it, and nothing lost."""
        client, _ = await self.connected()
        data = bytes(range(250)) * 40_000
        client.send(data)
        self.assertTrue(await client.exactly(len(data)) == data)
