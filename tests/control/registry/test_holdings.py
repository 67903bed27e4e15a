"""What one client answers for, against a server: in what is held, and in how few calls."""

from __future__ import annotations

import random

from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from tests.control.registry.scene import Server, a_record
from wmesh.control.registry import scripts
from wmesh.control.registry.codec import encode_record
from wmesh.control.registry.holdings import CHUNK, Holdings
from wmesh.control.registry.link import Link
from wmesh.errors import RecordError, RegistryError
from wmesh.registry_url import parse_target

KEYS = scripts.keys("test")
RECORDS, LEASES, _, CHANGES, LOADS, _ = (key.decode() for key in KEYS)


class HoldingsTests(TestCase):
    async def setUp(self) -> None:
        from twisted.internet import reactor

        self.server = Server()
        self.addCleanup(self.server.remove)
        await self.server.start()
        options = {"timeout": 2.0, "retry_max": 0.1, "rng": random.Random(1), "now": reactor.seconds}
        self.link = Link(parse_target(self.server.url), reactor, **options)
        self.link.start()
        self.addCleanup(self.link.stop)
        self.holdings = Holdings(self.link, KEYS, 30_000)

    async def hold(self, count: int) -> None:
        """So many, the last in being `p-{count - 1}`."""
        work = [Deferred.fromCoroutine(self.holdings.register(a_record(f"p-{number}"))) for number in range(count)]
        await gatherResults(work)

    async def test_put_back(self) -> None:
        """All that is held goes back into a server that lost it, however much it is, as it was; and nothing else."""
        count = 2 * CHUNK + 1
        await self.hold(count)
        await self.holdings.deregister("pricing", "p-0")
        await self.server.ask("FLUSHALL")
        await self.holdings.put_back()
        self.assertEqual(await self.server.ask("HLEN", RECORDS), count - 1)
        self.assertEqual(await self.server.ask("ZCARD", LEASES), count - 1)
        self.assertEqual(await self.server.ask("HGET", RECORDS, "pricing/p-1"), encode_record(a_record("p-1")))
        self.assertIsNone(await self.server.ask("HGET", RECORDS, "pricing/p-0"))

    async def test_put_back_where_it_stands(self) -> None:
        """What was not lost gets a fresh lease, and nobody is woken."""
        await self.hold(1)
        await self.server.ask("ZADD", LEASES, 1, "pricing/p-0")
        before = await self.server.ask("XLEN", CHANGES)
        await self.holdings.put_back()
        self.assertGreater(float(await self.server.ask("ZSCORE", LEASES, "pricing/p-0")), 1e12)
        self.assertEqual(await self.server.ask("XLEN", CHANGES), before)

    async def test_nothing_held(self) -> None:
        """Then the server is not troubled."""
        await self.holdings.put_back()
        self.assertEqual(await self.server.ask("DBSIZE"), 0)

    async def test_taken_out_while_others_go_back(self) -> None:
        """What is taken out while an earlier chunk is on its way does not come back with a later one."""
        await self.hold(CHUNK + 2)
        putting = Deferred.fromCoroutine(self.holdings.put_back())
        last = f"p-{CHUNK + 1}"
        await gatherResults([putting, Deferred.fromCoroutine(self.holdings.deregister("pricing", last))])
        self.assertEqual(await self.server.ask("HLEN", RECORDS), CHUNK + 1)
        self.assertIsNone(await self.server.ask("HGET", RECORDS, f"pricing/{last}"))

    async def test_renew(self) -> None:
        """In as many calls as it takes, each with its own sample; the unknown of all of them are named."""
        await self.hold(CHUNK + 1)
        last = f"p-{CHUNK}"
        loads = {("pricing", f"p-{number}"): b"" for number in range(CHUNK + 1)}
        loads |= {("pricing", last): b'{"cpu":4.0}', ("lost", "first"): b'{"cpu":1.0}'}
        loads = {("lost", "also"): b"", **loads}
        self.assertEqual(await self.holdings.renew(loads), [("lost", "also"), ("lost", "first")])
        self.assertEqual(await self.server.ask("HGETALL", LOADS), [f"pricing/{last}".encode(), b'{"cpu":4.0}'])

    async def test_held_before_it_is_in(self) -> None:
        """A registration that failed because nobody answers is made by put_back; one that was refused, never."""
        await self.server.kill()
        with self.assertRaises(RegistryError):
            await self.holdings.register(a_record())
        with self.assertRaises(RecordError):
            await self.holdings.register(a_record("heavy", weight=0))
        await self.server.start()
        await self.holdings.put_back()
        self.assertEqual(await self.server.ask("HKEYS", RECORDS), [b"pricing/pricing-1"])

    async def test_held_no_longer(self) -> None:
        """Taken out while nobody answers: it is let go of all the same."""
        await self.hold(2)
        await self.server.kill()
        with self.assertRaises(RegistryError):
            await self.holdings.deregister("pricing", "p-0")
        await self.server.start()
        await self.holdings.put_back()
        self.assertEqual(await self.server.ask("HKEYS", RECORDS), [b"pricing/p-1"])
