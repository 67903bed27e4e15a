"""Tests of wmesh.resource: the mesh behind a real twisted.web Site, as clients and instances see it."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.protocols.policies import WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.embedded import BULK, MeshCase, Shop
from tests.proxy.support import Conversation, Message
from tests.waiting import until
from wmesh.errors import ControlError
from wmesh.resource import PATIENCE, ProxyResource, bounded


class ResourceCase(MeshCase):
    async def serve(self, *shops: Shop, bound: int = 0, **more: str) -> None:
        """The mesh by its routes at /shop/, and the service "shop" at /a/b%20c/, at /whole/ (path and all)."""
        mesh = await self.start(*shops, **more)
        root, a = Resource(), Resource()
        root.putChild(b"a", a)
        a.putChild(b"b c", ProxyResource(mesh, "shop"))
        root.putChild(b"shop", ProxyResource(mesh))
        root.putChild(b"none", ProxyResource(mesh))
        root.putChild(b"whole", ProxyResource(mesh, "shop", strip=False))
        site: Any = Site(root, requestFactory=bounded(bound)) if bound else Site(root)
        site.log = lambda request: None
        self.site: Any = WrappingFactory(site)
        self.site.noisy = False
        self.port: Any = self.reactor.listenTCP(0, self.site, interface="127.0.0.1")
        self.addCleanup(self.hang_up)

    async def hang_up(self) -> None:
        await self.port.stopListening()
        for connection in list(self.site.protocols):
            connection.transport.abortConnection()
        await until(lambda: not self.site.protocols, "the end of the clients")

    async def client(self) -> Conversation:
        endpoint = TCP4ClientEndpoint(self.reactor, "127.0.0.1", self.port.getHost().port)
        client: Conversation = await connectProtocol(endpoint, Conversation())
        self.addCleanup(client.reset)
        return client

    async def ask(self, method: str, target: str, *fields: str, body: bytes = b"", version: str = "1.1") -> Message:
        client = await self.client()
        if body:
            fields = (*fields, f"Content-Length: {len(body)}")
        lines = [f"{method} {target} HTTP/{version}", "Host: web.test", *fields]
        client.send("\r\n".join((*lines, "", "")).encode(), body)
        return await client.answer(method == "HEAD")

    async def seen(self, method: str, target: str, *fields: str, **more: Any) -> Any:
        answer = await self.ask(method, target, *fields, **more)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()


class PathTests(ResourceCase):
    async def test_where_it_goes(self) -> None:
        """By the routes with the whole path, or below the mount, as the client spelled it."""
        await self.serve(self.shop())
        for asked, target, prefix in (
            ("/shop/x%2Fy?q=%20", "/x%2Fy?q=%20", "/shop"),
            ("/a/b%20c/d/e?f", "/d/e?f", "/a/b%20c"),
            ("/a/b%20c", "/", "/a/b%20c"),
            ("/a/b%20c/", "/", "/a/b%20c"),
            ("/a/b%20c?x", "/?x", "/a/b%20c"),
            ("/a/b%20c//evil", "/evil", "/a/b%20c"),
            ("/whole/x", "/whole/x", None),
        ):
            seen = await self.seen("GET", asked)
            self.assertEqual((seen["target"], seen["headers"].get("x-forwarded-prefix")), (target, prefix), asked)

    async def test_no_route(self) -> None:
        await self.serve(self.shop())
        answer = await self.ask("GET", "/none/x")
        self.assertEqual((answer.status, answer.json()["error"]), (404, "no_route"))

    async def test_no_service(self) -> None:
        """A name that the mesh does not know is told when the resource is made."""
        mesh = await self.start(self.shop())
        self.assertRaises(ControlError, ProxyResource, mesh, "shops")

    async def test_bad_requests(self) -> None:
        """What twisted.web lets pass and the gateway does not is answered as by the gateway."""
        shop = self.shop()
        await self.serve(shop)
        for fields, target, status in (
            ((), "/shop/%2e%2e/secret", 400),
            (("Host: other",), "/shop/", 400),
            (("A: b\x01",), "/shop/", 400),
        ):
            answer = await self.ask("GET", target, *fields)
            self.assertEqual(answer.status, status, (fields, target))
        self.assertEqual((await self.ask("FOO", "/shop/")).status, 501)
        self.assertEqual(shop.requests, [])


class FieldTests(ResourceCase):
    async def test_to_the_instance(self) -> None:
        """Who asked is told, claims of strangers are dropped, and what spoke to the next hop only stays here."""
        await self.serve(self.shop())
        seen = await self.seen(
            "GET", "/shop/", "X-Forwarded-For: 8.8.8.8", "Connection: X-Own", "X-Own: 1", "Upgrade: websocket",
            "TE: gzip", "Cookie: a=b", "X-Request-Id: forged",
        )  # fmt: skip
        headers = seen["headers"]
        self.assertEqual((headers["host"], headers["x-forwarded-host"]), ("web.test", "web.test"))
        self.assertEqual((headers["x-forwarded-for"], headers["x-forwarded-proto"]), ("127.0.0.1", "http"))
        self.assertEqual((headers["cookie"], headers["via"]), ("a=b", "1.1 wmesh"))
        self.assertEqual({"x-own", "upgrade", "te", "connection"} & set(headers), set())
        self.assertNotEqual(headers["x-request-id"], "forged")

    async def test_from_a_trusted_proxy(self) -> None:
        await self.serve(self.shop(), more="[gateway]\ntrusted_proxies = 127.0.0.0/8")
        seen = await self.seen("GET", "/shop/", "X-Forwarded-For: 8.8.8.8", "X-Forwarded-Proto: https")
        self.assertEqual(seen["headers"]["x-forwarded-for"], "8.8.8.8, 127.0.0.1")
        self.assertEqual(seen["headers"]["x-forwarded-proto"], "https")

    async def test_to_the_client(self) -> None:
        """Each field once, as the instance sent it: nothing of twisted.web's own makes it two."""
        await self.serve(self.shop())
        answer = await self.ask("GET", "/shop/a")
        for name in (b"Date", b"Server", b"Content-Type", b"Content-Length", b"Via", b"X-Request-Id"):
            self.assertEqual(len(answer.values(name)), int(name != b"Content-Length"), name)
        self.assertEqual(answer.value(b"Transfer-Encoding"), b"chunked")
        self.assertEqual(answer.values(b"Set-Cookie"), [b"a=1", b"b=2"])
        answer = await self.ask("HEAD", "/shop/bulk")
        self.assertEqual((answer.value(b"Content-Length"), answer.body), (b"%d" % BULK, b""))

    async def test_old_clients(self) -> None:
        """HTTP/1.0: the body without chunks, and its end is the connection's."""
        await self.serve(self.shop())
        answer = await self.ask("GET", "/shop/a", version="1.0")
        self.assertEqual(json.loads(answer.body)["target"], "/a")
        self.assertEqual(answer.value(b"Transfer-Encoding"), None)


