"""What a name server's answer means."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.model import Address
from wmesh.policy.records import (
    AAAA,
    CNAME,
    SRV,
    A,
    Absent,
    Elsewhere,
    Failed,
    Found,
    Hosts,
    Place,
    Record,
    Service,
    best_group,
    can_be_reached,
    is_name,
    join_families,
    no_service,
    our_weight,
    read_answer,
    target_groups,
)


def a(owner: str, host: str, ttl: float = 60.0) -> Record:
    return Record(owner, A, ttl, host)


def alias(owner: str, target: str, ttl: float = 60.0) -> Record:
    return Record(owner, CNAME, ttl, target)


class AnswerTests(SynchronousTestCase):
    def test_records_of_the_name(self) -> None:
        """In order, without repetition, whatever the case or a dot at the end; with the shortest TTL."""
        records = [a("Web.Test", "10.0.0.2", 9.0), a("web.test", "10.0.0.1"), a("web.test", "10.0.0.2")]
        self.assertEqual(read_answer("web.test.", A, records), Found(("10.0.0.2", "10.0.0.1"), 9.0))

    def test_aliases_are_followed(self) -> None:
        """In whatever order they come; their TTL counts as well."""
        records = [a("c.test", "10.0.0.1", 50.0), alias("b.test", "c.test", 7.0), alias("a.test", "b.test", 60.0)]
        self.assertEqual(read_answer("a.test", A, records), Found(("10.0.0.1",), 7.0))

    def test_alias_without_its_records(self) -> None:
        """The name to which it leads has to be asked for."""
        self.assertEqual(read_answer("a.test", A, [alias("a.test", "b.test", 5.0)]), Elsewhere("b.test", 5.0))

    def test_aliases_in_circles(self) -> None:
        """They end, and prove nothing."""
        records = [alias("a.test", "b.test"), alias("b.test", "a.test")]
        self.assertIsInstance(read_answer("a.test", A, records), Failed)
        self.assertIsInstance(read_answer("a.test", A, [alias("a.test", "a.test")]), Failed)

    def test_aliases_without_end(self) -> None:
        """More than anybody needs, or to what is no name."""
        chain = [alias(f"n{number}.test", f"n{number + 1}.test") for number in range(40)]
        self.assertIsInstance(read_answer("n0.test", A, chain), Failed)
        self.assertIsInstance(read_answer("a.test", A, [alias("a.test", "x" * 64 + ".test")]), Failed)

    def test_nothing(self) -> None:
        """No record at all is a word: there is nothing."""
        self.assertEqual(read_answer("a.test", A, []), Absent("a.test has no A record"))

    def test_records_of_others(self) -> None:
        """Whoever answers for another name, or with another type, has not said that there is nothing."""
        self.assertIsInstance(read_answer("a.test", A, [a("b.test", "10.0.0.1")]), Failed)
        self.assertIsInstance(read_answer("a.test", A, [Record("a.test", AAAA, 60.0, "::1")]), Failed)

    def test_strangers_beside_the_right_ones(self) -> None:
        """They are passed over."""
        records = [a("b.test", "10.0.0.9"), a("a.test", "10.0.0.1"), Record("a.test", AAAA, 1.0, "::1")]
        self.assertEqual(read_answer("a.test", A, records), Found(("10.0.0.1",), 60.0))


class NameTests(SynchronousTestCase):
    def test_bounds(self) -> None:
        """63 characters in a label, 253 in a name, and nothing that cannot be printed or was escaped."""
        longest = ".".join(["a" * 63] * 3 + ["a" * 61])
        for name in ("a", "_http._tcp.web.test.", "a" * 63, longest):
            self.assertTrue(is_name(name), name)
        for name in ("", ".", "a..b", "a" * 64, f"{longest}a", "a b", "a\n", "\\xff", "é.test"):
            self.assertFalse(is_name(name), name)


class AddressTests(SynchronousTestCase):
    def test_where_somebody_can_be(self) -> None:
        """Loopback and private addresses can be anybody's; nobody, everybody and groups are not."""
        for host in ("127.0.0.1", "10.0.0.1", "::1", "2001:db8::1", "fe80::1"):
            self.assertTrue(can_be_reached(host), host)
        for host in ("0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"):
            self.assertFalse(can_be_reached(host), host)


