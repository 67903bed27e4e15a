"""Tests of wmesh.proxy.fallback: what clients get when all instances fail, on real sockets."""

from __future__ import annotations

import os
from typing import Any

from tests.proxy.support import Instance, Scene, polite, request, response, says, silent, spec_of
from wmesh.errors import ConfigError
from wmesh.events import InstanceAdded
from wmesh.model import FallbackSpec, GatewaySpec, InstanceRecord, QueueSpec, RetrySpec, RouteSpec

SORRY = FallbackSpec(status=200, body='{"items": []}', type="application/json")
SHORT = RetrySpec(attempts=1, backoff=0.001, max_backoff=0.001)
BUSY = response(b"busy", b"503 Service Unavailable")


class FixedTests(Scene):
    async def test_nobody_is_there(self) -> None:
        """The configured answer, whole; HEAD gets its head, and it is counted."""
        await self.open(await self.nobody(), fallback=SORRY, retry=SHORT)
        answer = await self.ask(request())
        self.assertEqual((answer.start, answer.body), (b"HTTP/1.1 200 OK", b'{"items": []}'))
        self.assertEqual(answer.value(b"Content-Type"), b"application/json")
        self.assertEqual(answer.value(b"Cache-Control"), b"no-store")
        self.assertEqual((await self.ask(request(b"HEAD"), bodyless=True)).value(b"Content-Length"), b"13")
        self.assertEqual(self.traffic["shop"].fallbacks, 2)
        self.assertIn("the fixed answer stands in: instance_unreachable", self.plane.decisions[-1][-1][-1][1])

    async def test_no_success_is_pretended(self) -> None:
        """Who wanted to change something is told that it failed."""
        await self.open(await self.nobody(), fallback=SORRY, retry=SHORT)
        answer = await self.ask(request(b"POST", body=b"pay"))
        self.assertEqual((answer.status, answer.json()["error"]), (502, "instance_unreachable"))
        self.assertEqual(self.traffic["shop"].fallbacks, 0)

    async def test_an_error_is_for_everybody(self) -> None:
        """A fixed 503 says when to come again; a status without a name has none."""
        await self.open(fallback=FallbackSpec(status=503, body="<h1>Sorry</h1>", type="text/html"))
        answer = await self.ask(request(b"POST", body=b"pay"))
        self.assertEqual((answer.status, answer.body), (503, b"<h1>Sorry</h1>"))
        self.assertEqual(answer.value(b"Retry-After"), b"2")
        await self._take_down()
        self.instances.clear(), self.clients.clear(), self.ports.clear()
        await self.open(fallback=FallbackSpec(status=599))
        answer = await self.ask(request())
        self.assertEqual((answer.start, answer.body, answer.value(b"Content-Type")), (b"HTTP/1.1 599 ", b"", None))

    async def test_an_answer_of_retry_statuses(self) -> None:
        """An instance's own 503 is a failure for who reads; it tells others what became of their request."""
        await self.open(self.instance(says(BUSY)), fallback=SORRY)
        self.assertEqual((await self.ask(request())).body, b'{"items": []}')
        self.assertEqual((await self.ask(request(b"POST", body=b"x"))).body, b"busy")

    async def test_a_post_that_was_answered(self) -> None:
        """What an instance says of it is not hidden, not even by another error."""
        await self.open(self.instance(says(BUSY)), fallback=FallbackSpec(status=503, body="sorry"))
        self.assertEqual((await self.ask(request(b"POST", body=b"x"))).body, b"busy")
        self.assertEqual((await self.ask(request(b"PUT", body=b"x"))).body, b"sorry")

    async def test_what_is_no_failure_stays(self) -> None:
        """A 404 of an instance, and one of the gateway."""
        lost = response(b"lost", b"404 Not Found")
        await self.open(self.instance(says(lost)), fallback=SORRY, routes=(RouteSpec("", "/shop/"),))
        self.assertEqual((await self.ask(request(b"GET", b"/shop/"))).body, b"lost")
        self.assertEqual((await self.ask(request(b"GET", b"/"))).status, 404)

    async def test_out_of_time(self) -> None:
        shop = self.instance(silent)
        await self.open(shop, fallback=SORRY, timeout_request=5.0)
        client = await self.client()
        client.send(request())
        await self.until(lambda: shop.requests)
        self.sweep(5.1)
        self.assertEqual((await client.answer()).body, b'{"items": []}')

    async def test_from_a_file(self) -> None:
        """Read once: what becomes of the file later does not matter."""
        path = os.path.join(Scene.directory(self), "sorry.html")
        with open(path, "wb") as file:
            file.write(b"<h1>\xff</h1>")
        await self.open(fallback=FallbackSpec(status=503, file=path))
        os.unlink(path)
        self.assertEqual((await self.ask(request())).body, b"<h1>\xff</h1>")

    async def test_files_that_cannot_be_read(self) -> None:
        """The gateway does not start, and says why."""
        folder = Scene.directory(self)
        large = os.path.join(folder, "large")
        with open(large, "wb") as file:
            file.truncate(1024 * 1024 + 1)
        for path, why in (("/nowhere", "No such file"), (folder, "Is a directory"), (large, "larger than 1024 KiB")):
            with self.assertRaises(ConfigError) as raised:
                self.build((spec_of("shop", "/", fallback=FallbackSpec(status=503, file=path)),), (), GatewaySpec())
            self.assertIn(f"{path}: [service:shop] fallback_file: ", str(raised.exception))
            self.assertIn(why, str(raised.exception))


