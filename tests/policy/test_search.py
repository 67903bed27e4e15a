"""/etc/resolv.conf and /etc/hosts."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.model import Address
from wmesh.policy.search import ResolverConf, candidates, hosts_of, read_resolver_conf


class ResolverConfTests(SynchronousTestCase):
    def test_everything_that_counts(self) -> None:
        """Servers in their order, the last search list, ndots; comments, and lines nobody understands."""
        text = (
            "# comment\nnameserver 10.0.0.2\nnameserver 2001:db8::1 # the other\nnameserver\nnameserver dns.test\n"
            "domain old.test\nsearch a.test b.test.\noptions edns0 ndots:5 timeout:1\n\nrubbish\n"
        )
        servers = (Address("10.0.0.2", 53), Address("2001:db8::1", 53))
        self.assertEqual(read_resolver_conf(text), ResolverConf(servers, ("a.test", "b.test"), 5))

    def test_nothing(self) -> None:
        """Then it is the name server of this machine, as the manual of the file says."""
        self.assertEqual(read_resolver_conf("").servers, (Address("127.0.0.1", 53),))


class CandidateTests(SynchronousTestCase):
    conf = ResolverConf(search=("a.test", "b.test"), ndots=2)

    def test_few_dots(self) -> None:
        """The search list comes first."""
        self.assertEqual(candidates("web.x", self.conf), ("web.x.a.test", "web.x.b.test", "web.x"))

    def test_enough_dots(self) -> None:
        """The name itself comes first."""
        self.assertEqual(candidates("web.x.y", self.conf), ("web.x.y", "web.x.y.a.test", "web.x.y.b.test"))

    def test_full(self) -> None:
        """A dot at the end leaves nothing to search."""
        self.assertEqual(candidates("web.", self.conf), ("web",))

    def test_too_long(self) -> None:
        """What would be no name any more is not tried."""
        name = ".".join(["a" * 60] * 4)
        self.assertEqual(candidates(name, ResolverConf(search=("b" * 20,))), (name,))


class HostsTests(SynchronousTestCase):
    text = (
        "127.0.0.1 localhost\n::1 localhost ip6-localhost\n10.0.0.1  Web web.test # comment db\n"
        "10.0.0.2 web\n\nfe80::1\nnonsense web\n# 10.0.0.9 web\n2001:db8::1 six\n"
    )

    def test_names(self) -> None:
        """All lines of a name count, without case; comments do not."""
        self.assertEqual(hosts_of("WEB", self.text), ("10.0.0.1", "10.0.0.2"))
        self.assertEqual(hosts_of("web.test.", self.text), ("10.0.0.1",))
        self.assertEqual(hosts_of("db", self.text), ())

    def test_one_family_is_enough(self) -> None:
        """IPv4 where there is any."""
        self.assertEqual(hosts_of("localhost", self.text), ("127.0.0.1",))
        self.assertEqual(hosts_of("six", self.text), ("2001:db8::1",))

    def test_blocked_names(self) -> None:
        """Lists against advertising give names the address of nobody."""
        self.assertEqual(hosts_of("web", "0.0.0.0 web\n"), ())

    def test_localhost_is_always_there(self) -> None:
        """Without a file, and below it."""
        self.assertEqual(hosts_of("localhost", ""), ("127.0.0.1",))
        self.assertEqual(hosts_of("shop.localhost", ""), ("127.0.0.1",))
