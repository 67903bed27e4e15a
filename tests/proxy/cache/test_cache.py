"""Tests of wmesh.proxy.cache.cache: which requests are answered from the store, on real sockets."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from twisted.internet.defer import Deferred

from tests.policy.caching.scene import asks, stored
from tests.proxy.cache.scene import FRESH, MODIFIED, OLD, CacheScene, Shelf, fresh
from tests.proxy.support import Message, request, response
from tests.waiting import until
from wmesh.model import FallbackSpec
from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.second_level import ALL, KEY, PREFIX, TAG, URL, Invalidation
from wmesh.policy.caching.store import VARIANTS


class HitTests(CacheScene):
    async def test_hits(self) -> None:
        """The second answer comes out of the store, and says so, and how old it is."""
        shop = await self.cached(lambda message: fresh(b"hello", b"X-A: 1", b"Age: 7"))
        first, second = await self.get(), await self.get()
        self.assertEqual((first.body, second.body, len(shop.requests)), (b"hello", b"hello", 1))
        self.assertEqual(first.value(b"Cache-Status"), b"wmesh; fwd=uri-miss; fwd-status=200; stored")
        self.assertEqual(second.value(b"Cache-Status"), b"wmesh; hit; ttl=52")
        self.assertEqual((second.value(b"Age"), second.value(b"X-A")), (b"7", b"1"))
        self.assertNotEqual(first.value(b"X-Request-Id"), second.value(b"X-Request-Id"))
        self.assertEqual(first.value(b"Date") or second.value(b"Date"), second.value(b"Date"))
        self.assertEqual((self.cache.hits, self.cache.misses, self.cache.saved), (1, 1, 5))
        self.assertEqual(self.traffic["shop"].responses[2], 2)

    async def test_off(self) -> None:
        """A service that wants no cache has none."""
        shop = self.instance()
        await self.open(shop)
        self.assertEqual(self.caches, {})
        self.assertIsNone((await self.get()).value(b"Cache-Status"))

    async def test_key(self) -> None:
        """Path, query, host and scheme make the key."""
        shop = await self.cached(lambda message: fresh(message.target))
        for target in (b"/a", b"/a?b", b"/A"):
            self.assertEqual((await self.get(target=target)).body, target)
        other = request(target=b"/a").replace(b"shop.test", b"other.test")
        await self.ask(other)
        self.assertEqual(len(shop.requests), 4)
        await self.ask(request(target=b"/a").replace(b"shop.test", b"SHOP.test"))
        self.assertEqual(len(shop.requests), 4)

    async def test_what_a_trusted_proxy_says(self) -> None:
        """The URL that an instance is told of is the key: links that it makes of it are not for others."""
        shop = await self.cached(
            lambda message: fresh(message.value(b"X-Forwarded-Host") or b""),
            gateway={"trusted_proxies": (ip_network("127.0.0.0/8"),)},
        )
        for field in (b"X-Forwarded-Host: a.test", b"X-Forwarded-Host: b.test", b"X-Forwarded-Prefix: /c",
                      b"Forwarded: for=1.2.3.4;host=d.test", b"X-Forwarded-Proto: https"):  # fmt: skip
            before = len(shop.requests)
            self.assertEqual(await self.told(field), b"wmesh; fwd=uri-miss; fwd-status=200; stored")
            self.assertIn(b"hit", await self.told(field, b"X-Forwarded-For: 9.9.9.9"))
            self.assertEqual(len(shop.requests), before + 1)
        self.assertEqual((await self.get(b"X-Forwarded-Host: a.test")).body, b"a.test")
        self.assertEqual(self.cache.purge(url=b"http://a.test/"), 1)
        self.assertEqual(self.cache.purge(), 4)

    async def test_pipelined_hits(self) -> None:
        """In their order, on one connection; HTTP/1.0 is told whether it goes on."""
        await self.cached(lambda message: fresh(message.target))
        await self.get(target=b"/a")
        client = await self.client()
        client.send(request(target=b"/a") * 3 + b"GET /a HTTP/1.0\r\nHost: shop.test\r\n\r\n")
        answers = [await client.answer() for _ in range(4)]
        self.assertEqual([answer.body for answer in answers], [b"/a"] * 4)
        self.assertEqual(answers[3].value(b"Connection"), b"close")
        self.assertEqual(await client.ended(), "fin")

    async def test_requests_that_pass_by(self) -> None:
        """Other methods, bodies, and conditions that only the instance can judge, go to it each time."""
        shop = await self.cached(lambda message: fresh(b"" if message.method == b"HEAD" else b"x", b'ETag: "a"'))
        await self.get()
        for data, why in (
            (request(b"POST", body=b"x").replace(b"POST", b"QUERY"), b"method"),
            (request(body=b"x"), b"bypass"),
            (request(b"GET", b"/", b'If-Match: "a"'), b"bypass"),
            (request(b"GET", b"/", b"Cache-Control: no-store"), b"request"),
            (request(b"GET", b"/other", b"Range: bytes=0-1"), b"miss"),
        ):
            before = len(shop.requests)
            answer = await self.ask(data)
            self.assertEqual(answer.value(b"Cache-Status"), b"wmesh; fwd=%b; fwd-status=200" % why)
            self.assertEqual(len(shop.requests), before + 1)
        self.assertEqual(self.store.count, 1)

    async def test_head(self) -> None:
        """HEAD is answered from what GET stored; before that, it is asked for and not stored."""

        def act(message: Message) -> bytes:
            whole = fresh(b"hello")
            return whole[:-5] if message.method == b"HEAD" else whole

        shop = await self.cached(act)
        await self.get(method=b"HEAD")
        self.assertEqual(self.store.count, 0)
        await self.get()
        answer = await self.get(method=b"HEAD")
        self.assertEqual((answer.value(b"Content-Length"), len(shop.requests)), (b"5", 2))

    async def test_only_if_cached(self) -> None:
        """Nothing else is wanted, so nothing is asked for."""
        shop = await self.cached(lambda message: fresh())
        wanted = b"Cache-Control: only-if-cached"
        answer = await self.get(wanted)
        self.assertEqual((answer.status, answer.json()["error"], len(shop.requests)), (504, "only_if_cached", 0))
        await self.get()
        self.assertEqual((await self.get(wanted)).status, 200)

    async def test_clients_that_ask_past_it(self) -> None:
        """They can, unless the operator says that they cannot."""
        shop = await self.cached(lambda message: fresh())
        await self.get()
        self.assertIn(b"fwd=request", await self.told(b"Cache-Control: no-cache"))
        self.assertEqual(len(shop.requests), 2)

    async def test_operators_who_do_not_let_them(self) -> None:
        await self.cached(lambda message: fresh(), spec={"request_control": False})
        await self.get()
        self.assertIn(b"hit", await self.told(b"Cache-Control: no-cache"))

    async def test_local_replies(self) -> None:
        """An answer of the gateway's own says what the cache had to do with it, too."""
        await self.open(await self.nobody(), cache=self._enabled())
        self.assertEqual(await self.told(), b"wmesh; fwd=uri-miss")

    @staticmethod
    def _enabled() -> object:
        from wmesh.model import CacheSpec

        return CacheSpec(enabled=True)


