"""RedisRegistry against a real server: the contract, and everything that a server can do to us."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from tests.control.registry.contract import RealTimeContract, a_will
from tests.control.registry.scene import Recorder, Server, a_record
from tests.waiting import until
from wmesh.control.registry import scripts, watch
from wmesh.control.registry.codec import encode_record
from wmesh.control.registry.redis import RedisRegistry
from wmesh.control.registry.registrar import Registrar
from wmesh.control.registry.watch import PORTION
from wmesh.errors import RegistryError
from wmesh.events import InstanceAdded, InstanceRemoved, InstancesReset, InstanceUpdated, LoadReported
from wmesh.model import InstanceRecord, LoadSample, RegistrySpec
from wmesh.registry_url import Target, parse_target

ROOT = Path(__file__).parents[3]


def warnings(logged: Any) -> list[Any]:
    return [event for event in logged if "passed over" in str(event.get("log_format"))]


KEYS = [key.decode() for key in scripts.keys("test")]
RECORDS, LEASES, VERSION, CHANGES, LOADS, WILLS = KEYS


class RedisCase(TestCase):
    """A server, and clients of it that the test's end stops."""

    flags: tuple[str, ...] = ()

    async def setUp(self) -> None:
        self.server = Server(*self.flags)
        self.addCleanup(lambda: self.server.remove())
        await self.server.start()

    def registry(self, *, lease: float = 30.0, discovery: float = 30.0, target: Target | None = None, **more: Any):
        from twisted.internet import reactor

        spec = RegistrySpec(namespace="test", lease=lease, heartbeat=0.1, discovery_interval=discovery)
        options = {"timeout": 2.0, "retry_max": 0.1, **more}
        registry = RedisRegistry(target or parse_target(self.server.url), spec, reactor, **options)
        self.addCleanup(registry.stop)
        return registry

    async def begun(self, **options: Any) -> tuple[RedisRegistry, Recorder]:
        registry, told = self.registry(**options), Recorder()
        await registry.start(told)
        return registry, told


class RedisContractTests(RealTimeContract, RedisCase):
    """The contract."""

    async def client(self, lease: float) -> RedisRegistry:
        return self.registry(lease=lease)


class LimitedTests(RedisCase):
    """A user who may do what the documentation says it must be able to, and nothing else."""

    def rule(self) -> list[str]:
        """The words of the ACL rule that docs/registry-connections.rst gives, for the namespace of the tests."""
        text = (ROOT / "docs" / "registry-connections.rst").read_text()
        start = text.index("    ACL SETUSER wmesh ")
        rule = text[start : text.index("\n\n", start)].replace("\\\n", " ").replace("{wmesh}", "{test}")
        return rule.split()[2:]

    async def test_as_documented(self) -> None:
        """Everything works, nothing is denied, and nothing that is granted is never used."""
        name, *rule = self.rule()
        await self.server.ask("ACL", "SETUSER", name, *rule)
        (password,) = (word[1:] for word in rule if word.startswith(">"))
        target = replace(parse_target(self.server.url), user=name, password=password)
        registry, told = await self.begun(target=target, lease=0.5, discovery=0.2)
        await registry.register(a_record())
        await registry.register(a_record("left-alone"))
        await registry.renew({("pricing", "pricing-1"): LoadSample(cpu=1.0)})
        await registry.direct([a_will(), a_will("gone", until=1)], 0)
        await until(lambda: "left-alone" in told.known)
        await registry.deregister("pricing", "pricing-1")
        # By hand: a lease without a record, and a record without a lease.
        await self.server.ask("ZADD", LEASES, 1, "pricing/nobody")
        await self.server.ask("HSET", RECORDS, "pricing/by-hand", encode_record(a_record("by-hand")), "no-slash", "x")
        await until(lambda: "by-hand" in told.known)
        await until(lambda: not told.known)
        # And what has to be cleared away: a key of the wrong type, and a stream without room.
        await self.server.ask("UNLINK", LOADS, CHANGES)
        await self.server.ask("SET", LOADS, "x")
        await self.server.ask("XADD", CHANGES, f"{2**64 - 1}-{2**64 - 1}", "nobody", "reads")
        await registry.register(a_record("late"))
        await until(lambda: "late" in told.known)
        from twisted.internet import reactor

        registrar = Registrar(target, RegistrySpec(namespace="test"), reactor)
        registrar.start()
        self.addCleanup(registrar.stop)
        await registrar.register(a_record("program"))
        await until(lambda: "program" in told.known)
        await until(lambda: registry.status()["age"] < 0.2)
        self.assertIsNone(registry.status()["problem"])
        denied = await self.server.ask("ACL", "LOG")
        self.assertEqual(denied, [])

        stats = (await self.server.ask("INFO", "commandstats")).decode()
        used = {line.split(":")[0].removeprefix("cmdstat_") for line in stats.splitlines() if line.startswith("cmd")}
        granted = {word[1:] for word in rule if word.startswith("+")}
        # Asked of each server that a Sentinel names; only of those; and of a database that is not the first.
        self.assertEqual(granted - used, {"role", "select"})

    async def test_no_more(self) -> None:
        """Other keys, and what looks at the server as a whole, are closed to it."""
        name, *rule = self.rule()
        await self.server.ask("ACL", "SETUSER", name, *rule)
        for words in (("GET", "other"), ("HGETALL", "{tests}:records")):
            answer = await self.server.ask("ACL", "DRYRUN", name, *words)
            self.assertIn(b"permissions to access", answer)
        for words in (("KEYS", "*"), ("FLUSHALL",), ("CONFIG", "GET", "*"), ("UNLINK", RECORDS), ("SCRIPT", "FLUSH")):
            answer = await self.server.ask("ACL", "DRYRUN", name, *words)
            self.assertIn(b"no permissions to run", answer)


