"""Tests of wmesh.control.shared_cache.share: answers in a real server, for all who ask it, and what it does to none."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

from tests.control.shared_cache.scene import FRESH, KEY, First, ShareCase
from tests.policy.caching.scene import asks
from tests.waiting import until
from wmesh.control.shared_cache import share as shares
from wmesh.control.shared_cache.share import Share
from wmesh.errors import RegistryError
from wmesh.policy.caching.second_level import ALL, TAG, Invalidation
from wmesh.policy.caching.second_level import KEY as ONE
from wmesh.registry_url import parse_target

ROOT = Path(__file__).parents[3]
PAGE = b"{test}:cache:page:" + KEY


class SharingTests(ShareCase):
    async def test_put_and_found(self) -> None:
        """What one wrote the other finds, with what it needs to decide; it goes when it is of no use any more."""
        (here, _), (there, _) = await self.share(), await self.share()
        self.assertIsNone(await self.find(there))
        entry = self.entry("Cache-Control: max-age=60, stale-while-revalidate=5, stale-if-error=40", 'ETag: "a"')
        self.assertTrue(await self.put(here, entry))
        found = await self.find(there)
        assert found is not None
        self.assertEqual((found.key, found.body, found.etag, found.lines), (KEY, entry.body, b'"a"', entry.lines))
        self.assertTrue(abs(found.fresh_until - entry.fresh_until) < 5)
        stay = await self.server.ask("PTTL", PAGE)
        self.assertTrue(90_000 < stay <= 100_000, stay)
        self.assertEqual((there.hits, there.misses, here.written), (1, 1, 1))
        self.assertEqual(there.describe()["in_touch"], True)

    async def test_variants(self) -> None:
        """Each request finds its own, as in memory; what nobody asked for so is not there."""
        here, _ = await self.share()
        for accept, body in (("Accept: a", b"one"), ("Accept: b", b"two")):
            await self.put(here, self.entry(FRESH, "Vary: Accept", request=(accept,), body=body))
        await self.put(here, self.entry(FRESH, "Vary: X-Y", request=("X-Y: 1",), body=b"three"))
        for asked, body in (("Accept: a", b"one"), ("Accept: b", b"two"), ("X-Y: 1", b"three"), ("X-Y: 2", None)):
            found = await self.find(here, asks(asked))
            self.assertEqual(found.body if found else None, body, asked)

    async def test_what_is_not_written(self) -> None:
        """What is too large, has to be asked for each time, or will not be good for a second."""
        here, _ = await self.share()
        self.assertFalse(await self.put(here, self.entry(body=bytes(shares.OBJECT_LIMIT + 1))))
        self.assertFalse(await self.put(here, self.entry(key=KEY + b"a" * shares.LONGEST_KEY)))
        here.put(self.entry("Cache-Control: no-cache", 'ETag: "a"'))
        here.put(self.entry("Cache-Control: max-age=0, must-revalidate", 'ETag: "a"'))
        await self.put(here, self.entry(key=KEY + b"last"))
        self.assertEqual(await self.server.ask("KEYS", "*page*"), [PAGE + b"last"])

    async def test_too_much_to_write(self) -> None:
        """What the server does not take in fast enough is left out, and nothing piles up here."""
        here, _ = await self.share()
        self.patch(shares, "MOST_WRITING", 5000)
        for _ in range(10):
            here.put(self.entry())
        await until(lambda: here.written + here.unwritten == 10)
        self.assertTrue(1 <= here.written <= 4, here.written)

    async def test_records_that_are_none(self) -> None:
        """They are counted and passed over; so is one that stands in the wrong place."""
        here, _ = await self.share()
        await self.put(here, self.entry())
        (field,) = await self.server.ask("HKEYS", PAGE)
        good = await self.server.ask("HGET", PAGE, field)
        for bad in (b"", b"x", good[:-1], good + b"x", good.replace(b"wmc1", b"wmc9")):
            await self.server.ask("HSET", PAGE, field, bad)
            self.assertIsNone(await self.find(here), bad)
        await self.server.ask("HSET", PAGE + b"b", field, good)
        self.assertIsNone(await self.find(here, key=KEY + b"b"))
        self.assertEqual(here.describe()["bad_records"], 6)
        await self.server.ask("HSET", PAGE, "names", b"\n,\n\xff,x\n" * 50)
        self.assertIsNone(await self.find(here))
        await self.server.ask("SET", PAGE, "x")
        self.assertIsNone(await self.find(here))
        self.assertEqual(here.failed, 1)
        self.assertTrue(here.ready)


class InvalidationTests(ShareCase):
    async def test_said_while_somebody_looks(self) -> None:
        """What was on its way is not used, here and there."""
        (here, first), (there, _) = await self.share(), await self.share()
        await self.put(there, self.entry())
        said = Invalidation(b"shop", ONE, KEY)
        answers: list[object] = []
        there.find(KEY, asks(), answers.append)
        there.invalidate(said)
        there.find(KEY, asks(), answers.append)
        await until(lambda: len(answers) == 2)
        self.assertEqual(answers, [None, None])
        await until(lambda: first.told == [said])
        here.find(KEY, asks(), answers.append)
        here.invalidated(said)
        await until(lambda: len(answers) == 3)
        self.assertEqual(answers[2], None)

    async def test_who_has_not_heard_may_not_write(self) -> None:
        """An answer from before an invalidation does not come after it."""
        here, first = await self.share()
        before = here._news.position
        await self.server.ask("XADD", "{test}:cache:news", "*", "service", "shop", "how", "all")
        await until(lambda: first.told == [Invalidation(b"shop", ALL)])
        here._news.position, now = before, here._news.position
        self.assertFalse(await self.put(here, self.entry()))
        here._news.position = now
        self.assertTrue(await self.put(here, self.entry()))


class AwayTests(ShareCase):
    async def test_a_url_that_makes_no_sense(self) -> None:
        """It is told from the registry's."""
        share = Share(parse_target("rediss://h?ca=/nowhere/ca.pem"), "test", self.reactor)
        with self.assertRaisesRegex(RegistryError, r"^\[gateway\] cache_redis_url: .*/nowhere/ca.pem: No such file"):
            share.start(First())
        await share.stop()

    async def test_a_server_that_is_not_there(self) -> None:
        """It is not asked, and nothing fails; it is used when it comes. One line says each."""
        await self.server.kill()
        here, first = await self.share(wait=False, timeout=0.2)
        self.assertFalse(here.ready)
        here.put(self.entry())
        here.invalidate(Invalidation(b"shop", ALL))
        await until(lambda: here._news.problem)
        self.assertFalse(here.describe()["in_touch"])
        await self.server.start()
        await until(lambda: here.ready, "being in touch")
        self.assertEqual((first.lost, here.describe()["problem"]), (1, None))
        self.assertTrue(await self.put(here, self.entry()))

    async def test_a_server_that_hangs(self) -> None:
        """One request waits for it, for as long as it may; the others do not, until it answers again."""
        here, _ = await self.share(patience=0.05, timeout=30.0)
        await self.put(here, self.entry())
        assert self.server.child is not None
        self.server.child.signal(signal.SIGSTOP)
        self.assertIsNone(await self.find(here))
        self.assertEqual((here.ready, here.late), (False, 1))
        self.server.child.signal(signal.SIGCONT)
        await until(lambda: here.ready, "being in touch")
        self.assertEqual(here._looking, set())

    async def test_a_server_that_was_emptied(self) -> None:
        """Is noticed at the next write, at the latest: what is kept here may have been invalidated meanwhile."""
        here, first = await self.share()
        await self.server.ask("FLUSHALL")
        self.assertFalse(await self.put(here, self.entry()))
        await until(lambda: first.lost == 2 and here.ready)
        self.assertTrue(await self.put(here, self.entry()))