class VariantTests(CacheScene):
    async def test_vary(self) -> None:
        """Each kind of request gets its own answer."""
        shop = await self.cached(lambda message: fresh(message.value(b"Foo") or b"none", b"Vary: Foo"))
        for value in (b"1", b"2", b"1", b"2"):
            self.assertEqual((await self.get(b"Foo: " + value)).body, value)
        self.assertEqual((await self.get()).body, b"none")
        self.assertEqual(len(shop.requests), 3)
        self.assertIn(b"fwd=vary-miss", await self.told(b"Foo: 3"))

    async def test_ten_thousand(self) -> None:
        """A client that makes up values gets answers, and no memory."""
        await self.cached(lambda message: fresh(message.value(b"Foo") or b"", b"Vary: Foo"))
        client = await self.client()
        for number in range(0, 1000, 20):
            client.send(b"".join(request(b"GET", b"/", b"Foo: %d" % n) for n in range(number, number + 20)))
            for n in range(number, number + 20):
                self.assertEqual((await client.answer()).body, b"%d" % n)
        self.assertEqual(self.store.count, VARIANTS)

    async def test_cookies(self) -> None:
        """What only seems to be fresh is not shared with who has a Cookie, in either direction."""
        shop = await self.cached(lambda message: response(message.value(b"Cookie") or b"none"), spec={"ttl": 60.0})
        self.assertEqual((await self.get(b"Cookie: a=1")).body, b"a=1")
        self.assertEqual((await self.get()).body, b"none")
        self.assertEqual((await self.get()).body, b"none")
        self.assertEqual((await self.get(b"Cookie: a=2")).body, b"a=2")
        self.assertEqual(len(shop.requests), 3)


