"""Guests: who registers over HTTP stays as long as it gives signs of life."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import FirstUntried, a_spec
from wmesh.cluster.directory import Directory
from wmesh.control.guests import Guests
from wmesh.control.heartbeat import Heartbeat
from wmesh.control.registry.memory import MemoryRegistry, MemoryStore
from wmesh.errors import ControlError, RegistryError
from wmesh.events import InstanceAdded
from wmesh.model import Address, InstanceRecord, LoadSample

PLACE = {"host": "10.0.0.7", "port": 3007}


class Moody(MemoryRegistry):
    """Fails to register while `away`."""

    away = False

    def register(self, record: InstanceRecord) -> Deferred[None]:
        return fail(RegistryError("no answer")) if self.away else super().register(record)


class GuestsTests(SynchronousTestCase):
    """A gateway's guests on a clock that the test turns; leases are 15 s, heartbeats 5 s."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.registry, self.directory, self.heart, self.guests = self.gateway()

    def gateway(self) -> tuple[Moody, Directory, Heartbeat, Guests]:
        registry = Moody(self.clock, lease=15.0, store=self.store)
        directory = Directory([a_spec(), a_spec("wmesh-admin")], lambda spec: FirstUntried(), self.clock.seconds)
        made: list[Guests] = []
        heart = Heartbeat(registry, 5.0, self.clock, random.Random(1), lambda: made[0].loads())
        guests = Guests(
            registry, heart, directory, self.clock, self.clock.seconds, ttl=15.0, reserved=("wmesh-admin",)
        )
        made.append(guests)
        registry.start(directory.apply)
        heart.start()
        self.addCleanup(heart.stop)
        self.addCleanup(guests.stop)
        return registry, directory, heart, guests

    def put(self, id: str = "p-1", service: str = "pricing", **document: Any) -> tuple[Mapping[str, Any], bool]:
        return self.successResultOf(
            Deferred.fromCoroutine(self.guests.register(service, id, {**PLACE, **document}))
        )

    def refused(self, id: str = "p-1", service: str = "pricing", **document: Any) -> ControlError:
        work = Deferred.fromCoroutine(self.guests.register(service, id, {**PLACE, **document}))
        error: ControlError = self.failureResultOf(work, ControlError).value
        return error

    def known(self) -> list[str]:
        return sorted(name for _, name in self.store.records)

    def wait(self, seconds: float) -> None:
        self.clock.pump([0.5] * round(seconds * 2))

    def test_stays_while_it_gives_signs_of_life(self) -> None:
        """Its ttl is its own: longer than a lease, the gateway renews for it; without a word it is out at its end."""
        self.put(ttl=40)
        self.wait(39)
        self.assertEqual(self.known(), ["p-1"])
        self.guests.beat("pricing", "p-1", {})
        self.wait(39)
        self.assertEqual(self.known(), ["p-1"])
        self.wait(1)
        self.assertEqual(self.known(), [])
        self.wait(60)
        self.assertEqual(self.known(), [])
        with self.assertRaises(ControlError) as caught:
            self.guests.beat("pricing", "p-1", {})
        self.assertEqual(caught.exception.status, 404)

    def test_short_ttl(self) -> None:
        """Shorter than a lease, it is out at the end of its ttl all the same."""
        self.put(ttl=2)
        self.wait(2)
        self.assertEqual(self.known(), [])

    def test_again_is_a_change_or_another_life(self) -> None:
        """From the same address the record changes in place; from another it is another incarnation."""
        first, new = self.put()
        self.assertEqual((new, first["registered"], first["declared"], first["ttl"]), (True, True, True, 15.0))
        second, new = self.put(weight=5)
        self.assertEqual((new, second["weight"], second["incarnation"]), (False, 5, first["incarnation"]))
        third, new = self.put(port=3008)
        self.assertEqual((new, third["port"]), (False, 3008))
        self.assertNotEqual(third["incarnation"], first["incarnation"])
        self.assertEqual(self.store.records["pricing", "p-1"].address, Address("10.0.0.7", 3008))

    def test_load(self) -> None:
        """What it says it uses goes with the gateway's next heartbeat, and is shown."""
        self.put()
        document = {"cpu": 12.5, "memory": 1000, "in_flight": 3, "metrics": {"queue": 7}}
        self.guests.beat("pricing", "p-1", document)
        self.wait(7)
        self.assertEqual(self.store.loads["pricing", "p-1"], LoadSample(12.5, 1000, 3, (("queue", 7.0),)))
        (shown,) = self.guests.registrations()["services"]["pricing"]
        expected = {"cpu_percent": 12.5, "memory_bytes": 1000, "in_flight": 3, "metrics": {"queue": 7.0}}
        self.assertEqual(shown["load"], expected)
        self.assertEqual((shown["ttl"], shown["ttl_left"]), (15.0, 8.0))
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"cpu": "much"}, "cpu: 'much'"),
            ({"disk": 1}, "'disk': unknown field.* metrics"),
            ({"in_flight": 1.5}, "in_flight: 1.5"),
            ({"metrics": [1]}, "metrics: a list of 1"),
            ({"metrics": {"a b": 1}}, "metrics: 'a b'"),
            ({"metrics": {"queue": "7"}}, "metrics.queue: '7'"),
            ({"metrics": {"queue": 10**400}}, "metrics.queue: a number without measure"),
            ({"metrics": dict.fromkeys(map(str, range(33)), 1)}, "metrics: an object of 33; .* at most 32"),
        ]
        for document, words in wrong:
            with self.assertRaisesRegex(ControlError, words) as caught:
                self.guests.beat("pricing", "p-1", document)
            self.assertEqual(caught.exception.status, 422)

    def test_lies_are_refused(self) -> None:
        """Each is 422 and names its field; nothing is registered."""
        deep: Any = []
        for _ in range(5000):
            deep = [deep]
        table: list[tuple[dict[str, Any], str]] = [
            ({"port": 99999}, "port: 99999"),
            ({"port": "3007"}, "port: '3007'"),
            ({"host": "0.0.0.0"}, "host: '0.0.0.0'"),
            ({"weight": 1.5}, "weight: 1.5"),
            ({"tags": "x"}, "tags: 'x'"),
            ({"metadata": {"a": "\n"}}, "metadata.a"),
            ({"metadata": {str(n): "x" * 1000 for n in range(60)}}, "at most 16384 bytes"),
            ({"port": deep}, "port: a list of 1"),
            ({"ttl": deep}, "ttl: a list of 1"),
            ({"\x1b" * 99: 1}, "unknown field"),
            ({"metadata": {"a": "\x1b[2J"}}, "metadata.a"),
            ({"ttl": 0}, "ttl: 0"),
            ({"ttl": True}, "ttl: True"),
            ({"ttl": float("nan")}, "ttl: nan"),
            ({"incarnation": "x"}, "'incarnation': unknown field"),
            ({"prot": 1}, "'prot': unknown field"),
            ({"id": "a b"}, "id: 'a b'"),
            ({"service": "\x1b[2J"}, "service:"),
        ]
        for document, words in table:
            error = self.refused(**document)
            self.assertEqual(error.status, 422, document)
            self.assertIn(words, str(error))
            self.assertTrue(str(error).isprintable() and len(str(error)) < 300)
        self.assertEqual((self.known(), self.guests.loads()), ([], {}))

    def test_what_is_the_gateways_own(self) -> None:
        """Neither the admin side nor what is launched or listed by this gateway can be replaced or taken out."""
        self.assertEqual(self.refused(service="wmesh-admin").status, 409)
        listed = InstanceRecord("pricing", "listed", Address("127.0.0.1", 3007), origin="static")
        self.directory.apply(InstanceAdded(listed))
        self.assertEqual((self.refused("listed").status, self.removal("pricing", "listed")), (409, 404))
        own = InstanceRecord("pricing", "pricing-1", Address("127.0.0.1", 3007))
        self.registry.register(own)
        self.heart.add(own)
        self.assertEqual(self.refused("pricing-1").status, 409)
        self.assertEqual(self.removal("pricing", "pricing-1"), 409)
        self.assertEqual(self.known(), ["pricing-1"])

    def removal(self, service: str, id: str) -> int:
        """The status of taking it out."""
        work = Deferred.fromCoroutine(self.guests.deregister(service, id))
        found: list[int] = []
        work.addCallbacks(lambda _: found.append(200), lambda failure: found.append(failure.value.status))
        return found[0]

    def test_taking_out(self) -> None:
        """At once, whoever registered it; once."""
        self.put()
        self.registry.register(InstanceRecord("other", "o-1", Address("10.0.0.9", 80)))
        self.assertEqual([record["id"] for record in self.guests.registrations()["services"]["other"]], ["o-1"])
        for key in (("pricing", "p-1"), ("other", "o-1")):
            self.assertEqual(self.removal(*key), 200)
            self.assertEqual(self.removal(*key), 404)
        self.assertEqual(self.known(), [])

    def test_the_registry_is_away(self) -> None:
        """It is taken on all the same, said so, and gets into the registry by the gateway's heartbeat."""
        self.registry.away = True
        answer, new = self.put()
        self.assertEqual((new, answer["registered"], answer["problem"]), (True, False, "no answer"))
        self.registry.away = False
        self.wait(7)
        self.assertEqual(self.known(), ["p-1"])

    def test_moved_to_another_gateway(self) -> None:
        """The gateway that it left lets go of it, and does not take it out at the end of the old ttl."""
        self.put(ttl=5)
        _, _, heart, self.guests = there = self.gateway()
        self.put(ttl=60)
        self.assertEqual(self.known(), ["p-1"])
        self.wait(30)
        self.assertEqual(self.known(), ["p-1"])
        self.assertTrue(heart.holds("pricing", "p-1"))
        self.assertFalse(self.heart.holds("pricing", "p-1"))
        self.assertIsNot(there[2], self.heart)

    def test_stop_leaves_them_registered(self) -> None:
        """A gateway that stops for an update does not take away what lives: another one may be there for it."""
        self.put()
        self.guests.stop()
        self.assertEqual(self.known(), ["p-1"])
        self.wait(15)
        self.assertEqual(self.known(), [])