class FamilyTests(SynchronousTestCase):
    four, six = Found(("10.0.0.1",), 30.0), Found(("::1",), 20.0)
    none = Absent("none")

    def test_both(self) -> None:
        """Addresses of both, with the shorter TTL."""
        self.assertEqual(
            join_families({A: self.four, AAAA: self.six}, {A: ("10.9.9.9",)}), Hosts(("10.0.0.1", "::1"), 20.0)
        )

    def test_one_has_none(self) -> None:
        """That is how most names are."""
        self.assertEqual(join_families({A: self.four, AAAA: self.none}, {AAAA: ("::9",)}), Hosts(("10.0.0.1",), 30.0))

    def test_one_failed(self) -> None:
        """Its addresses stay as they were, and it is said."""
        joined = join_families({A: self.four, AAAA: Failed("late")}, {A: ("10.9.9.9",), AAAA: ("::9",)})
        self.assertEqual(joined, Hosts(("10.0.0.1", "::9"), 30.0, "late"))

    def test_one_failed_and_one_has_none(self) -> None:
        """Nothing is known then."""
        self.assertEqual(join_families({A: self.none, AAAA: Failed("late")}, {AAAA: ("::9",)}), Failed("late"))

    def test_none(self) -> None:
        """Both say that there is nothing."""
        self.assertEqual(join_families({A: self.none, AAAA: Absent("nor here")}, {}), self.none)


class ServiceTests(SynchronousTestCase):
    hosts = {"a.test": ("10.0.0.1",), "b.test": ("10.0.0.2", "10.0.0.3"), "c.test": ()}

    def test_the_best_priority_that_has_anybody(self) -> None:
        """As a whole; the others count for nothing, whatever their weight."""
        services = [Service(20, 9, 80, "a.test"), Service(10, 5, 80, "B.test."), Service(5, 1, 80, "c.test")]
        self.assertEqual(
            best_group(services, self.hosts), (Place(Address("10.0.0.2", 80), 5), Place(Address("10.0.0.3", 80), 5))
        )

    def test_nobody(self) -> None:
        self.assertEqual(best_group([Service(1, 1, 80, "c.test"), Service(2, 1, 80, "d.test")], self.hosts), ())
        self.assertEqual(best_group([], {}), ())

    def test_impossible_ports(self) -> None:
        """Port 0 cannot be connected to."""
        self.assertEqual(best_group([Service(1, 1, 0, "a.test")], self.hosts), ())
        self.assertEqual(target_groups([Service(1, 1, 0, "a.test")]), ())

    def test_same_place_twice(self) -> None:
        """It is one instance, with the greater weight."""
        services = [Service(1, 3, 80, "a.test"), Service(1, 7, 80, "A.test")]
        self.assertEqual(best_group(services, self.hosts), (Place(Address("10.0.0.1", 80), 7),))

    def test_weights(self) -> None:
        """In proportion, and never 0: a member of weight 0 would be one that nobody can explain."""
        self.assertEqual([our_weight(each, 1000) for each in (0, 1, 10, 1000)], [1, 1, 10, 1000])
        self.assertEqual([our_weight(each, 65535) for each in (0, 1, 32768, 65535)], [1, 1, 500, 1000])

    def test_targets(self) -> None:
        """Grouped by priority, each once; what is no name is not asked for."""
        services = [
            Service(2, 0, 80, "b.test"),
            Service(1, 0, 80, "a.test."),
            Service(1, 0, 81, "A.test"),
            Service(3, 0, 80, "x" * 64),
            Service(3, 0, 80, "."),
        ]
        self.assertEqual(target_groups(services), (("a.test",), ("b.test",)))

    def test_decidedly_no_service(self) -> None:
        """A lone dot says so; beside a real target it is a mistake of somebody, and passed over."""
        dot, real = Service(0, 0, 0, "."), Service(0, 0, 80, "a.test")
        self.assertTrue(no_service([dot]))
        self.assertFalse(no_service([dot, real]))
        self.assertFalse(no_service([]))

    def test_kind(self) -> None:
        """SRV records are read as any others are."""
        service = Service(0, 0, 80, "a.test")
        self.assertEqual(
            read_answer("_http._tcp.x", SRV, [Record("_http._tcp.x", SRV, 3.0, service)]), Found((service,), 3.0)
        )
