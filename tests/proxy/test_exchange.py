"""Tests of wmesh.proxy.exchange: one request's whole life, over real sockets."""

from __future__ import annotations

import ipaddress
from random import Random

from twisted.internet.defer import Deferred

from tests.proxy.support import (
    Conversation,
    Scene,
    chunked,
    polite,
    request,
    response,
    says,
    silent,
    spec_of,
    take,
)
from wmesh.model import QueueSpec, RouteSpec

TRUSTED = {"trusted_proxies": (ipaddress.ip_network("127.0.0.0/8"),)}


class HeadTests(Scene):
    async def test_a_request_is_answered(self) -> None:
        """What the instance says is what the client reads, and the instance sees what was asked."""
        shop = self.instance()
        await self.open(shop)
        answer = await self.ask(request(b"GET", b"/x?y=1", b"X-Colour: blue"))
        self.assertEqual((answer.status, answer.body), (200, b"/x?y=1"))
        seen = shop.requests[0]
        self.assertEqual(seen.start, b"GET /x?y=1 HTTP/1.1")
        self.assertEqual(seen.value(b"Host"), b"shop.test")
        self.assertEqual(seen.value(b"X-Colour"), b"blue")
        self.assertEqual(seen.value(b"X-Forwarded-For"), b"127.0.0.1")
        self.assertEqual(seen.value(b"X-Forwarded-Proto"), b"http")
        self.assertEqual(seen.value(b"X-Forwarded-Host"), b"shop.test")
        self.assertEqual(seen.value(b"Via"), b"1.1 wmesh")
        self.assertEqual(seen.value(b"X-Request-Id"), answer.value(b"X-Request-Id"))
        self.assertEqual(answer.value(b"Via"), b"1.1 wmesh")
        self.assertIsNotNone(answer.value(b"Date"))

    async def test_request_ids(self) -> None:
        """Every request gets an id of its own; a stranger's own id is not believed."""
        shop = self.instance()
        await self.open(shop)
        client = await self.client()
        ids = set()
        for _ in range(3):
            client.send(request(b"GET", b"/", b"X-Request-Id: forged"))
            ids.add((await client.answer()).value(b"X-Request-Id"))
        self.assertEqual(len(ids), 3)
        self.assertNotIn(b"forged", ids)

    async def test_a_trusted_proxy_names_the_request(self) -> None:
        """Behind another proxy of ours, its request id and its word on the client are kept."""
        shop = self.instance()
        await self.open(shop, gateway=TRUSTED)
        claims = (b"X-Forwarded-For: 10.1.2.3", b"X-Forwarded-Proto: https")
        answer = await self.ask(request(b"GET", b"/", b"X-Request-Id: from-before", *claims))
        self.assertEqual(answer.value(b"X-Request-Id"), b"from-before")
        seen = shop.requests[0]
        self.assertEqual(seen.value(b"X-Request-Id"), b"from-before")
        self.assertEqual(seen.value(b"X-Forwarded-For"), b"10.1.2.3, 127.0.0.1")
        self.assertEqual(seen.value(b"X-Forwarded-Proto"), b"https")

    async def test_the_request_id_is_on_everything(self) -> None:
        """Whatever the gateway answers can be looked up in the logs, by the id in its field and in its body."""
        await self.open(await self.nobody(), routes=(RouteSpec("", "/shop/"),))
        for data, status in (
            (request(b"GET", b"/nowhere"), 404),
            (request(b"GET", b"/shop/"), 502),
            (request(b"GET", b"/shop/%2e%2e/"), 400),
            (request(b"CONNECT", b"/shop/"), 501),
            (b"GET / HTTP/2.0\r\n\r\n", 505),
            (b"\x16\x03\x01\x02\x00", 400),
            (request(b"POST", b"/shop/", b"Transfer-Encoding: chunked") + b"zz\r\n", 400),
        ):
            answer = await self.ask(data)
            self.assertEqual(answer.status, status, data)
            self.assertEqual(answer.json()["request_id"].encode(), answer.value(b"X-Request-Id"), data)

    async def test_hop_by_hop_fields_stay_here(self) -> None:
        """What speaks to this hop, and what Connection names, reaches neither instance nor client."""
        shop = self.instance(
            says(response(b"ok", b"200 OK", b"Connection: keep-alive, X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=9"))
        )
        await self.open(shop)
        fields = (b"Connection: X-Mine", b"X-Mine: 1", b"Keep-Alive: 5", b"Proxy-Connection: x", b"TE: gzip")
        answer = await self.ask(request(b"GET", b"/", *fields))
        seen = shop.requests[0]
        for name in (b"Connection", b"X-Mine", b"Keep-Alive", b"Proxy-Connection", b"TE"):
            self.assertEqual(seen.values(name), [], name)
        for name in (b"Connection", b"X-Hop", b"Keep-Alive"):
            self.assertEqual(answer.values(name), [], name)

    async def test_the_prefix_is_taken_off_and_told(self) -> None:
        """An instance behind a stripped route sees its own paths, and can know where it is mounted."""
        shop = self.instance()
        await self.open(shop, routes=(RouteSpec("", "/shop/"),), strip_prefix=True)
        for target, seen in ((b"/shop/a?b", b"/a?b"), (b"/shop", b"/"), (b"/shop?q", b"/?q"), (b"/shop/", b"/")):
            self.assertEqual((await self.ask(request(b"GET", target))).body, seen)
        self.assertEqual({m.value(b"X-Forwarded-Prefix") for m in shop.requests}, {b"/shop"})

    async def test_no_client_takes_the_prefix_away(self) -> None:
        """What a stranger claims about himself changes nothing in what the instance is told of its route."""
        shop = self.instance()
        await self.open(shop, routes=(RouteSpec("", "/shop/"),), strip_prefix=True)
        await self.ask(request(b"GET", b"/shop/", b"X-Forwarded-For: 1.2.3.4"))
        await self.ask(request(b"GET", b"/shop/", b"X-Forwarded-Prefix: /evil"))
        self.assertEqual([m.values(b"X-Forwarded-Prefix") for m in shop.requests], [[b"/shop"]] * 2)
        self.assertEqual({m.value(b"X-Forwarded-For") for m in shop.requests}, {b"127.0.0.1"})

    async def test_a_trusted_proxy_without_a_prefix_of_its_own(self) -> None:
        """Behind another proxy that strips nothing, our prefix is still told; one that it claims is left alone."""
        shop = self.instance()
        await self.open(shop, routes=(RouteSpec("", "/shop/"),), strip_prefix=True, gateway=TRUSTED)
        await self.ask(request(b"GET", b"/shop/", b"X-Forwarded-For: 1.2.3.4"))
        await self.ask(request(b"GET", b"/shop/", b"X-Forwarded-Prefix: /outer"))
        self.assertEqual([m.values(b"X-Forwarded-Prefix") for m in shop.requests], [[b"/shop"], [b"/outer"]])

    async def test_an_http_10_client_that_names_no_host(self) -> None:
        """HTTP/1.1 instances need a Host; they get one even where the old client sent none."""
        shop = self.instance()
        await self.open(shop)
        answer = await self.ask(b"GET /old HTTP/1.0\r\n\r\n")
        self.assertEqual(answer.body, b"/old")
        self.assertEqual(shop.requests[0].value(b"Host"), b"shop")
        self.assertEqual(shop.requests[0].start, b"GET /old HTTP/1.1")
        self.assertEqual(shop.requests[0].value(b"Via"), b"1.0 wmesh")

    async def test_absolute_form(self) -> None:
        """A target with a host in it overrules the Host field, and the instance gets the path."""
        shop = self.instance()
        await self.open(shop)
        answer = await self.ask(b"GET http://other.test/a?b HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        self.assertEqual(answer.body, b"/a?b")
        self.assertEqual(shop.requests[0].value(b"Host"), b"other.test")

    async def test_options_of_the_gateway_itself(self) -> None:
        """OPTIONS * asks about the gateway; no instance sees it."""
        shop = self.instance()
        await self.open(shop)
        answer = await self.ask(request(b"OPTIONS", b"*"))
        self.assertEqual(answer.status, 200)
        self.assertIn(b"GET", answer.value(b"Allow") or b"")
        self.assertEqual(shop.requests, [])

    async def test_max_forwards(self) -> None:
        """TRACE and OPTIONS count their hops down, and end here at nought."""
        shop = self.instance()
        await self.open(shop)
        self.assertEqual((await self.ask(request(b"TRACE", b"/", b"Max-Forwards: 0"))).status, 405)
        self.assertEqual((await self.ask(request(b"OPTIONS", b"/", b"Max-Forwards: 0"))).status, 200)
        self.assertEqual((await self.ask(request(b"OPTIONS", b"/", b"Max-Forwards: 3"))).status, 200)
        self.assertEqual([m.value(b"Max-Forwards") for m in shop.requests], [b"2"])

    async def test_an_h2c_upgrade_with_a_body_is_served_plainly(self) -> None:
        """Nobody here switches to HTTP/2 in clear text: the request is an ordinary one, its body and all."""
        shop = self.instance()
        await self.open(shop)
        fields = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")
        answer = await self.ask(request(b"POST", b"/plain", *fields, body=b"payload"))
        self.assertEqual((answer.status, answer.body), (200, b"/plain"))
        seen = shop.requests[0]
        self.assertEqual(seen.body, b"payload")
        for name in (b"Upgrade", b"Connection", b"HTTP2-Settings"):
            self.assertEqual(seen.values(name), [], name)


class FailureTests(Scene):
    async def test_refused_here_answered_there(self) -> None:
        """With one of two instances gone the client notices nothing, whatever it asks."""
        shop = self.instance()
        await self.open(await self.nobody(), shop)
        for data in (
            request(b"GET", b"/a"),
            request(b"POST", b"/b", body=b"once"),
            request(b"POST", b"/c", b"Transfer-Encoding: chunked") + chunked(b"on", b"ce"),
        ):
            self.assertEqual((await self.ask(data)).status, 200)
        self.assertEqual([m.body for m in shop.requests], [b"", b"once", b"once"])
        self.assertEqual(self.traffic["shop"].retries, 3)

    async def test_a_large_body_waits_for_a_connection(self) -> None:
        """A body larger than what is kept for a second try arrives whole after a refused connection, too."""
        shop = self.instance()
        await self.open(await self.nobody(), shop)
        body = bytes(range(256)) * 4000
        self.assertEqual((await self.ask(request(b"POST", b"/", body=body))).status, 200)
        self.assertEqual(shop.requests[0].body, body)

    async def test_all_refuse(self) -> None:
        """Nobody there: a 502 that names the address and the service."""
        dead = await self.nobody()
        await self.open(dead, await self.nobody())
        answer = await self.ask(request())
        self.assertEqual(answer.status, 502)
        self.assertEqual(answer.value(b"Content-Type"), b"application/json")
        told = answer.json()
        self.assertEqual((told["error"], told["service"]), ("instance_unreachable", "shop"))
        self.assertIn("refused the connection", told["reason"])
        self.assertEqual([member.failures for member in self.cluster.members.values()], [2, 1])

    async def test_no_instance(self) -> None:
        """Nobody registered: a 503 that says when to come again."""
        await self.open()
        answer = await self.ask(request())
        self.assertEqual((answer.status, answer.json()["error"]), (503, "no_instances"))
        self.assertEqual(answer.value(b"Retry-After"), b"2")
        self.assertEqual(self.traffic["shop"].refused, 1)

    async def test_no_route(self) -> None:
        """A path that nobody serves: a 404 that names it, and the connection goes on."""
        await self.open(self.instance(), routes=(RouteSpec("", "/shop/"),))
        client = await self.client()
        client.send(request(b"GET", b"/nowhere?x=1"))
        answer = await client.answer()
        self.assertEqual((answer.status, answer.json()["error"]), (404, "no_route"))
        self.assertIn("/nowhere", answer.json()["reason"])
        self.assertIsNone(answer.json()["service"])
        client.send(request(b"GET", b"/shop/x"))
        self.assertEqual((await client.answer()).body, b"/shop/x")

    async def test_the_head_alone_of_an_own_answer(self) -> None:
        """HEAD gets no body from the gateway either."""
        await self.open(self.instance(), routes=(RouteSpec("", "/shop/"),))
        client = await self.client()
        client.send(request(b"HEAD", b"/nowhere"), request(b"GET", b"/shop/next"))
        refusal = await client.answer(bodyless=True)
        self.assertEqual(refusal.status, 404)
        self.assertNotEqual(refusal.value(b"Content-Length"), b"0")
        self.assertEqual((await client.answer()).body, b"/shop/next")

    async def test_a_get_whose_instance_dies_is_repeated(self) -> None:
        """A reset before the answer: what may be done twice is done again, elsewhere."""
        bad, good = self.instance(says(reset=True)), self.instance()
        await self.open(bad, good)
        for method in (b"GET", b"HEAD", b"OPTIONS", b"DELETE"):
            self.assertEqual((await self.ask(request(method, b"/"), method == b"HEAD")).status, 200, method)
        self.assertEqual((await self.ask(request(b"PUT", b"/", body=b"body" * 1000))).status, 200)
        self.assertEqual(good.requests[-1].body, b"body" * 1000)
        self.assertEqual(len(bad.requests), 5)

    async def test_a_post_is_never_sent_twice(self) -> None:
        """An instance that died with a POST in its hands may have done it: the client is told, and decides."""
        bad, good = self.instance(says(reset=True)), self.instance()
        await self.open(bad, good)
        answer = await self.ask(request(b"POST", b"/", body=b"pay"))
        self.assertEqual((answer.status, answer.json()["error"]), (502, "instance_closed_connection"))
        self.assertEqual((len(bad.requests), len(good.requests)), (1, 0))

    async def test_a_long_put_cannot_be_repeated(self) -> None:
        """Only so much of a body is kept for another try; beyond that the failure is shown."""

        async def script(conversation: Conversation) -> None:
            await conversation.exactly(200000)
            conversation.reset()

        good = self.instance()
        await self.open(self.instance(script), good)
        answer = await self.ask(request(b"PUT", b"/", body=b"x" * 200000))
        self.assertEqual(answer.status, 502)
        self.assertEqual(good.requests, [])

    async def test_tries_are_bounded(self) -> None:
        """Ten bad instances get three attempts from one request, not ten."""
        bad = [self.instance(says(reset=True)) for _ in range(5)]
        await self.open(*bad)
        self.assertEqual((await self.ask(request())).status, 502)
        self.assertEqual(sum(len(instance.requests) for instance in bad), 3)

    async def test_a_chunked_put_is_repeated_whole(self) -> None:
        """What was sent of a chunked body before the failure, and what came after it, is one body for the next."""

        async def script(conversation: Conversation) -> None:
            await conversation.up_to(b"first")
            conversation.reset()

        good = self.instance()
        await self.open(self.instance(script), good)
        client = await self.client()
        client.send(request(b"PUT", b"/", b"Transfer-Encoding: chunked"), b"5\r\nfirst\r\n")
        await self.until(lambda: good.conversations)
        client.send(b"6\r\nsecond\r\n0\r\n\r\n")
        self.assertEqual((await client.answer()).status, 200)
        self.assertEqual(good.requests[0].body, b"firstsecond")

    async def test_a_server_error_is_an_answer(self) -> None:
        """An instance's own 500 reaches the client as it is, and counts against the instance."""
        await self.open(self.instance(says(response(b"oops", b"500 Internal Server Error"))))
        answer = await self.ask(request())
        self.assertEqual((answer.status, answer.body), (500, b"oops"))
        await self.at_rest()
        self.assertEqual(self.cluster.failures, 1)
        self.assertEqual(self.traffic["shop"].responses[5], 1)


NO_QUEUE = QueueSpec(length=0)


class LimitTests(Scene):
    async def test_a_full_service(self) -> None:
        """Beyond its limit of requests in flight a service refuses, with a time to come again; and then goes on."""
        await self.open(self.instance(silent), max_connections=2, queue=NO_QUEUE)
        first, second = await self.client(), await self.client()
        for client in (first, second):
            client.send(request())
        await self.until(lambda: self.cluster.in_flight == 2)
        answer = await self.ask(request())
        self.assertEqual((answer.status, answer.json()["error"]), (503, "service_full"))
        self.assertEqual(answer.value(b"Retry-After"), b"1")
        first.reset()
        await self.until(lambda: self.cluster.in_flight == 1)

    async def test_a_full_instance(self) -> None:
        """Beyond an instance's limit the next one is asked, and then nobody."""
        slow, spare = self.instance(silent), self.instance(silent)
        await self.open(slow, spare, instance_max_connections=1, queue=NO_QUEUE)
        for _ in range(2):
            (await self.client()).send(request())
        await self.until(lambda: self.cluster.in_flight == 2)
        await self.until(lambda: len(slow.requests) == len(spare.requests) == 1)
        answer = await self.ask(request())
        self.assertEqual((answer.status, answer.json()["error"]), (503, "instances_full"))

    async def test_one_service_full_another_free(self) -> None:
        """The limit of one service is nobody else's."""
        await self.open(
            self.instance(silent),
            max_connections=1,
            queue=NO_QUEUE,
            routes=(RouteSpec("", "/shop/"),),
            others=(spec_of("b", "/b/"),),
        )
        (await self.client()).send(request(b"GET", b"/shop/"))
        await self.until(lambda: self.cluster.in_flight == 1)
        self.assertEqual((await self.ask(request(b"GET", b"/shop/"))).json()["error"], "service_full")
        self.assertEqual((await self.ask(request(b"GET", b"/b/"))).json()["error"], "no_instances")


class DebugTests(Scene):
    async def test_who_was_picked_and_why(self) -> None:
        """Told to a trusted client that asks, with every attempt; no word of an instance ends the line."""
        broken = self.instance(says(b"HTTP/1.1 2\x0b00 \r\n\r\n", close=True))
        await self.open(broken, self.instance(), gateway=TRUSTED)
        told = (await self.ask(request(b"GET", b"/", b"X-Wmesh-Debug: 1"))).value(b"X-Wmesh-Decision")
        assert told is not None
        self.assertTrue(told.startswith(b"instance=shop-1; attempts=2; round_robin of 2 candidates"), told)
        self.assertIn(b"shop-0: invalid", told)
        self.assertTrue(told.decode("ascii").isprintable())

    async def test_nobody_else_is_told(self) -> None:
        """Whom nobody trusts may ask as he likes."""
        await self.open(self.instance())
        self.assertIsNone((await self.ask(request(b"GET", b"/", b"X-Wmesh-Debug: 1"))).value(b"X-Wmesh-Decision"))

    async def test_only_when_asked(self) -> None:
        """Who is trusted and does not ask is told nothing."""
        await self.open(self.instance(), gateway=TRUSTED)
        self.assertIsNone((await self.ask(request())).value(b"X-Wmesh-Decision"))


class ClientGoneTests(Scene):
    async def test_in_the_middle_of_its_request(self) -> None:
        """A client that vanishes takes its request with it: the instance is not left waiting for the rest."""
        shop = self.instance(silent)
        await self.open(shop)
        client = await self.client()
        client.send(request(b"POST", b"/", b"Content-Length: 1000"), b"part")
        await self.until(lambda: shop.conversations and shop.conversations[0].received)
        client.reset()
        await shop.conversations[0].lost()
        await self.at_rest()
        self.assertEqual((self.idle(), len(self.plane.connections)), (0, 0))
        self.assertEqual(self.traffic["shop"].aborted, 1)
        self.assertEqual(self.cluster.failures, 0, "it was not the instance's fault")

    async def test_it_ends_its_side_in_the_middle_of_its_body(self) -> None:
        """A FIN inside a body is a broken request, and never looks like a whole one to the instance."""
        shop = self.instance(lambda c: c.until(lambda: False))
        await self.open(shop)
        client = await self.client()
        client.send(request(b"POST", b"/", b"Transfer-Encoding: chunked"), b"4\r\npart\r\n")
        await self.until(lambda: shop.conversations and b"part" in shop.conversations[0].received)
        client.half_close()
        self.assertEqual(await shop.conversations[0].ended(), "reset")
        self.assertNotIn(b"\r\n0\r\n", shop.conversations[0].received)
        await self.at_rest()

    async def test_while_the_instance_thinks(self) -> None:
        """Nobody wants the answer any more: the instance is told by the loss of its connection."""
        shop = self.instance(silent)
        await self.open(shop)
        client = await self.client()
        client.send(request())
        await self.until(lambda: shop.requests)
        client.reset()
        await shop.conversations[0].lost()
        await self.at_rest()
        self.assertEqual(self.idle(), 0)

    async def test_it_only_closes_while_the_instance_thinks(self) -> None:
        """Most who leave close, which looks as if they would still listen: that is found out."""
        shop = self.instance(silent)
        await self.open(shop)
        client = await self.client()
        client.send(request())
        await self.until(lambda: shop.requests)
        client.close()
        await self.until(lambda: any(connection.half_closed for connection in self.plane.connections))
        self.assertEqual(self.cluster.in_flight, 1)
        self.overdue(1.0)
        await shop.conversations[0].lost()
        await self.at_rest()
        self.assertEqual((self.traffic["shop"].aborted, self.cluster.failures), (1, 0))

    async def test_in_the_middle_of_the_answer(self) -> None:
        """An instance does not go on producing for nobody."""
        shop = self.instance(says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart"))
        await self.open(shop)
        client = await self.client()
        client.send(request())
        await client.up_to(b"part")
        client.reset()
        await shop.conversations[0].lost()
        await self.at_rest()
        self.assertEqual((self.idle(), len(self.plane.connections)), (0, 0))

    async def test_while_its_answer_is_held_back(self) -> None:
        """A client that read nothing and vanished: the instance that was made to wait for it is released."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n", b"x" * 30000000)
            await conversation.ended()

        shop = self.instance(script)
        await self.open(shop)
        client = await self.client(window=4096)
        client.pause()
        client.send(request())
        await self.until(lambda: self.unsent() > 0)
        await self.turn(20)
        client.reset()
        await self.at_rest()
        await shop.conversations[0].lost()

    async def test_while_its_upload_is_held_back(self) -> None:
        """A client that was held back in the middle of its upload and vanished is noticed without being read."""
        shop = self.instance(lambda c: self._deaf(c))
        await self.open(shop)
        client = await self.client()
        client.send(request(b"POST", b"/", b"Content-Length: 30000000"), b"x" * 30000000)
        await self.until(lambda: any(connection.held for connection in self.plane.connections))
        client.reset()
        await self.at_rest()
        await self.until(lambda: not self.plane.connections)
        for conversation in shop.conversations:
            conversation.resume()

    async def _deaf(self, conversation: Conversation) -> None:
        conversation.pause()
        await conversation.ended()

    async def test_with_requests_behind_it(self) -> None:
        """Pipelined requests of a client that is gone are not sent to anybody."""
        shop = self.instance(silent)
        await self.open(shop)
        client = await self.client()
        client.send(request(b"GET", b"/1"), request(b"GET", b"/2"))
        await self.until(lambda: shop.requests)
        client.reset()
        await self.at_rest()
        self.assertEqual([m.target for m in shop.requests], [b"/1"])


class HalfCloseTests(Scene):
    async def test_the_answer_still_comes(self) -> None:
        """A client that sends its request and a FIN (netcat does) gets its answer."""

        async def script(conversation: Conversation) -> None:
            message = await take(conversation)
            await self.until(lambda: any(connection.half_closed for connection in self.plane.connections))
            conversation.send(response(message.target * 50000))

        await self.open(self.instance(script))
        client = await self.client()
        client.closes = False
        client.send(request(b"GET", b"/late"))
        client.half_close()
        self.assertEqual((await client.answer()).body, b"/late" * 50000)
        self.assertEqual(await client.ended(), "fin")

    async def test_it_is_asked_once_whether_it_is_there(self) -> None:
        """Where the answer takes long, one interim answer finds that out; who is there gets the answer behind it."""
        held = self.instance(silent)
        await self.open(held)
        client = await self.client()
        client.closes = False
        client.send(request())
        await self.until(lambda: held.requests)
        client.half_close()
        await self.until(lambda: any(connection.half_closed for connection in self.plane.connections))
        for later in (0.0, 0.4, 0.6, 2.0, 4.0):
            self.sweep(later)
        await client.up_to(b"\r\n\r\n")
        held.conversations[0].send(response(b"late"))
        self.assertEqual(await client.ended(), "fin")
        self.assertEqual(client.received.count(b"HTTP/1.1 "), 1)
        self.assertTrue(client.received.endswith(b"\r\n\r\nlate"))

    async def test_old_clients_are_not_asked(self) -> None:
        """HTTP/1.0 knows no interim answers."""
        held = self.instance(silent)
        await self.open(held)
        client = await self.client()
        client.closes = False
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        await self.until(lambda: held.requests)
        client.half_close()
        await self.until(lambda: any(connection.half_closed for connection in self.plane.connections))
        self.overdue(2.0)
        held.conversations[0].send(response(b"late"))
        self.assertEqual((await client.answer()).body, b"late")

    async def test_all_pipelined_answers_come(self) -> None:
        """So do the answers to all that was asked before the FIN, and the connection ends then."""
        await self.open(self.instance())
        client = await self.client()
        client.send(*(request(b"GET", b"/%d" % number) for number in range(20)))
        client.half_close()
        answers = [await client.answer() for _ in range(20)]
        self.assertEqual([answer.body for answer in answers], [b"/%d" % number for number in range(20)])
        self.assertEqual(await client.ended(), "fin")
        await self.until(lambda: not self.plane.connections)

    async def test_with_a_body(self) -> None:
        """A whole upload and a FIN behind it."""
        shop = self.instance()
        await self.open(shop)
        client = await self.client()
        client.send(request(b"POST", b"/", body=b"x" * 300000))
        client.half_close()
        self.assertEqual((await client.answer()).status, 200)
        self.assertEqual(len(shop.requests[0].body), 300000)
        self.assertEqual(await client.ended(), "fin")

    async def test_after_half_a_head(self) -> None:
        """A request that will never be whole is not answered and not kept."""
        await self.open(self.instance(polite))
        client = await self.client()
        client.send(b"GET / HTTP/1.1\r\nHo")
        client.half_close()
        self.assertEqual(await client.ended(), "fin")
        await self.until(lambda: not self.plane.connections)


class MixTests(Scene):
    """Many clients at once, who do at random all that is allowed. The chances are the same in every run."""

    timeout = 40

    def setUp(self) -> None:
        super().setUp()
        self.chance = Random(7)

    def framed(self, body: bytes) -> tuple[bytes, bool]:
        """An answer in any of the ways in which there are answers; does the connection end with it?"""
        way = self.chance.randrange(6)
        if way == 0:
            pieces = [body[start : start + 5000] for start in range(0, len(body), 5000)]
            whole = chunked(*pieces, trailers=b"X: y\r\n")
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + whole, False
        if way == 1:
            return b"HTTP/1.1 103 Early Hints\r\n\r\n" + response(body), False
        if way == 2:
            return b"HTTP/1.1 200 OK\r\n\r\n" + body, True
        if way == 3:
            return response(body, b"200 OK", b"Connection: close"), True
        return response(body), False

    async def pieces(self, conversation: Conversation, data: bytes) -> None:
        """Send in pieces of any size, in one turn or in several."""
        while data:
            cut = self.chance.choice((1, 30, 1000, 20_000, 300_000))
            conversation.send(data[:cut])
            data = data[cut:]
            if self.chance.random() < 0.5:
                await self.turn()

    async def echo(self, conversation: Conversation) -> None:
        while True:
            message = await take(conversation)
            whole, closes = self.framed(message.target + message.body)
            await self.pieces(conversation, whole)
            if closes:
                conversation.close()
                return

    async def talk(self, name: int) -> None:
        chance = self.chance
        client = await self.client(window=chance.choice((0, 0, 4096)))
        asked, wanted = [], []
        for number in range(25):
            target = b"/shop/%d/%d" % (name, number)
            body = b"%d," % number * chance.choice((0, 1, 100, 10_000, 100_000))
            kind = chance.randrange(5)
            if kind == 0:
                asked.append(request(b"GET", b"/none"))
                wanted.append(None)
                continue
            if kind == 1:
                cuts = [body[start : start + 7000] for start in range(0, len(body), 7000)]
                asked.append(request(b"PUT", target, b"Transfer-Encoding: chunked") + chunked(*cuts))
            elif kind == 2:
                asked.append(b"\r\n" + request(b"POST", target, body=body))
            else:
                body = b""
                asked.append(request(b"GET", target))
            wanted.append(target + body)
        sending = Deferred.fromCoroutine(self.pieces(client, b"".join(asked)))
        for want in wanted:
            if chance.random() < 0.1:
                client.pause()
                await self.turn(5)
                client.resume()
            answer = await client.answer()
            if want is None:
                self.assertEqual(answer.status, 404)
            else:
                self.assertTrue(answer.status == 200 and answer.body == want, (answer, want[:50]))
        await sending
        client.close()

    async def test_everything_at_once(self) -> None:
        """Whatever is mixed with whatever, each client gets its own answers, whole and in order."""
        echoes = self.instance(self.echo), self.instance(self.echo)
        await self.open(*echoes, routes=(RouteSpec("", "/shop/"),), instance_max_connections=8)
        for _ in range(4):
            talks = [Deferred.fromCoroutine(self.talk(name)) for name in range(12)]
            for talk in talks:
                await talk
        await self.at_rest()
        self.assertEqual((self.cluster.failures, self.traffic["shop"].aborted), (0, 0))
