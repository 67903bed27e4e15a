"""The watch by itself, on a link to a real server: each way in which a gap shows, and what is told meanwhile.

What becomes of it in a whole registry, through outages, is in test_redis.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from tests.control.registry.contract import a_will
from tests.control.registry.scene import Recorder, Server, a_record
from tests.waiting import until
from wmesh.control.registry import scripts
from wmesh.control.registry.codec import encode_record
from wmesh.control.registry.link import Link
from wmesh.control.registry.watch import Watch
from wmesh.control.registry.will_codec import encode_will
from wmesh.errors import RegistryError
from wmesh.events import Event, InstanceAdded, InstanceRemoved, InstancesReset, InstanceUpdated, WillsTold
from wmesh.model import Will
from wmesh.registry_url import parse_target

KEYS = scripts.keys("test")
RECORDS, LEASES, VERSION, CHANGES, _, WILLS = (key.decode() for key in KEYS)


class WatchTests(TestCase):
    async def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor = reactor
        self.server = Server()
        self.addCleanup(self.server.remove)
        await self.server.start()
        self.told = Recorder()
        self.prepared = 0
        self.prepares: Callable[[], Deferred[None]] = lambda: succeed(None)

    def prepare(self) -> Deferred[None]:
        self.prepared += 1
        return self.prepares()

    def watch(self, sink: Any = None, interval: float = 30.0) -> Watch:
        self.link = link = Link(
            parse_target(self.server.url),
            self.reactor,
            timeout=2.0,
            retry_max=0.1,
            rng=random.Random(1),
            now=self.reactor.seconds,
        )
        made = Watch(
            link,
            KEYS,
            sink or self.told,
            self.prepare,
            clock=self.reactor,
            interval=interval,
            now=self.reactor.seconds,
        )
        link.start()
        self.addCleanup(link.stop)
        made.start()
        self.addCleanup(made.stop)
        return made

    async def put(self, *ids: str, **changes: Any) -> None:
        """As a client would register: all in one call."""
        flat = [part for one in ids for part in (f"pricing/{one}", encode_record(a_record(one, **changes)))]
        await self.server.ask("EVAL", scripts.REGISTER.text, len(KEYS), *KEYS, 30000, *flat)

    async def entry(self, version: int, **fields: str | bytes) -> None:
        """An entry of the stream as nobody of ours would write it."""
        flat = [part for pair in {**fields, "version": str(version)}.items() for part in pair]
        await self.server.ask("XADD", CHANGES, "*", *flat)

    async def test_from_snapshot_to_changes(self) -> None:
        """One reset with all there was; then each change once, in order; each has a version."""
        await self.put("a")
        watch = self.watch()
        await watch.ready
        self.assertEqual(self.told.events, [InstancesReset("registry", (a_record("a"),))])
        self.assertEqual((watch.resets, watch.in_touch, watch.problem, self.prepared), (1, True, "", 1))
        before = watch.version
        await self.put("b")
        await self.put("b", weight=9)
        await until(lambda: len(self.told.events) == 3)
        self.assertEqual(
            self.told.events[1:], [InstanceAdded(a_record("b")), InstanceUpdated(a_record("b", weight=9))]
        )
        self.assertEqual((watch.version, watch.resets, len(watch.known)), (before + 2, 1, 2))

    async def test_own_registrations_go_first(self) -> None:
        """Nothing is read before `prepare` is done; if that fails, it is tried again, and still nothing is told."""
        ours: Deferred[None] = Deferred()
        self.prepares = lambda: ours
        watch = self.watch()
        await until(lambda: self.prepared == 1 and self.link.connected)
        await self.put("ours")
        self.assertEqual(self.told.events, [])
        self.prepares = lambda: fail(RegistryError("not now"))
        ours.errback(RegistryError("not yet"))
        await until(lambda: watch.problem == "not now")
        self.assertEqual((self.told.events, watch.in_touch), ([], False))
        self.prepares = lambda: succeed(None)
        await watch.ready
        self.assertEqual(self.told.events, [InstancesReset("registry", (a_record("ours"),))])

    async def test_a_version_too_far(self) -> None:
        """An entry that does not follow what we have proves that one was missed: a snapshot, and no half truth."""
        watch = self.watch()
        await watch.ready
        await self.put("a")
        await until(lambda: self.told.known)
        await self.server.ask("HSET", RECORDS, "pricing/b", encode_record(a_record("b")))
        await self.entry(watch.version + 2, kind="gone", service="pricing", id="a", reason="a lie")
        await until(lambda: watch.resets == 2)
        self.assertEqual(sorted(self.told.known), ["a", "b"])
        self.assertEqual(self.told.of(InstanceRemoved), [])
        self.assertEqual(self.prepared, 2)

    async def test_an_old_version(self) -> None:
        """An entry about what the snapshot held already (it was made while that was read) is no news."""
        watch = self.watch()
        await watch.ready
        await self.put("a")
        await until(lambda: self.told.known)
        await self.entry(watch.version, kind="gone", service="pricing", id="a", reason="long ago")
        await self.put("b")
        await until(lambda: "b" in self.told.known)
        self.assertEqual((sorted(self.told.known), self.told.of(InstanceRemoved)), (["a", "b"], []))

    async def test_versions_that_begin_anew(self) -> None:
        """A server put back to an older state says so by its start, however high its versions are."""
        watch = self.watch()
        await watch.ready
        await self.put("a")
        await until(lambda: self.told.known)
        await self.server.ask("DEL", RECORDS, LEASES)
        await self.entry(watch.version - 1, kind="start")
        await until(lambda: watch.resets == 2)
        self.assertEqual(self.told.known, {})

    async def test_a_new_connection(self) -> None:
        """What happened between two connections cannot be known: a snapshot; what was known stays until then."""
        watch = self.watch()
        await watch.ready
        await self.put("a")
        await until(lambda: self.told.known)
        with capturedLogs() as logged:
            self.link.hang_up("for the test")
            await until(lambda: not watch.in_touch)
            self.assertEqual(list(self.told.known), ["a"])
            await until(lambda: watch.resets == 2 and watch.in_touch)
        levels = [event["log_level"].name for event in logged]
        self.assertEqual((levels, watch.problem), (["warn", "info"], ""))

    async def test_silence(self) -> None:
        """When nothing happens for long, it makes sure: being right tells nothing, being wrong is a reset."""
        watch = self.watch(interval=0.1)
        await watch.ready
        await self.put("a")
        await until(lambda: self.told.known)
        await deferLater(self.reactor, 0.5)
        self.assertEqual((watch.resets, self.prepared), (1, 1))
        await self.server.ask("HDEL", RECORDS, "pricing/a")
        await until(lambda: watch.resets == 2)
        self.assertEqual(self.told.known, {})

    async def test_unreadable_is_counted(self) -> None:
        """A record that nobody can read is passed over with one warning, and is no reason to doubt for ever."""
        with capturedLogs() as logged:
            await self.put("a")
            await self.server.ask("HSET", RECORDS, "pricing/bad", "{")
            watch = self.watch(interval=0.1)
            await watch.ready
            await deferLater(self.reactor, 0.5)
            self.assertEqual((watch.resets, list(watch.known)), (1, ["pricing/a"]))
            self.link.hang_up("for the test")
            await until(lambda: watch.resets == 2)
        warned = [event for event in logged if "passed over" in str(event.get("log_format"))]
        self.assertEqual(len(warned), 1)

    async def test_wills(self) -> None:
        """From the snapshot and from the stream; one that nobody can read is passed over with one warning."""
        good = encode_will(a_will())
        with capturedLogs() as logged:
            await self.server.ask("HSET", WILLS, "pricing/pricing-1", good, "pricing/bad", "{", "no-slash", good)
            watch = self.watch()
            await watch.ready
            self.assertEqual(self.told.events[0], WillsTold((a_will(),), whole=True))
            for number, will in enumerate((b"[]", encode_will(a_will("other")), b""), watch.version + 1):
                await self.entry(number, kind="will", service="pricing", id="other", will=will)
            await until(lambda: len(self.told.of(WillsTold)) == 3)
            self.link.hang_up("for the test")
            await until(lambda: len(self.told.of(WillsTold)) > 3)
        self.assertEqual(self.told.of(WillsTold)[1].wills, (a_will("other"),))
        self.assertEqual(self.told.of(WillsTold)[2].wills, (Will("pricing", "other"),))
        self.assertEqual(self.told.of(WillsTold)[3], WillsTold((a_will(),), whole=True))
        warned = [str(event["member"]) for event in logged if "passed over" in str(event.get("log_format"))]
        self.assertEqual(warned, ["'pricing/bad'", "'no-slash'", "'pricing/other'"])

    async def test_wills_by_hand(self) -> None:
        """Written past the scripts, and taken away so: seen when it is made sure, as records are."""
        watch = self.watch(interval=0.1)
        await watch.ready
        await self.server.ask("HSET", WILLS, "pricing/pricing-1", encode_will(a_will()))
        await until(lambda: self.told.of(WillsTold))
        await self.server.ask("DEL", WILLS)
        await until(lambda: len(self.told.of(WillsTold)) == 2)
        self.assertEqual(self.told.of(WillsTold)[1], WillsTold((), whole=True))
        self.assertEqual(watch.resets, 3)

    async def test_stopped_by_its_sink(self) -> None:
        """A sink may stop it from within: then nothing more is read, and nothing is left running."""
        seen: list[Event] = []

        def sink(event: Event) -> None:
            seen.append(event)
            if isinstance(event, InstanceAdded):
                watch.stop()

        watch = self.watch(sink)
        await watch.ready
        await self.put("a", "b")
        await until(lambda: len(seen) > 1)
        await self.link.stop()
        await deferLater(self.reactor, 0.3)
        self.assertEqual([type(event) for event in seen], [InstancesReset, InstanceAdded])

    async def test_a_sink_that_fails(self) -> None:
        """A fault of our own is told with its trace, and met with a fresh snapshot: nothing is lost by it."""
        faults = [ZeroDivisionError("ours")]

        def sink(event: Event) -> None:
            if isinstance(event, InstanceAdded) and faults:
                raise faults.pop()
            self.told(event)

        watch = self.watch(sink)
        await watch.ready
        await self.put("a")
        await until(lambda: watch.resets == 2)
        self.assertEqual(list(self.told.known), ["a"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
