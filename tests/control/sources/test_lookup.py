"""From a declared name to its instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from wmesh.control.sources.lookup import HOSTS_TTL, Lookup, Resolver
from wmesh.control.sources.question import Reply
from wmesh.model import Address, NamedInstances
from wmesh.policy.naming import Answer, Outcome
from wmesh.policy.records import AAAA, CNAME, SRV, A, Absent, Failed, Place, Record, Service

WEB = NamedInstances("web.test", 80, 3)
HTTP = NamedInstances("_http._tcp.test")
LATE = Failed("late")


class ScriptedQuestions:
    """Answers from a table; what is not in it does not exist. `asked` are the questions, `servers` those asked."""

    def __init__(self) -> None:
        self.table: dict[tuple[str, str], Reply | Absent | Failed] = {}
        self.asked: list[tuple[str, str]] = []
        self.servers: Sequence[Address] = ()

    def ask(self, servers: Sequence[Address], name: str, kind: str) -> Deferred[Any]:
        self.asked.append((name, kind))
        self.servers = servers
        return succeed(self.table.get((name, kind), Absent(f"{name} does not exist")))

    def say(self, name: str, kind: str, *values: str | Service, ttl: float = 60.0, additional: Any = ()) -> None:
        records = tuple(Record(name, kind, ttl, value) for value in values)
        self.table[name, kind] = Reply(records, tuple(additional))


class LookupCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.questions = ScriptedQuestions()
        self.start()

    def start(self, wanted: NamedInstances = WEB, files: Mapping[str, str] | None = None, servers: Any = ()) -> None:
        paths = {}
        for name in ("hosts", "resolv_conf"):
            paths[name] = self.mktemp()
            if files and name in files:
                with open(paths[name], "w") as file:
                    file.write(files[name])
        questions: Any = self.questions
        self.lookup = Lookup(Resolver(questions, servers, **paths), wanted)

    def look(self) -> Outcome:
        return self.successResultOf(Deferred.fromCoroutine(self.lookup()))

    def hosts(self) -> list[str]:
        found = self.look()
        assert isinstance(found, Answer), found
        return [place.address.host for place in found.places]


class AddressTests(LookupCase):
    def test_both_families(self) -> None:
        """At the port and with the weight of the entry; the shorter TTL counts."""
        self.questions.say("web.test", A, "10.0.0.1", ttl=30.0)
        self.questions.say("web.test", AAAA, "::1", ttl=20.0)
        self.assertEqual(self.look(), Answer((Place(Address("10.0.0.1", 80), 3), Place(Address("::1", 80), 3)), 20.0))

    def test_one_family_fails_for_a_while(self) -> None:
        """Its addresses stay as they were when it was last answered."""
        self.questions.say("web.test", A, "10.0.0.1")
        self.questions.say("web.test", AAAA, "::1")
        self.look()
        self.questions.table["web.test", AAAA] = LATE
        self.questions.say("web.test", A, "10.0.0.2")
        self.assertEqual(self.hosts(), ["10.0.0.2", "::1"])
        found = self.look()
        assert isinstance(found, Answer)
        self.assertEqual(found.problem, "late")
        self.questions.say("web.test", AAAA)
        self.assertEqual(self.hosts(), ["10.0.0.2"])

    def test_nothing_and_failure(self) -> None:
        self.assertIsInstance(self.look(), Absent)
        self.questions.table["web.test", AAAA] = LATE
        self.assertEqual(self.look(), LATE)

    def test_aliases_are_asked_for(self) -> None:
        """Where an alias came without its records; its TTL counts."""
        self.questions.say("web.test", CNAME, "b.test")
        self.questions.table["web.test", A] = Reply((Record("web.test", CNAME, 5.0, "b.test"),), ())
        self.questions.say("b.test", A, "10.0.0.1")
        found = self.look()
        assert isinstance(found, Answer)
        self.assertEqual(found.ttl, 5.0)
        self.assertIn(("b.test", A), self.questions.asked)

    def test_aliases_in_circles(self) -> None:
        """Also those that take several answers to go round."""
        for one, other in (("web.test", "b.test"), ("b.test", "web.test")):
            self.questions.table[one, A] = Reply((Record(one, CNAME, 5.0, other),), ())
        self.assertIsInstance(self.look(), Failed)
        self.assertLess(len(self.questions.asked), 20)


class MachineTests(LookupCase):
    def test_hosts_file_comes_first(self) -> None:
        """Nobody is asked for what it has; it is read again each time."""
        self.start(files={"hosts": "10.0.0.7 web.test\n"})
        self.assertEqual(self.look(), Answer((Place(Address("10.0.0.7", 80), 3),), HOSTS_TTL))
        self.assertEqual(self.questions.asked, [])

    def test_search_list(self) -> None:
        """The first name that exists is it; a failure is not passed over for another name further on."""
        self.start(NamedInstances("web", 80), {"resolv_conf": "nameserver 10.0.0.2\nsearch a.test b.test\n"})
        self.questions.say("web.b.test", A, "10.0.0.1")
        self.assertEqual(self.hosts(), ["10.0.0.1"])
        self.assertEqual(self.questions.servers, (Address("10.0.0.2", 53),))
        self.questions.table["web.a.test", A] = LATE
        self.questions.table["web.a.test", AAAA] = LATE
        self.assertEqual(self.look(), LATE)

    def test_own_servers(self) -> None:
        """Those of the configuration replace those of the machine, and its search list."""
        files = {"resolv_conf": "nameserver 10.0.0.2\nsearch a.test\n"}
        self.start(NamedInstances("web", 80), files, [Address("10.9.9.9", 5353)])
        self.questions.say("web.a.test", A, "10.0.0.1")
        self.assertIsInstance(self.look(), Absent)
        self.assertEqual(self.questions.servers, (Address("10.9.9.9", 5353),))
        self.assertEqual({name for name, _ in self.questions.asked}, {"web"})


class ServiceTests(LookupCase):
    def setUp(self) -> None:
        super().setUp()
        self.start(HTTP)

    def say(self, *services: Service, additional: Any = ()) -> None:
        self.questions.say(HTTP.name, SRV, *services, additional=additional)

    def test_targets_are_looked_up(self) -> None:
        """Only those of the best priority, each once; with ports and weights of the records, and the shortest TTL."""
        self.say(Service(1, 10, 80, "a.test"), Service(1, 20, 81, "a.test"), Service(2, 1, 80, "b.test"))
        self.questions.say("a.test", A, "10.0.0.1", ttl=9.0)
        self.questions.say("b.test", A, "10.0.0.2")
        found = self.look()
        self.assertEqual(found, Answer((Place(Address("10.0.0.1", 80), 10), Place(Address("10.0.0.1", 81), 20)), 9.0))
        self.assertEqual(self.questions.asked, [(HTTP.name, SRV), ("a.test", A), ("a.test", AAAA)])

    def test_addresses_that_came_along(self) -> None:
        """Nobody has to be asked for them."""
        self.say(Service(1, 0, 80, "A.test."), additional=[Record("a.test", A, 5.0, "10.0.0.1")])
        self.assertEqual(self.look(), Answer((Place(Address("10.0.0.1", 80), 1),), 5.0))
        self.assertEqual(self.questions.asked, [(HTTP.name, SRV)])

    def test_target_that_is_an_address(self) -> None:
        """Against the rules, and often done."""
        self.say(Service(1, 0, 80, "10.0.0.1"))
        self.assertEqual(self.hosts(), ["10.0.0.1"])

    def test_next_priority(self) -> None:
        """Where nobody of the best one has an address."""
        self.say(Service(1, 0, 80, "a.test"), Service(2, 0, 80, "b.test"))
        self.questions.say("b.test", A, "10.0.0.2")
        self.assertEqual(self.hosts(), ["10.0.0.2"])

    def test_a_failing_target_stays(self) -> None:
        """As it was last known: a failure is not a reason to change the group."""
        self.say(Service(1, 0, 80, "a.test"), Service(2, 0, 80, "b.test"))
        self.questions.say("a.test", A, "10.0.0.1")
        self.questions.say("b.test", A, "10.0.0.2")
        self.look()
        self.questions.table["a.test", A] = self.questions.table["a.test", AAAA] = LATE
        found = self.look()
        assert isinstance(found, Answer)
        self.assertEqual(([place.address.host for place in found.places], found.problem), (["10.0.0.1"], "late"))

    def test_all_targets_fail(self) -> None:
        """Nothing is known then, which is not the same as nothing being there."""
        self.say(Service(1, 0, 80, "a.test"))
        self.questions.table["a.test", A] = LATE
        self.assertEqual(self.look(), LATE)
        del self.questions.table["a.test", A]
        self.assertIsInstance(self.look(), Absent)

    def test_decidedly_no_service(self) -> None:
        self.say(Service(0, 0, 0, "."))
        found = self.look()
        assert isinstance(found, Absent)
        self.assertTrue(found.final)

    def test_no_service_at_all(self) -> None:
        found = self.look()
        assert isinstance(found, Absent)
        self.assertFalse(found.final)