class InvalidationTests(CacheScene):
    async def test_unsafe_requests(self) -> None:
        """After one that went well, nothing of the old is left, here and where it says."""
        status = b"201 Created"

        def act(message: Message) -> bytes:
            if message.method == b"GET":
                return fresh()
            return response(b"", status, b"Location: /b", b"Content-Location: http://elsewhere.test/c")

        shop = await self.cached(act)
        for target in (b"/a", b"/b", b"/c"):
            await self.get(target=target)
        await self.ask(request(b"POST", b"/a", body=b"x"))
        self.assertEqual(self.store.count, 1)
        status = b"500 Oh"
        await self.ask(request(b"DELETE", b"/c"))
        self.assertEqual(self.store.count, 1)
        self.assertEqual(len(shop.requests), 5)

    async def test_what_is_under_way(self) -> None:
        """What was asked for before the change is not kept after it."""
        shop = await self.cached(lambda message: b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 4\r\n\r\nol" % FRESH
                                 if message.method == b"GET" else response())  # fmt: skip
        client = await self.client()
        client.send(request())
        await client.up_to(b"ol")
        await self.ask(request(b"PUT", body=b"x"))
        shop.conversations[0].send(b"d!")
        await client.exactly(2)
        await self.at_rest()
        self.assertEqual(self.store.count, 0)


class StaleTests(CacheScene):
    async def test_while_it_is_asked_for(self) -> None:
        """The stale answer at once, one question behind the client's back, and then the new answer."""
        said = b"Cache-Control: max-age=5, stale-while-revalidate=60"
        bodies = [b"one", b"two"]
        shop = await self.cached(
            lambda message: response(bodies.pop(0), b"200 OK", said, *([b"Age: 10"] if bodies else []))
        )
        await self.get()
        client = await self.client()
        client.send(request() * 3)
        first = await client.answer()
        self.assertEqual(first.body, b"one")
        self.assertIn(b"hit; ttl=-", first.value(b"Cache-Status") or b"")
        await self.until(lambda: not self.cache.fetches and len(shop.requests) == 2)
        self.assertEqual((await self.get()).body, b"two")
        self.assertEqual(len(shop.requests), 2)

    async def test_nobody_answers(self) -> None:
        """A stale answer is better than none, and better than the fallback, until its time is over."""
        working = True
        shop = await self.cached(
            lambda message: response(b"old", b"200 OK", *OLD) if working else None,
            fallback=FallbackSpec(status=503, body="sorry"),
        )
        await self.get()
        working = False
        answer = await self.get()
        self.assertEqual((answer.status, answer.body), (200, b"old"))
        self.assertIn(b"detail=stale-if-error", answer.value(b"Cache-Status") or b"")
        self.assertEqual(self.cache.stood_in, 1)
        self.store.find(b"shop http://shop.test/", asks())[0].error_until = 0.0
        self.assertEqual((await self.get()).body, b"sorry")
        self.assertGreater(len(shop.requests), 2)

    async def test_failures(self) -> None:
        """500, 502, 503 and 504 count as no answer; 501 and 404 are answers."""
        status = b"200 OK"
        await self.cached(lambda message: response(status[:3], status, *OLD) if status else None)
        await self.get()
        for status, body in ((b"500 X", b"200"), (b"503 X", b"200"), (b"504 X", b"200"), (b"404 X", b"404")):
            self.assertEqual((await self.get()).body, body, status)

    async def test_must_revalidate(self) -> None:
        """What may not be used stale is not, whatever happens."""
        working = True
        old = (b"Cache-Control: max-age=5, must-revalidate", b"Age: 10", b'ETag: "a"')
        await self.cached(lambda message: response(b"old", b"200 OK", *old) if working else None)
        await self.get()
        working = False
        self.assertEqual((await self.get()).status, 502)