class OtherServiceTests(Scene):
    async def with_other(self, *instances: Any, other: Instance | None, **service: Any) -> None:
        """The service "shop", and "spare" to stand in for it."""
        values = {"fallback": FallbackSpec("spare"), "retry": SHORT, **service}
        await self.open(*instances, others=(spec_of("spare", "/spare/", retry=SHORT),), **values)
        if other is not None:
            record = InstanceRecord("spare", "spare-0", other.address, origin="static")
            self.directory.apply(InstanceAdded(record))

    async def test_it_gets_the_same_request(self) -> None:
        """Its path is what the first one's instances would have seen."""
        spare = self.instance()
        await self.with_other(
            await self.nobody(), other=spare, strip_prefix=True, routes=(RouteSpec("", "/shop/"),)
        )
        self.assertEqual((await self.ask(request(b"GET", b"/shop/a?b=c"))).body, b"/a?b=c")
        self.assertEqual(spare.requests[0].value(b"X-Forwarded-Prefix"), b"/shop")
        self.assertEqual((await self.ask(request(b"POST", b"/shop/", body=b"order"))).status, 200)
        self.assertEqual(spare.requests[1].body, b"order")
        self.assertEqual((self.traffic["shop"].fallbacks, self.traffic["shop"].responses[2]), (2, 2))
        self.assertEqual(self.traffic["spare"].requests, 0)

    async def test_nobody_registered(self) -> None:
        spare = self.instance()
        await self.with_other(other=spare)
        self.assertEqual((await self.ask(request(b"GET", b"/x"))).body, b"/x")

    async def test_no_second_post(self) -> None:
        """What an instance may have done is not done by another service either."""
        spare = self.instance()
        await self.with_other(self.instance(says(reset=True)), other=spare)
        self.assertEqual((await self.ask(request(b"POST", body=b"pay"))).status, 502)
        self.assertEqual(spare.requests, [])

    async def test_an_answer_of_retry_statuses(self) -> None:
        spare = self.instance()
        await self.with_other(self.instance(says(BUSY)), other=spare)
        self.assertEqual((await self.ask(request(b"GET", b"/x"))).body, b"/x")
        self.assertEqual((await self.ask(request(b"POST", body=b"x"))).body, b"busy")

    async def test_it_is_tried_again_by_its_own_rules(self) -> None:
        """Its first instance fails, its second one answers; attempts at the first service do not count."""
        good = self.instance()
        await self.with_other(await self.nobody(), other=self.instance(says(reset=True)))
        self.directory.apply(InstanceAdded(InstanceRecord("spare", "spare-1", good.address, origin="static")))
        self.assertEqual((await self.ask(request(b"GET", b"/x"))).body, b"/x")

    async def test_it_fails_too(self) -> None:
        """Then the client hears of the last failure, or gets the fixed answer."""
        await self.with_other(await self.nobody(), other=self.instance(says(reset=True)))
        answer = await self.ask(request())
        self.assertEqual((answer.status, answer.json()["service"]), (502, "spare"))

    async def test_it_is_empty(self) -> None:
        """Nobody is there: what the client hears is why the service that it asked for failed."""
        await self.with_other(await self.nobody(), other=None)
        answer = await self.ask(request())
        self.assertEqual((answer.status, answer.json()["service"]), (502, "shop"))

    async def test_the_fixed_answer_is_the_last(self) -> None:
        await self.with_other(
            await self.nobody(),
            other=self.instance(says(reset=True)),
            fallback=FallbackSpec("spare", 200, "sorry"),
        )
        self.assertEqual((await self.ask(request())).body, b"sorry")

    async def test_it_does_not_go_on(self) -> None:
        """Two that stand in for each other, and nobody there: an end, at once."""
        others = (spec_of("spare", "/spare/", retry=SHORT, fallback=FallbackSpec("shop")),)
        await self.open(await self.nobody(), others=others, fallback=FallbackSpec("spare"), retry=SHORT)
        for target in (b"/", b"/spare/"):
            self.assertIn((await self.ask(request(b"GET", target))).status, (502, 503))

    async def test_no_time_is_left(self) -> None:
        """Who used up its time is not served by anybody."""
        spare, shop = self.instance(polite), self.instance(silent)
        await self.with_other(shop, other=spare, timeout_request=5.0)
        client = await self.client()
        client.send(request())
        await self.until(lambda: shop.requests)
        self.sweep(5.1)
        self.assertEqual((await client.answer()).json()["error"], "deadline_exceeded")
        self.assertEqual(spare.requests, [])

    async def test_it_takes_no_room_of_the_first_ones_retries(self) -> None:
        """A retry that nobody could take is over when the other service is asked, however long that one takes."""
        spare, full = self.instance(silent), self.instance(silent)
        one_each = {"instance_max_connections": 1, "queue": QueueSpec(length=0)}
        await self.with_other(self.instance(says(reset=True)), full, other=spare, **one_each)
        plan = self.plane.router.match(b"", b"/")
        assert plan is not None
        for instance in (full, spare):
            client = await self.client()
            client.send(request())
            await self.until(lambda instance=instance: instance.requests)
        self.assertEqual((self.traffic["shop"].retries, plan.budget.active), (2, 1))

    async def test_while_the_first_one_serves(self) -> None:
        """Nobody is bothered."""
        spare = self.instance()
        await self.with_other(self.instance(), other=spare)
        self.assertEqual((await self.ask(request())).status, 200)
        self.assertEqual(spare.requests, [])
