"""Tests of wmesh.control.shared_cache.news: what one says all hear, sooner or later, or hear that they missed it."""

from __future__ import annotations

from dataclasses import replace

from tests.control.shared_cache.scene import FRESH, KEY, NEWS, ShareCase
from tests.waiting import until
from wmesh.control.shared_cache import news
from wmesh.policy.caching.second_level import ALL, PREFIX, TAG, URL, Invalidation
from wmesh.policy.caching.second_level import KEY as ONE
from wmesh.registry_url import parse_target

A, B, C, OTHER = KEY, b"shop http://shop.example/b/*[c]", b"shop http://else.example/a", b"shops http://shop.example/a"


class SayingTests(ShareCase):
    async def test_what_goes(self) -> None:
        """Just what is meant leaves the server, and the others hear it; who said it does not."""
        (here, own), (_, first) = await self.share(), await self.share()
        for how, what, left in (
            (ONE, A, {B, C, OTHER}),
            (URL, b"/a", {B, OTHER}),
            (URL, b"http://shop.example/b/*[c]", {A, C, OTHER}),
            (PREFIX, b"http://shop.example/", {C, OTHER}),
            (TAG, b"menu", {A, C, OTHER}),
            (ALL, b"", {OTHER}),
        ):
            for key in (A, B, C, OTHER):
                tags = ("Surrogate-Key: menu x",) if key in (B, OTHER) else ("Surrogate-Key: menus",)
                self.assertTrue(await self.put(here, self.entry(FRESH, *tags, key=key)), key)
            said = Invalidation(b"shop", how, what)
            here.invalidate(said)
            await until(lambda said=said: first.told[-1:] == [said] and not here._news._pending)
            await until(lambda: here.ready)
            pages = await self.server.ask("KEYS", "*page:*")
            self.assertEqual({page.partition(b"page:")[2] for page in pages}, left, said)
        self.assertEqual(own.told, [])

    async def test_what_is_found_before_it_is_deleted(self) -> None:
        """A search takes its time: what it has not come to yet is not used by anybody who heard of it."""
        (here, _), (there, first) = await self.share(), await self.share()
        await self.put(here, self.entry(FRESH, "Surrogate-Key: menu"))
        (page,) = await self.server.ask("KEYS", "*page:*")
        await self.server.ask("XADD", NEWS, "*", "service", "shop", "how", "tag", "what", "menu")
        await until(lambda: len(first.told) == 1)
        self.assertEqual(await self.server.ask("EXISTS", page), 1)
        self.assertIsNone(await self.find(there))
        third, _ = await self.share()
        self.assertIsNone(await self.find(third))
        await self.put(there, self.entry(FRESH, "Surrogate-Key: menu"))
        self.assertIsNotNone(await self.find(third))

    async def test_a_search_that_breaks_off(self) -> None:
        """It is made again until it succeeds: what is meant does not stay behind."""
        await self.server.ask("ACL", "SETUSER", "cache", "on", ">p", "~*", "+@all", "-scan")
        target = replace(parse_target(self.server.url), user="cache", password="p")
        here, _ = await self.share(target=target)
        await self.put(here, self.entry(FRESH, "Surrogate-Key: menu"))
        here.invalidate(Invalidation(b"shop", TAG, b"menu"))
        await until(lambda: "NOPERM" in here._news.problem)
        self.assertFalse(here.ready)
        self.assertEqual(len(await self.server.ask("KEYS", "*page:*")), 1)
        await self.server.ask("ACL", "SETUSER", "cache", "+scan")
        await until(lambda: here.ready)
        self.assertEqual(await self.server.ask("KEYS", "*page:*"), [])

    async def test_said_while_the_server_is_away(self) -> None:
        """It is said when it is back; of too much, that all of the service is meant."""
        here, _ = await self.share(timeout=0.5)
        await self.server.kill()
        await until(lambda: not here.ready)
        for number in range(news.MOST_PENDING + 1):
            here.invalidate(Invalidation(b"shop", ONE, KEY + b"%d" % number))
        here.invalidate(Invalidation(b"other", PREFIX, b"/x"))
        await self.server.start()
        there, first = await self.share()
        await until(lambda: here.ready and there.ready and len(first.told) + len(here._news._recent) >= 2)
        said = await self.server.ask("XRANGE", NEWS, "-", "+")
        hows = [(entry[1][5], entry[1][7]) for entry in said if len(entry[1]) > 4]
        self.assertEqual(hows, [(b"shop", b"all"), (b"other", b"prefix")])
        await until(lambda: not here._news._pending)


class HearingTests(ShareCase):
    async def test_missed_and_heard_later(self) -> None:
        """After an outage, all that was said meanwhile is heard, in order, and nothing counts as lost."""
        here, first = await self.share()
        await self.server.ask("CLIENT", "KILL", "TYPE", "normal")
        for number in range(3):
            await self.server.ask("XADD", NEWS, "*", "service", "shop", "how", "url", "what", f"/{number}")
        await until(lambda: len(first.told) == 3)
        self.assertEqual([said.what for said in first.told], [b"/0", b"/1", b"/2"])
        await until(lambda: here.ready)
        self.assertEqual(first.lost, 1)

    async def test_a_gap(self) -> None:
        """What cannot be heard any more is told as a loss."""
        here, first = await self.share(timeout=0.5)
        await self.server.kill()
        await until(lambda: not here.ready)
        await self.server.start()
        await until(lambda: here.ready)
        self.assertEqual(first.lost, 2)

    async def test_what_cannot_be_read(self) -> None:
        """Is counted and passed over; what stands behind it is heard."""
        here, first = await self.share()
        for words in (("a", "b"), ("how", "key", "service", "shop"), ("how", "\xff", "service", "x", "what", "y"),
                      ("how", "url", "what", "/a")):  # fmt: skip
            await self.server.ask("XADD", NEWS, "*", *words)
        await self.server.ask("XADD", NEWS, "*", "service", "shop", "how", "all")
        await until(lambda: first.told == [Invalidation(b"shop", ALL)])
        self.assertEqual(here.describe()["bad_records"], 4)

    async def test_a_stream_that_is_none(self) -> None:
        """A key of another type: out of touch, said so, until somebody removes it."""
        await self.server.ask("SET", NEWS, "x")
        here, _ = await self.share(wait=False)
        await until(lambda: "WRONGTYPE" in here._news.problem)
        await self.server.ask("DEL", NEWS)
        await until(lambda: here.ready)