class PurgeTests(CacheScene):
    async def test_purge(self) -> None:
        """By URL, prefix and tag, or all of it; what is on its way is not kept either."""
        await self.cached(lambda message: fresh(b"x", b"Surrogate-Key: all t" + message.target[1:2]))
        for target in (b"/a", b"/a/b", b"/c", b"/d"):
            await self.get(target=target)
        self.assertEqual(self.cache.purge(url=b"/a"), 1)
        self.assertEqual(self.cache.purge(prefix=b"http://shop.test/a"), 1)
        self.assertEqual(self.cache.purge(tag=b"tc"), 1)
        self.assertEqual(self.cache.purge(), 1)
        self.assertEqual((self.store.count, self.store.size), (0, 0))

    async def test_what_operators_see(self) -> None:
        """Numbers of what happened."""
        await self.cached(lambda message: fresh(b"12345"))
        self.assertIsNone(self.cache.describe()["hit_ratio"])
        for _ in range(4):
            await self.get()
        found = self.cache.describe()
        self.assertEqual((found["hits"], found["misses"], found["hit_ratio"]), (3, 1, 0.75))
        self.assertEqual(found["bytes_from_cache"], 15)


class SecondLevelTests(CacheScene):
    """Between the memory and the instances there is what other gateways have."""

    async def shelved(self, act: Any = None, **more: Any) -> Any:
        shop = await self.cached(act or (lambda message: fresh(b"new")), **more)
        self.shelf = self.cache.second = Shelf()
        return shop

    def there(self, *fields: str, **more: Any) -> Entry:
        return stored(*fields, key=b"shop http://shop.test/", now=self.plane.clock(), **{"body": b"shared", **more})

    async def test_found_there(self) -> None:
        """It is served to all who waited for it, kept here, and not asked for again; nobody asks an instance."""
        shop = await self.shelved()
        clients = [await self.client() for _ in range(3)]
        for client in clients:
            client.send(request())
        await until(lambda: [len(crowd.waiting) for crowd in self.cache.crowds.values()] == [3])
        await self.shelf.answer(self.there("Cache-Control: max-age=60", "Age: 20"))
        for client in clients:
            answer = await client.answer()
            self.assertEqual((answer.body, answer.value(b"Age")), (b"shared", b"20"))
            self.assertRegex(answer.value(b"Cache-Status"), rb"^wmesh; hit; ttl=(40|39); detail=shared$")
        self.assertEqual((self.cache.shared, self.cache.describe()["hit_ratio"], shop.requests), (3, 1.0, []))
        self.assertRegex(await self.told(), rb"^wmesh; hit; ttl=..$")
        self.assertEqual((self.shelf.asked, self.shelf.kept, self.cache.crowds), ([], [], {}))

    async def test_not_found_there(self) -> None:
        """One request goes to an instance for all, and its answer is offered."""
        shop = await self.shelved()
        clients = [await self.client() for _ in range(2)]
        for client in clients:
            client.send(request())
        await until(lambda: [len(crowd.waiting) for crowd in self.cache.crowds.values()] == [2])
        await self.shelf.answer(None)
        self.assertEqual([(await client.answer()).body for client in clients], [b"new", b"new"])
        self.assertEqual((len(shop.requests), [entry.body for entry in self.shelf.kept]), (1, [b"new"]))
        self.assertEqual((self.shelf.asked, self.cache.shared), ([], 0))

    async def test_stale_there(self) -> None:
        """Its validator is used; what the instance confirms is offered again."""
        shop = await self.shelved(lambda message: MODIFIED % FRESH)
        asking = Deferred.fromCoroutine(self.get())
        await self.shelf.answer(self.there("Cache-Control: max-age=5", "Age: 10", 'ETag: "a"'))
        answer = await asking
        self.assertEqual((answer.body, shop.requests[0].value(b"If-None-Match")), (b"shared", b'"a"'))
        self.assertEqual(answer.value(b"Cache-Status"), b"wmesh; fwd=stale; fwd-status=304; stored")
        self.assertEqual([entry.body for entry in self.shelf.kept], [b"shared"])

    async def test_stale_while_revalidate_there(self) -> None:
        """It is used at once, and asked for again behind the client's back, without another look."""
        shop = await self.shelved()
        asking = Deferred.fromCoroutine(self.get())
        await self.shelf.answer(self.there("Cache-Control: max-age=5, stale-while-revalidate=60", "Age: 10"))
        self.assertEqual((await asking).body, b"shared")
        await until(lambda: self.shelf.kept)
        self.assertEqual((len(shop.requests), (await self.get()).body), (1, b"new"))

    async def test_another_variant(self) -> None:
        """Those who want another variant than the one that was looked for have it looked for, too."""
        shop = await self.shelved()
        clients = [await self.client() for _ in range(2)]
        for client, wanted in zip(clients, (b"a", b"b"), strict=True):
            client.send(request(b"GET", b"/", b"Accept: " + wanted))
            await until(lambda: self.cache.crowds)
        await until(lambda: [len(crowd.waiting) for crowd in self.cache.crowds.values()] == [2])
        for wanted in ("a", "b"):
            fields = ("Cache-Control: max-age=60", "Vary: Accept")
            await self.shelf.answer(self.there(*fields, request=(f"Accept: {wanted}",), body=wanted.encode()))
        self.assertEqual([(await client.answer()).body for client in clients], [b"a", b"b"])
        self.assertEqual(shop.requests, [])

    async def test_what_is_older_than_ours(self) -> None:
        """Is not put in its place."""
        shop = await self.shelved(lambda message: MODIFIED % FRESH)
        self.store.add(self.there(*(field.decode() for field in OLD), body=b"ours"))
        asking = Deferred.fromCoroutine(self.get())
        await self.shelf.answer(self.there(*(field.decode() for field in OLD), "Date: Sun, 06 Nov 1994 08:49:37 GMT"))
        self.assertEqual(((await asking).body, len(shop.requests)), (b"ours", 1))

    async def test_a_client_that_leaves(self) -> None:
        """Leaves nothing behind; what was found is kept for the next."""
        await self.shelved()
        client = await self.client()
        client.send(request())
        await until(lambda: self.shelf.asked)
        client.reset()
        await until(lambda: not self.cache.crowds)
        await self.shelf.answer(self.there("Cache-Control: max-age=60"))
        self.assertEqual((await self.get()).body, b"shared")

    async def test_not_ready(self) -> None:
        """Nobody waits for it."""
        await self.shelved()
        self.shelf.ready = False
        self.assertEqual((await self.get()).body, b"new")
        self.assertEqual(self.shelf.asked, [])

    async def test_what_it_is_told(self) -> None:
        """Unsafe requests and operators reach it, and what it says reaches the memory."""
        await self.shelved()
        self.shelf.ready = False
        await self.ask(request(b"POST", b"/a", body=b"x"))
        for words in ({"url": b"/a"}, {"prefix": b"/b"}, {"tag": b"c"}, {}):
            self.cache.purge(**words)
        said = [(KEY, b"shop http://shop.test/a"), (URL, b"/a"), (PREFIX, b"/b"), (TAG, b"c"), (ALL, b"")]
        self.assertEqual(self.shelf.said, [Invalidation(b"shop", *each) for each in said])
        await self.get()
        self.assertEqual((self.cache.forget(Invalidation(b"shop", URL, b"/")), self.store.count), (1, 0))
        self.assertEqual(len(self.shelf.said), 5)