class StoreTests(RedisCase):
    """What stands in the server."""

    async def test_heartbeats_wake_nobody(self) -> None:
        """Renewing adds nothing to the stream and makes no version."""
        one, _ = await self.begun()
        await one.register(a_record())
        before = await self.server.ask("XLEN", CHANGES), await self.server.ask("GET", VERSION)
        for number in range(5):
            await one.renew({("pricing", "pricing-1"): LoadSample(cpu=float(number))})
        self.assertEqual((await self.server.ask("XLEN", CHANGES), await self.server.ask("GET", VERSION)), before)
        self.assertEqual(await self.server.ask("HGET", LOADS, "pricing/pricing-1"), b'{"cpu":4.0}')

    async def test_nothing_left_behind(self) -> None:
        """Expired and deregistered instances leave no record, lease or load."""
        one, told = await self.begun(lease=0.2)
        await one.register(a_record())
        await one.register(a_record("pricing-2"))
        await one.renew({("pricing", "pricing-1"): LoadSample(1.0, 1), ("pricing", "pricing-2"): LoadSample(1.0, 1)})
        await one.deregister("pricing", "pricing-2")
        await until(lambda: told.of(InstanceRemoved) and not told.known)
        self.assertEqual(await self.server.ask("EXISTS", RECORDS, LEASES, LOADS), 0)

    async def test_many_sweepers_evict_once(self) -> None:
        """Any number of gateways clean up, and each eviction is told once."""
        gateways = [await self.begun(lease=0.3) for _ in range(4)]
        await gateways[0][0].register(a_record())
        for _, told in gateways:
            await until(lambda told=told: told.of(InstanceRemoved))
        self.assertEqual(sum(registry.evicted for registry, _ in gateways), 1)
        for _, told in gateways:
            self.assertEqual(told.events[-1], InstanceRemoved("pricing", "pricing-1", "lease expired"))

    async def test_late_sweep_is_void(self) -> None:
        """A sweep that the server reads too late (it was stopped meanwhile) evicts nobody."""
        one, _ = await self.begun(lease=30.0)
        await one.register(a_record())
        await one.stop()
        await self.server.ask("ZADD", LEASES, 1, "pricing/pricing-1")
        now = int((await self.server.ask("TIME"))[0]) * 1000
        text, count = scripts.EXPIRE.text, len(KEYS)
        late = await self.server.ask("EVAL", text, count, *KEYS, 1000, 100, now - 5000)
        self.assertEqual(late[1], 0)
        right = await self.server.ask("EVAL", text, count, *KEYS, 1000, 100, now + 5000)
        self.assertEqual(right[1], 1)

    async def test_written_by_hand(self) -> None:
        """A record put in without our scripts is taken in, gets a lease, and goes when that ends."""
        _, told = await self.begun(lease=0.5)
        await self.server.ask("HSET", RECORDS, "pricing/pricing-1", encode_record(a_record()))
        await until(lambda: told.known)
        self.assertEqual(told.events[-1], InstanceAdded(a_record()))
        await until(lambda: not told.known)
        self.assertEqual(await self.server.ask("EXISTS", RECORDS, LEASES), 0)

    async def test_bad_records_are_passed_over(self) -> None:
        """Garbage, lies and floods are skipped with one warning each and never stop the others."""
        liar, flood = encode_record(a_record("other")), b"x" * 20000
        bad = {"pricing/bad": b"{", "pricing/liar": liar, "pricing/flood": flood, "no-service": b"{}"}
        for member, data in bad.items():
            await self.server.ask("HSET", RECORDS, member, data)
        with capturedLogs() as logged:
            one, told = await self.begun(discovery=0.2)
            await one.register(a_record())
            await until(lambda: told.known)
            await self.server.ask("DEL", CHANGES, VERSION)
            await until(lambda: len(told.of(InstancesReset)) > 1)
        warned = [event["member"] for event in warnings(logged)]
        self.assertEqual(sorted(warned), sorted(ascii(member) for member in bad))
        self.assertEqual(list(told.known), ["pricing-1"])

    async def test_record_turned_bad(self) -> None:
        """A good record replaced by garbage is gone, and says why."""
        one, told = await self.begun()
        await one.register(a_record())
        await until(lambda: told.known)
        await self.by_hand('{"v":9}')
        await until(lambda: not told.known)
        self.assertIn("unreadable", told.events[-1].reason)


    async def by_hand(self, record: str, member: str = "pricing/pricing-1") -> None:
        """What the script `register` would do, if it did not look at the record."""
        text = "redis.call('HSET',KEYS[1],ARGV[1],ARGV[2]) local v = redis.call('INCR',KEYS[3]) "
        text += "redis.call('XADD',KEYS[4],'*','kind','put','service','pricing','id',string.sub(ARGV[1],9),"
        text += "'record',ARGV[2],'version',string.format('%.0f',v))"
        await self.server.ask("EVAL", text, len(KEYS), *KEYS, member, record)

    async def test_one_warning_until_it_is_right(self) -> None:
        """Whoever writes other nonsense with each beat is warned of once; and again if he was right in between."""
        one, told = await self.begun()
        with capturedLogs() as logged:
            for number in range(5):
                await self.by_hand(f"nonsense {number}")
                await one.register(a_record(f"{number}"))
                await until(lambda number=number: str(number) in told.known)
            self.assertEqual(len(warnings(logged)), 1)
            await one.register(a_record())
            await until(lambda: "pricing-1" in told.known)
            await self.by_hand("worse")
            await until(lambda: "pricing-1" not in told.known)
        self.assertEqual(len(warnings(logged)), 2)

    async def test_names_are_not_shown_as_they_are(self) -> None:
        """A key of a megabyte, and one of bytes that are no text, are named in a few printable characters."""
        for member in (b"pricing/" + b"x" * 1_000_000, b"pricing/\xff\x1b[2J", b"pricing/\xfe"):
            await self.server.ask("HSET", RECORDS, member, b"{")
        with capturedLogs() as logged:
            one, _ = await self.begun()
            await one.stop()
        self.assertEqual(len(warnings(logged)), 3)
        for event in warnings(logged):
            text = formatEvent(event)
            self.assertTrue(text.isprintable() and len(text) < 400, text[:400])

    async def test_bad_loads(self) -> None:
        """A sample that cannot be is passed over with one warning until a good one comes; one without measure, and
        those of nobody, are thrown away."""
        one, told = await self.begun()
        await one.register(a_record())
        await until(lambda: told.known)
        with capturedLogs() as logged:
            for number in range(3):
                await self.server.ask("HSET", LOADS, "pricing/pricing-1", f'{{"cpu":-{number + 1}}}', "a/gone", "{}")
                await self.server.until(lambda count: count == 1, "HLEN", LOADS)
            await until(lambda: warnings(logged))
            await self.server.ask("HSET", LOADS, "pricing/pricing-1", '{"cpu":1e308}')
            await self.server.ask("HSET", LOADS, "pricing/pricing-1", '{"cpu":1}')
            await until(lambda: told.of(LoadReported))
        self.assertEqual(len(warnings(logged)), 1)
        self.assertEqual(told.of(LoadReported), [LoadReported("pricing", "pricing-1", LoadSample(1.0))])
        await self.server.ask("HSET", LOADS, "pricing/pricing-1", "x" * 5_000_000)
        await self.server.until(lambda count: count == 0, "HLEN", LOADS)