class LimitedTests(ShareCase):
    async def test_as_documented(self) -> None:
        """A user with the rights that docs/caching.rst gives can do everything; none of them is superfluous."""
        text = (ROOT / "docs" / "caching.rst").read_text()
        start = text.index("    ACL SETUSER cache ")
        rule = text[start : text.index("\n\n", start)].replace("\\\n", " ").replace("{wmesh}", "{test}").split()
        await self.server.ask(*rule)
        (password,) = (word[1:] for word in rule if word.startswith(">"))
        target = replace(parse_target(self.server.url), user="cache", password=password)
        here, first = await self.share(target=target, timeout=0.5)
        await self.put(here, self.entry(FRESH, "Vary: Accept", "Surrogate-Key: menu"))
        await self.find(here)
        for what in (Invalidation(b"shop", ONE, KEY), Invalidation(b"shop", TAG, b"menu"), Invalidation(b"shop", ALL)):
            await self.put(here, self.entry(FRESH, "Vary: Accept", "Surrogate-Key: menu"))
            here.invalidate(what)
            await until(lambda: not here._news._pending and here.ready)
        await self.server.ask("CLIENT", "KILL", "USER", "cache")
        await until(lambda: not here.ready)
        await until(lambda: here.ready)
        self.assertEqual(first.lost, 1)
        self.assertEqual(await self.server.ask("ACL", "LOG"), [])
        stats = (await self.server.ask("INFO", "commandstats")).decode()
        used = {line.split(":")[0].removeprefix("cmdstat_") for line in stats.splitlines() if line.startswith("cmd")}
        self.assertEqual({word[1:] for word in rule if word.startswith("+")} - used, {"role", "select"})