class BodyTests(ResourceCase):
    async def test_any_size(self) -> None:
        """Small ones come from memory, large ones from a file; chunks become a length."""
        await self.serve(self.shop())
        for size in (1, 99_999, 3_000_000):
            seen = await self.seen("POST", "/shop/", body=b"x" * size)
            self.assertEqual((seen["size"], seen["headers"]["content-length"]), (size, str(size)))
        client = await self.client()
        client.send(b"PUT /shop/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        seen = (await client.answer()).json()
        self.assertEqual((seen["size"], seen["headers"].get("transfer-encoding")), (3, None))
        self.assertNotIn("content-length", (await self.seen("GET", "/shop/"))["headers"])

    async def test_bounded(self) -> None:
        """Too long is answered before it is collected, whether its length was told or not."""
        shop = self.shop()
        await self.serve(shop, bound=1000)
        self.assertEqual((await self.seen("POST", "/shop/", body=b"x" * 1000))["size"], 1000)
        for framing, body in (
            (b"Content-Length: 1001", b""),
            (b"Content-Length: 1001", b"x" * 1001),
            (b"Transfer-Encoding: chunked", b"3e9\r\n" + b"x" * 1001),
            (b"Transfer-Encoding: chunked", b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n"),
        ):
            client = await self.client()
            client.send(b"POST /shop/ HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n" + body)
            answer = await client.answer()
            self.assertEqual((answer.status, answer.json()["error"]), (413, "body_too_long"))
            await client.lost()
        self.assertEqual(len(shop.requests), 1)


class EndTests(ResourceCase):
    async def held_back(self) -> Conversation:
        """A client that has asked for much and does not read, so that its caller holds the instance back."""
        await self.serve(self.shop())
        client = await self.client()
        client.pause()
        client.send(b"GET /shop/bulk HTTP/1.1\r\nHost: x\r\n\r\n")
        plane = self.mesh.gateway.plane
        await until(lambda: any(caller.stream and caller.stream.unsent for caller in plane.connections), "a pause")
        return client

    async def test_broken(self) -> None:
        """A client sees that its answer broke off: the connection is reset, whatever had been said before."""
        await self.serve(self.shop())
        client = await self.client()
        client.send(b"GET /shop/break HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(await client.ended(), "reset")
        await self.at_rest()

    async def test_the_client_leaves(self) -> None:
        """The instance's connection is cut, and nothing is logged as an error."""
        shop = self.shop()
        await self.serve(shop)
        client = await self.client()
        client.send(b"GET /shop/wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: shop.requests, "the request")
        client.reset()
        await until(lambda: shop.gone, "the end of its connection")
        await self.at_rest()

    async def test_slow_reader(self) -> None:
        """A client that does not read holds the instance back, and goes on where it stopped."""
        client = await self.held_back()
        client.resume()
        self.assertEqual(len((await client.answer()).body), BULK)
        await self.at_rest()

    async def test_stuck_reader(self) -> None:
        """One that never reads again does not keep the instance's connection for ever."""
        await self.held_back()
        (caller,) = self.mesh.gateway.plane.connections
        swept: Any = caller
        swept.sweep(0.0)
        swept.sweep(PATIENCE + 1)
        await self.at_rest()

    async def test_pipelined(self) -> None:
        """Requests behind each other on one connection are answered in order, whoever answers."""
        first, second = self.shop(), self.shop()
        await self.serve(first, second)
        client = await self.client()
        client.send(*(b"GET /shop/%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(20)))
        targets = [(await client.answer()).json()["target"] for _ in range(20)]
        self.assertEqual(targets, [f"/{number}" for number in range(20)])
        self.assertTrue(first.requests and second.requests)

    async def test_the_mesh_stops(self) -> None:
        """While it stops and after: 503 at once. What is under way has its time."""
        shop = self.shop()
        await self.serve(shop)
        waiting = Deferred.fromCoroutine(self.ask("GET", "/shop/wait"))
        await until(lambda: shop.requests, "the request")
        stopped = self.mesh.stop()
        refused = await self.ask("GET", "/shop/x")
        self.assertEqual((refused.status, refused.json()["error"]), (503, "unavailable"))
        shop.answer(shop.requests[0])
        self.assertEqual((await waiting).status, 200)
        await stopped
        self.assertEqual((await self.ask("GET", "/shop/x")).status, 503)
