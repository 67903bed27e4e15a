"""Declared instances in the Directory: mixed, handed over, kept, shown."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from wmesh.balance.round_robin import RoundRobin
from wmesh.cluster.directory import Directory
from wmesh.cluster.member import Member
from wmesh.control.sources.declared import HANDOVER, Declared
from wmesh.events import Event, InstanceAdded, InstanceRemoved, InstanceUpdated
from wmesh.model import Address, CheckResult, CheckSpec, InstanceRecord, NamedInstances, ServiceSpec, StaticInstance
from wmesh.policy.naming import Answer, Outcome
from wmesh.policy.records import Absent, Failed, Place

A_TEST, B_TEST = NamedInstances("a.test", 80), NamedInstances("b.test", 80, 5)
ONE, TWO, THREE = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"


def answer(*hosts: str, ttl: float = 10.0, weight: int | None = None) -> Answer:
    return Answer(tuple(Place(Address(host, 80), weight) for host in hosts), ttl)


class DeclaredCase(SynchronousTestCase):
    """`asked` are the lookups under way, by the text of their source (and its service, if that is not the shop)."""

    def scene(self, *specs: ServiceSpec, hold: float = 60.0) -> None:
        self.clock = Clock()
        self.asked: dict[str, Deferred[Outcome]] = {}
        self.events: list[Event] = []
        self.lines: list[str] = []
        self.directory = Directory(specs, lambda spec: RoundRobin(spec, Random(1)), self.clock.seconds)
        resolver: Any = None
        self.declared = Declared(specs, self.directory, resolver, self.clock, self.clock.seconds, Random(1), hold)
        for service, sources in self.declared._sources.items():
            for source in sources:
                key = str(source.wanted) if service == "shop" else f"{service} {source.wanted}"
                source.lookup = lambda key=key: self.look_up(key)
        self.directory.subscribe(self.events.append)
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)
        self.addCleanup(self.declared.stop)
        self.first = self.declared.start(3.0)

    def observe(self, event: Any) -> None:
        if event.get("log_namespace", "").startswith("wmesh.control.sources"):
            self.lines.append(f"{event['log_level'].name}: {event['log_format'].format(**event)}")

    def look_up(self, source: str) -> Deferred[Outcome]:
        self.asked[source] = asked = Deferred()
        return asked

    def say(self, source: NamedInstances, outcome: Outcome) -> None:
        """Answer what is asked, or what will be within half a minute."""
        for _ in range(400):
            if str(source) in self.asked:
                break
            self.clock.advance(0.1)
        self.asked.pop(str(source)).callback(outcome)

    def member(self, key: str, service: str = "shop") -> Member:
        member = self.directory.member(service, key)
        assert member is not None, key
        return member

    def members(self, service: str = "shop") -> list[str]:
        return sorted(self.directory.clusters[service].members)

    def check(self, key: str, ok: bool = True) -> None:
        for _ in range(3):
            self.directory.observe(self.member(key), CheckResult(ok, "", 0.0))


def shop(*instances: StaticInstance | NamedInstances, name: str = "shop", **more: Any) -> ServiceSpec:
    return ServiceSpec(name, instances=instances, weight=2, tags=("t",), version="7", **more)


class SourceTests(DeclaredCase):
    def test_fixed(self) -> None:
        """They are there at once, with the weight of the entry or of the service."""
        self.scene(shop(StaticInstance(Address("10.0.0.1", 80), 9), StaticInstance(Address("::1", 80))))
        self.successResultOf(self.first)
        records = [self.member(key).record for key in (ONE, "[::1]:80")]
        self.assertEqual([(each.weight, each.origin) for each in records], [(9, "static"), (2, "static")])

    def test_named(self) -> None:
        """What the name has, under ids that say where; weights are those of the answer, or of the service."""
        self.scene(shop(A_TEST))
        self.say(A_TEST, Answer((Place(Address("10.0.0.1", 80), 7), Place(Address("10.0.0.2", 80))), 10.0))
        self.assertEqual(
            self.member(ONE).record,
            InstanceRecord(
                *("shop", ONE, Address("10.0.0.1", 80), "7", 7, ("t",)),
                origin="named/shop/dns:a.test:80",
                domain="a.test",
            ),
        )
        self.assertEqual(self.member(TWO).weight, 2)

    def test_whose_certificates(self) -> None:
        """Certificates are for the name that the operator wrote, without what only SRV records have in front."""
        for wanted, domain in (
            (NamedInstances("a.test.", 80), "a.test"),
            (NamedInstances("_https._tcp.shop.test"), "shop.test"),
            (NamedInstances("shop.service.test"), "shop.service.test"),
        ):
            self.scene(shop(wanted))
            self.say(wanted, answer("10.0.0.1"))
            self.assertEqual(self.member(ONE).record.host, domain)

    def test_members_that_stay_are_the_same(self) -> None:
        """An answer adds and removes; the others keep all that is known of them."""
        self.scene(shop(A_TEST))
        self.say(A_TEST, answer("10.0.0.1", "10.0.0.2"))
        self.check(ONE)
        one = self.member(ONE)
        self.say(A_TEST, answer("10.0.0.3", "10.0.0.1"))
        self.assertIs(self.member(ONE), one)
        self.assertEqual(self.members(), [ONE, THREE])

    def test_the_same_answer_changes_nothing(self) -> None:
        """And nobody hears of it."""
        self.scene(shop(A_TEST))
        self.say(A_TEST, answer("10.0.0.1", "10.0.0.2"))
        self.events.clear()
        self.say(A_TEST, answer("10.0.0.2", "10.0.0.1"))
        self.assertEqual(self.events, [])

    def test_sources_leave_each_other_alone(self) -> None:
        """The same name in two services, and two names in one."""
        self.scene(shop(A_TEST, B_TEST, StaticInstance(Address("10.0.0.9", 80))), shop(A_TEST, name="other"))
        self.asked.pop("other dns:a.test:80").callback(answer("10.0.0.1"))
        self.say(A_TEST, answer("10.0.0.3"))
        self.say(B_TEST, answer("10.0.0.2"))
        self.assertEqual(self.members("other"), [ONE])
        self.assertEqual(self.members(), [TWO, THREE, "10.0.0.9:80"])

    def test_asked_again_when_the_ttl_ends(self) -> None:
        """Not before nine tenths of it."""
        self.scene(shop(A_TEST))
        self.say(A_TEST, answer("10.0.0.1", ttl=100.0))
        self.clock.advance(89.0)
        self.assertEqual(self.asked, {})
        self.clock.advance(11.0)
        self.assertEqual(list(self.asked), ["dns:a.test:80"])

    def test_an_error_of_our_own(self) -> None:
        """It is told, and the name is looked up again."""
        self.scene(shop(A_TEST))
        self.asked.pop("dns:a.test:80").errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.say(A_TEST, answer("10.0.0.1"))
        self.assertEqual(self.members(), [ONE])


class StartTests(DeclaredCase):
    def test_waits_for_all(self) -> None:
        """For an answer of each, whatever it is."""
        self.scene(shop(A_TEST, B_TEST))
        self.say(A_TEST, answer("10.0.0.1"))
        self.assertNoResult(self.first)
        self.say(B_TEST, Failed("late"))
        self.successResultOf(self.first)

    def test_does_not_wait_for_ever(self) -> None:
        self.scene(shop(A_TEST))
        self.clock.advance(2.9)
        self.assertNoResult(self.first)
        self.clock.advance(0.2)
        self.successResultOf(self.first)
        self.say(A_TEST, answer("10.0.0.1"))
        self.assertEqual(self.members(), [ONE])

    def test_stopped_while_it_waits(self) -> None:
        """Nothing is left, and what comes too late changes nothing."""
        self.scene(shop(A_TEST, B_TEST))
        self.say(A_TEST, answer("10.0.0.1"))
        # Trial would see it if the end of a lookup that is given up were told as an error.
        self.asked["dns:b.test:80"].addErrback(lambda failure: defer.fail(defer.FirstError(failure, 0)))
        self.declared.stop()
        self.declared.stop()
        self.successResultOf(self.first)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.members(), [ONE])


class SharedTests(DeclaredCase):
    def test_handed_over(self) -> None:
        """An instance that two names have is the first's; when that lets go, it is the other's, and the same one."""
        self.scene(shop(A_TEST, B_TEST))
        self.say(B_TEST, answer("10.0.0.1", "10.0.0.2"))
        self.check(ONE)
        one = self.member(ONE)
        self.say(A_TEST, answer("10.0.0.1", "10.0.0.3"))
        self.assertEqual(one.record.origin, "named/shop/dns:a.test:80")
        self.say(A_TEST, answer("10.0.0.3"))
        self.assertEqual(one.record.origin, "named/shop/dns:b.test:80")
        self.assertIs(self.member(ONE), one)
        self.assertEqual(self.members(), [ONE, TWO, THREE])
        self.assertNotIn(InstanceRemoved, [type(event) for event in self.events])

    def test_fixed_ones_come_first(self) -> None:
        """A name that has the address as well changes nothing, with or without it."""
        self.scene(shop(A_TEST, StaticInstance(Address("10.0.0.1", 80))))
        one = self.member(ONE)
        for hosts in (("10.0.0.1", "10.0.0.2"), ("10.0.0.2",)):
            self.say(A_TEST, answer(*hosts))
            self.assertIs(self.member(ONE), one)
            self.assertEqual(one.record.origin, "static")

    def test_the_registry_has_its_own(self) -> None:
        """What is registered under the same id stays so, and comes back to the name when it is deregistered."""
        self.scene(shop(A_TEST))
        leased = InstanceRecord("shop", ONE, Address("10.0.0.1", 80), incarnation="x")
        self.directory.apply(InstanceAdded(leased))
        self.say(A_TEST, answer("10.0.0.1"))
        self.assertEqual(self.member(ONE).record, leased)
        self.directory.apply(InstanceRemoved("shop", ONE, "deregistered"))
        self.say(A_TEST, answer("10.0.0.1"))
        self.assertEqual(self.member(ONE).record.origin, "named/shop/dns:a.test:80")
        self.directory.apply(InstanceAdded(leased))
        self.directory.apply(InstanceRemoved("shop", ONE, "deregistered"))
        self.say(A_TEST, answer("10.0.0.1"))
        self.assertEqual(self.member(ONE).record.origin, "named/shop/dns:a.test:80")


class TroubleTests(DeclaredCase):
    def test_failure(self) -> None:
        """Nothing changes but what is shown; one warning, and one line at its end."""
        self.scene(shop(A_TEST))
        self.say(A_TEST, answer("10.0.0.1"))
        for reason in ("SERVFAIL", "late", "SERVFAIL"):
            self.say(A_TEST, Failed(reason))
            self.assertEqual((self.members(), self.member(ONE).suspect), ([ONE], ""))
        self.say(A_TEST, answer("10.0.0.1"))
        self.assertEqual(
            self.lines,
            [
                "warn: shop: dns:a.test:80: SERVFAIL; what it has stays: 1 instance",
                "info: shop: dns:a.test:80 is answered again: 1 instance",
            ],
        )

    def test_denied(self) -> None:
        """Its instances are suspects until it is believed, or taken back."""
        self.scene(shop(A_TEST))
        self.say(A_TEST, answer("10.0.0.1"))
        self.say(A_TEST, Absent("NXDOMAIN"))
        self.assertEqual(self.member(ONE).suspect, "NXDOMAIN; kept for now")
        self.say(A_TEST, answer("10.0.0.1"))
        self.assertEqual(self.member(ONE).suspect, "")
        while self.members():
            self.say(A_TEST, Absent("NXDOMAIN"))
        self.assertGreaterEqual(self.clock.seconds(), 60.0)
        self.assertEqual(self.lines[-1], "warn: shop: dns:a.test:80 is gone, and its 1 instance with it: NXDOMAIN")

    def test_shown(self) -> None:
        """Everything that a person asks first; and it is JSON."""
        self.scene(shop(A_TEST))
        (shown,) = self.declared.describe()
        self.assertEqual((shown["instances"], shown["age_seconds"], shown["ttl_seconds"]), (0, None, None))
        self.say(A_TEST, answer("10.0.0.1", ttl=10.0))
        self.clock.advance(10.0)
        self.asked.pop("dns:a.test:80").callback(Failed("late"))
        self.clock.advance(0.5)
        (shown,) = json.loads(json.dumps(self.declared.describe()))
        self.assertEqual(
            shown,
            {
                "service": "shop",
                "source": "dns:a.test:80",
                "instances": 1,
                "age_seconds": 10.5,
                "ttl_seconds": 10.0,
                "stale": True,
                "problem": "late",
            },
        )


class HandoverTests(DeclaredCase):
    def changed(self, **more: Any) -> None:
        """An answer that shares nothing with the one before, which had one good and one sick instance."""
        self.scene(shop(A_TEST, **more))
        self.say(A_TEST, answer("10.0.0.1", "10.0.0.2"))
        if not more:
            self.check(ONE)
            self.check(TWO, ok=False)
        self.say(A_TEST, answer("10.0.0.3"))

    def test_until_a_new_one_is_well(self) -> None:
        """Those who can serve stay so long, as suspects; then they go, but not while others are being told."""
        self.changed()
        self.assertEqual(self.members(), [ONE, THREE])
        self.assertIn("kept until a new instance", self.member(ONE).suspect)
        self.assertEqual(self.member(THREE).suspect, "")
        self.check(THREE)
        self.assertEqual(self.members(), [ONE, THREE])
        self.clock.advance(0.0)
        self.assertEqual(self.members(), [THREE])

    def test_not_for_ever(self) -> None:
        """Asking again changes nothing about it."""
        self.changed()
        began = self.clock.seconds()
        while self.clock.seconds() < began + 45.0:
            self.say(A_TEST, answer("10.0.0.3"))
            self.assertEqual(self.members(), [ONE, THREE])
        self.clock.advance(began + 59.9 - self.clock.seconds())
        self.assertEqual(self.members(), [ONE, THREE])
        self.clock.advance(0.2)
        self.assertEqual(self.members(), [THREE])

    def test_long_enough_for_a_check(self) -> None:
        """Also where denials are believed at once."""
        self.scene(shop(A_TEST), hold=0.0)
        self.say(A_TEST, answer("10.0.0.1"))
        self.check(ONE)
        self.say(A_TEST, answer("10.0.0.3", ttl=1000.0))
        self.clock.advance(HANDOVER - 0.1)
        self.assertEqual(self.members(), [ONE, THREE])
        self.clock.advance(0.2)
        self.assertEqual(self.members(), [THREE])

    def test_not_while_others_serve(self) -> None:
        """Fixed ones, for example."""
        self.scene(shop(A_TEST, StaticInstance(Address("10.0.0.9", 80))))
        self.check("10.0.0.9:80")
        self.say(A_TEST, answer("10.0.0.1"))
        self.check(ONE)
        self.say(A_TEST, answer("10.0.0.3"))
        self.assertEqual(self.members(), [THREE, "10.0.0.9:80"])

    def test_not_without_checks(self) -> None:
        """Then the new ones take requests at once."""
        self.changed(check=CheckSpec(enabled=False))
        self.assertEqual(self.members(), [THREE])

    def test_they_come_back(self) -> None:
        """Then they are no suspects any more, and were never away."""
        self.changed()
        one = self.member(ONE)
        self.say(A_TEST, answer("10.0.0.1"))
        self.assertIs(self.member(ONE), one)
        self.assertEqual((self.members(), one.suspect), ([ONE], ""))
        self.assertNotIn(InstanceUpdated, [type(event) for event in self.events])

    def test_no_service_any_more(self) -> None:
        """What is over on purpose is over at once."""
        self.changed()
        self.say(A_TEST, Absent("target .", final=True))
        self.assertEqual(self.members(), [])