class StreamTests(RedisCase):
    """Entries of the stream that no script wrote."""

    async def test_strange_entries(self) -> None:
        """They are passed over with one warning and cost no snapshot; what follows is taken."""
        one, told = await self.begun()
        await one.register(a_record())
        await until(lambda: told.known)
        with capturedLogs() as logged:
            for fields in (
                ("a", "b"),
                ("kind", "put", "version", "x"),
                ("kind", "put", "version", "9" * 5000),
                ("kind", "put", "service", "pricing", "id", "x", "version", "1"),
                ("kind", "\xff", "service", "", "id", "", "version", "1"),
            ):
                await self.server.ask("XADD", CHANGES, "*", *fields)
            await one.register(a_record("pricing-2"))
            await until(lambda: len(told.known) == 2)
        self.assertEqual(len(warnings(logged)), 1)
        self.assertEqual(len(told.of(InstancesReset)), 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_forged_entry(self) -> None:
        """Somebody takes the next number for a lie of his own: the true change that bears it is not lost."""
        one, told = await self.begun()
        await one.register(a_record())
        await until(lambda: told.known)
        following = int(await self.server.ask("GET", VERSION)) + 1
        lie = ("kind", "gone", "service", "pricing", "id", "pricing-1", "reason", "\x1b[2J" * 99, "version", following)
        await self.server.ask("XADD", CHANGES, "*", *lie)
        await until(lambda: not told.known)
        self.assertTrue(told.events[-1].reason.isprintable())
        await one.register(a_record("pricing-2"))
        await until(lambda: len(told.known) == 2)

    async def test_last_possible_id(self) -> None:
        """An entry after which there is no room makes room again."""
        one, told = await self.begun(discovery=0.2)
        await self.server.ask("XADD", CHANGES, f"{2**64 - 1}-{2**64 - 1}", "a", "b")
        await one.register(a_record())
        await until(lambda: told.known)
        await one.register(a_record("pricing-2"))
        await until(lambda: len(told.known) == 2)


class GapTests(RedisCase):
    """Changes that were missed are noticed and made up for."""

    async def test_flushall(self) -> None:
        """An emptied server: what we hold is put back before the sink is told, what nobody holds is gone."""
        one, told = await self.begun()
        await one.register(a_record())
        other, _ = await self.begun()
        await other.register(a_record("pricing-2"))
        await until(lambda: len(told.known) == 2)
        await other.stop()
        await self.server.ask("FLUSHALL")
        await until(lambda: len(told.of(InstancesReset)) > 1)
        self.assertEqual(told.events[-1], InstancesReset("registry", (a_record(),)))
        self.assertEqual(told.of(InstanceRemoved), [])
        self.assertEqual(await self.server.ask("HLEN", RECORDS), 1)
        await one.register(a_record(weight=7))
        await until(lambda: told.of(InstanceUpdated))

    async def test_trimmed_stream(self) -> None:
        """Entries that were trimmed before they were read are noticed with the next one."""
        one, told = await self.begun()
        await one.register(a_record())
        await until(lambda: told.known)
        # One script, so that the change is gone before any reader can be served.
        hidden = "redis.call('HSET',KEYS[1],ARGV[1],ARGV[2]) redis.call('ZADD',KEYS[2],'9999999999999',ARGV[1]) "
        hidden += "redis.call('INCR',KEYS[3]) redis.call('DEL',KEYS[4]) return 1"
        await self.server.ask("EVAL", hidden, len(KEYS), *KEYS, "pricing/hidden", encode_record(a_record("hidden")))
        self.assertNotIn("hidden", told.known)
        await one.register(a_record("pricing-2"))
        await until(lambda: len(told.known) == 3)
        self.assertIn("hidden", told.known)
        self.assertEqual(len(told.of(InstancesReset)), 2)

    async def test_self_check(self) -> None:
        """What changed without a word (somebody deleted by hand) is found by the periodic self-check."""
        one, _ = await self.begun()
        await one.register(a_record())
        await one.register(a_record("pricing-2"))
        _, told = await self.begun(discovery=0.2)
        self.assertEqual(len(told.known), 2)
        by_hand = "redis.call('HDEL',KEYS[1],ARGV[1]) redis.call('ZREM',KEYS[2],ARGV[1])"
        await self.server.ask("EVAL", by_hand, len(KEYS), *KEYS, "pricing/pricing-1")
        await until(lambda: len(told.known) == 1)
        self.assertEqual(told.events[-1], InstancesReset("registry", (a_record("pricing-2"),)))

    async def test_quiet_self_check_tells_nothing(self) -> None:
        """Being right is not news."""
        from twisted.internet import reactor

        one, told = await self.begun(discovery=0.05)
        await one.register(a_record())
        await until(lambda: told.known)
        await deferLater(reactor, 0.5)
        self.assertEqual(len(told.of(InstancesReset)), 1)

    async def test_many_changes_in_order(self) -> None:
        """A thousand changes at once arrive all, in order, without a single snapshot."""
        one, _ = await self.begun()
        _, told = await self.begun()
        for number in range(1000):
            one.register(a_record(weight=number % 1000 + 1)).addErrback(self.fail)
        await until(lambda: len(told.events) == 1001)
        self.assertEqual([event.record.weight for event in told.events[1:]], list(range(1, 1001)))

    async def test_only_what_changed_is_read_again(self) -> None:
        """A snapshot of hundreds is told at once and whole; records that stand there as before are the same objects."""
        names = [f"pricing-{number:04}" for number in range(2 * PORTION + 50)]
        flat = [part for name in names for part in (f"pricing/{name}", encode_record(a_record(name)))]
        await self.server.ask("HSET", RECORDS, *flat)
        _, told = await self.begun(discovery=0.2)
        before = dict(told.known)
        self.assertEqual(sorted(before), names)
        heavy = encode_record(a_record("pricing-0007", weight=9))
        await self.server.ask("HSET", RECORDS, "pricing/pricing-0007", heavy)
        await self.server.ask("HDEL", RECORDS, "pricing/pricing-0008")
        await self.server.ask("DEL", CHANGES, VERSION)
        await until(lambda: len(told.known) == len(names) - 1)
        self.assertEqual(told.known["pricing-0007"].weight, 9)
        fresh = [name for name in told.known if told.known[name] is not before[name]]
        self.assertEqual(fresh, ["pricing-0007"])

    async def test_clients_have_their_turn(self) -> None:
        """While a large snapshot is read, the loop goes on turning, and nothing is told before all is read."""
        from twisted.internet import reactor

        turns: list[int] = []
        flat = [part for n in range(5 * PORTION) for part in (f"pricing/p{n}", encode_record(a_record(f"p{n}")))]
        await self.server.ask("HSET", RECORDS, *flat)
        registry, told = self.registry(), Recorder()
        decode = watch.decode_record

        def turn() -> None:
            turns.append(read)
            turning.append(reactor.callLater(0, turn))

        def counted(data: bytes) -> InstanceRecord:
            nonlocal read
            read += 1
            self.assertEqual(told.events, [])
            return decode(data)

        read, turning = 0, []
        self.patch(watch, "decode_record", counted)
        turn()
        await registry.start(told)
        turning[-1].cancel()
        self.assertEqual(len(told.known), 5 * PORTION)
        self.assertTrue({PORTION, 2 * PORTION, 3 * PORTION, 4 * PORTION} <= set(turns), sorted(set(turns)))

    async def test_loads_of_many(self) -> None:
        """The samples of a fleet arrive, all of them and each once."""
        one, _ = await self.begun()
        names = [f"p{number}" for number in range(PORTION + 20)]
        for name in names:
            await one.register(a_record(name))
        await one.renew({("pricing", name): LoadSample(memory=number) for number, name in enumerate(names)})
        _, told = await self.begun()
        await until(lambda: len(told.of(LoadReported)) == len(names))
        expected = {LoadReported("pricing", name, LoadSample(memory=number)) for number, name in enumerate(names)}
        self.assertEqual(set(told.of(LoadReported)), expected)

    async def test_scripts_flushed(self) -> None:
        """A server that forgot our scripts is told them again."""
        one, told = await self.begun()
        await self.server.ask("SCRIPT", "FLUSH")
        await one.register(a_record())
        await until(lambda: told.known)


class OutageTests(RedisCase):
    """The server goes away, hangs, or will not let us in."""

    async def test_kill_and_restart(self) -> None:
        """After kill -9 and a restart without data, registrations are back and the sink never saw them go."""
        one, told = await self.begun()
        await one.register(a_record())
        other, also_told = await self.begun()
        await other.register(a_record("pricing-2"))
        await until(lambda: len(told.known) == 2 and len(also_told.known) == 2)
        await self.server.kill()
        await until(lambda: not one.status()["connected"])
        self.assertEqual(one.status()["instances"], 2)
        self.assertTrue(one.status()["problem"])
        with self.assertRaises(RegistryError):
            await self.registry(timeout=0.2).start(Recorder())
        await self.server.start()
        await until(lambda: one.status()["connected"] and other.status()["connected"])
        await until(lambda: len(told.known) == 2 and len(also_told.known) == 2)
        self.assertEqual(told.of(InstanceRemoved), [])
        self.assertIn("pricing-1", {record.id for record in told.of(InstancesReset)[1].records})
        self.assertEqual(await self.server.ask("HLEN", RECORDS), 2)

    async def test_both_connections_come_back_once(self) -> None:
        """After a restart one snapshot is enough: the watch is not sent away again for what the other link went
        through; and the log's sentences have one full stop."""
        registry, told = await self.begun()
        with capturedLogs() as captured:
            await self.server.kill()
            await until(lambda: not registry.status()["connected"], "the loss")
            await self.server.start()
            await until(lambda: len(told.of(InstancesReset)) == 2, "the second snapshot")
        said = [formatEvent(event) for event in captured]
        self.assertTrue(any("Going on with" in line for line in said), said)
        self.assertFalse(any(".." in line.replace("...", "") for line in said), said)
        commands, changes = registry._commands, registry._changes
        await until(lambda: registry._generation == commands.generation == 2, "a sweep")
        self.assertEqual((changes.generation, changes.problem), (2, ""))

    async def test_what_one_connection_lost(self) -> None:
        """What ended one connection may have left the other waiting for nobody: it is made anew, too."""
        registry, told = await self.begun()
        await until(lambda: registry._generation == 1, "a sweep")
        registry._commands.hang_up("cut")
        await until(lambda: len(told.of(InstancesReset)) == 2, "the second snapshot")
        self.assertEqual(registry._changes.generation, 2)

    async def test_registered_while_away(self) -> None:
        """A registration that failed because the server was away is made when it is back."""
        one, told = await self.begun(timeout=0.3)
        await self.server.kill()
        with self.assertRaises(RegistryError):
            await one.register(a_record())
        await self.server.start()
        await until(lambda: told.known)

    async def test_deregistered_while_away(self) -> None:
        """What was taken out while the server was away does not come back."""
        one, told = await self.begun(timeout=0.3)
        await one.register(a_record())
        await one.register(a_record("pricing-2"))
        await self.server.kill()
        with self.assertRaises(RegistryError):
            await one.deregister("pricing", "pricing-1")
        await self.server.start()
        await until(lambda: list(told.known) == ["pricing-2"])

    async def test_hung_server(self) -> None:
        """A server that stops answering fails our commands in time; when it wakes, nobody has lost his lease."""
        one, told = await self.begun(timeout=0.3, lease=1.0)
        await one.register(a_record())
        await until(lambda: told.known)
        os.kill(self.server.child.pid, signal.SIGSTOP)
        with self.assertRaises(RegistryError) as caught:
            await one.register(a_record("pricing-2"))
        self.assertIn("no answer", str(caught.exception))
        await until(lambda: one.status()["age"] > 1.5)
        self.assertFalse(one.status()["connected"])
        os.kill(self.server.child.pid, signal.SIGCONT)
        await until(lambda: len(told.known) == 2)
        self.assertEqual(told.of(InstanceRemoved), [])

    async def test_not_there(self) -> None:
        """Without a server, start fails in time and says why; a patient one goes on and catches up."""
        await self.server.kill()
        impatient = self.registry(timeout=0.2)
        with self.assertRaises(RegistryError) as caught:
            await impatient.start(Recorder())
        self.assertIn(self.server.socket, str(caught.exception))
        patient, told = await self.begun(timeout=0.2, patient=True)
        self.assertEqual(told.events, [InstancesReset("registry", ())])
        self.assertFalse(patient.status()["connected"])
        await self.server.start()
        await until(lambda: patient.status()["connected"])
        await patient.register(a_record())
        await until(lambda: told.known)

    async def test_stop_while_away(self) -> None:
        """Stopping does not wait for a server that is not there, and fails what waits for it."""
        one, _ = await self.begun()
        await self.server.kill()
        waiting = one.register(a_record())
        await one.stop()
        await self.assertFailure(waiting, RegistryError)
        await self.assertFailure(one.register(a_record()), RegistryError)


class LoginTests(RedisCase):
    """Passwords."""

    flags = ("--requirepass", "first-secret")

    def target(self, password: str) -> Target:
        return Target(path=self.server.socket, password=password)

    async def test_wrong_password(self) -> None:
        """A wrong or missing password is told as such, without telling the password."""
        for password, word in (("wrong-secret", "WRONGPASS"), ("", "NOAUTH")):
            registry = self.registry(timeout=0.3, target=self.target(password))
            with self.assertRaises(RegistryError) as caught:
                await registry.start(Recorder())
            self.assertIn(word, str(caught.exception))
            self.assertNotIn("secret", f"{caught.exception} {registry.status()} {registry!r}")

    async def test_rotation(self) -> None:
        """Being refused is not the end: when the password fits (again), the registry goes on by itself."""
        with capturedLogs() as logged:
            one, told = await self.begun(target=self.target("second-secret"), timeout=0.3, patient=True)
            await until(lambda: "WRONGPASS" in str(one.status()["problem"]))
            await self.server.ask("CONFIG", "SET", "requirepass", "second-secret", password="first-secret")
            await until(lambda: one.status()["connected"])
            await one.register(a_record())
            await until(lambda: told.known)
        self.assertNotIn("secret", str(logged))

    async def test_user(self) -> None:
        """An ACL user with a password of his own."""
        words = ["ACL", "SETUSER", "mesh", "on", ">mesh-secret", "~{test}:*", "+@all"]
        await self.server.ask(*words, password="first-secret")
        target = Target(path=self.server.socket, user="mesh", password="mesh-secret")
        one, told = await self.begun(target=target)
        await one.register(a_record())
        await until(lambda: told.known)
