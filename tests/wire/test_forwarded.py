"""Tests of wmesh.wire.forwarded."""

from __future__ import annotations

from ipaddress import ip_network

from tests.wire.heads import WireTestCase, read
from wmesh.errors import WireError
from wmesh.wire.fields import CLAIMS
from wmesh.wire.forwarded import Peers, asked_as, forwarded_lines, names_prefix

TRUSTED = tuple(ip_network(text) for text in ("10.0.0.0/8", "192.168.1.1/32", "2001:db8::/32", "::1/128"))
STRANGER = "203.0.113.9"
PROXY = "10.0.0.1"


def peers(scheme: bytes = b"http", forwarded: bool = False) -> Peers:
    return Peers(TRUSTED, scheme, forwarded)


def lines(
    peer: str, *fields: bytes, scheme: bytes = b"http", forwarded: bool = False, host: bytes = b"h:81"
) -> list[bytes]:
    """What an instance is told about the client of a request with these fields."""
    return forwarded_lines(peers(scheme, forwarded)(peer), read(*fields, host=host)).split(b"\r\n")[:-1]


class TrustTests(WireTestCase):
    def test_who_is_trusted(self) -> None:
        """Networks of both families, IPv4 addresses in IPv6 clothes, and nothing that is not an address."""
        who = peers()
        for address, expected in (
            ("10.0.0.1", True),
            ("10.255.255.255", True),
            ("11.0.0.1", False),
            ("192.168.1.1", True),
            ("192.168.1.2", False),
            ("::ffff:10.0.0.1", True),
            ("::ffff:11.0.0.1", False),
            ("::1", True),
            ("2001:db8:1::2", True),
            ("2001:db9::1", False),
            ("010.0.0.1", False),
            ("10.1", False),
            ("167772161", False),
            ("10.0.0.1:80", False),
            ("localhost", False),
            ("unix", False),
            ("", False),
        ):
            self.assertIs(who.trusts(address), expected, address)

    def test_nobody_is_trusted_by_default(self) -> None:
        """Not even this machine."""
        self.assertFalse(Peers((), b"http", False)("127.0.0.1").trusted)

    def test_unix_sockets_are_trusted(self) -> None:
        """Who may open the socket file is decided by its mode."""
        self.assertTrue(Peers((), b"http", False)("unix").trusted)

    def test_peers_are_remembered_within_bounds(self) -> None:
        """One object for an address while there is room; clients cannot fill the memory by coming from everywhere."""
        who = peers()
        self.assertIs(who(STRANGER), who(STRANGER))
        for number in range(2 * Peers.LIMIT + 10):
            who(f"100.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        self.assertLessEqual(len(who._peers), Peers.LIMIT)


class StrangerTests(WireTestCase):
    def test_only_what_we_saw(self) -> None:
        """Address, scheme and host as this gateway knows them."""
        self.assertEqual(
            lines(STRANGER, scheme=b"https"),
            [b"X-Forwarded-For: 203.0.113.9", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: h:81"],
        )

    def test_ipv4_clients_of_a_listener_for_both_families(self) -> None:
        """They are known by their own address, and are one peer whatever they were called first."""
        self.assertEqual(lines("::ffff:1.2.3.4"), lines("1.2.3.4"))
        self.assertEqual(lines("::ffff:1.2.3.4")[0], b"X-Forwarded-For: 1.2.3.4")
        who = peers()
        self.assertIs(who("::ffff:10.0.0.1"), who("::ffff:10.0.0.1"))
        self.assertTrue(who("::ffff:10.0.0.1").trusted)
        self.assertFalse(who("::ffff:11.0.0.1").trusted)

    def test_every_claim_is_dropped(self) -> None:
        """Whatever an untrusted client says of itself, an instance reads nothing of it."""
        plain = lines(STRANGER)
        for name in CLAIMS:
            for spelling in (name, name.title(), name.upper(), name.replace(b"-", b"_")):
                self.assertEqual(lines(STRANGER, spelling + b": evil"), plain, spelling)
                self.assertNotIn(b"evil", read(spelling + b": evil").lines, spelling)

    def test_forwarded_on_request(self) -> None:
        """RFC 7239 where the configuration asks for it: our own element, and still no claims."""
        for address, node in (
            (STRANGER, b'"203.0.113.9"'),
            ("2001:db9::1", b'"[2001:db9::1]"'),
            ("::ffff:1.2.3.4", b'"1.2.3.4"'),
        ):
            last = lines(address, b"Forwarded: for=evil", forwarded=True)[-1]
            self.assertEqual(last, b'Forwarded: for=%b;host="h:81";proto=http' % node)

    def test_a_host_cannot_break_out_of_its_quotes(self) -> None:
        """Every Host that is let in at all can stand in a quoted string as it is."""
        for byte in range(256):
            host = b"a" + bytes([byte]) + b"b"
            if byte in b'"\\' or not 0x20 < byte < 0x7F:
                self.assertRaises(WireError, read, host=host)
                continue
            try:
                last = lines(STRANGER, forwarded=True, host=host)[-1]
            except WireError:
                continue
            self.assertEqual(last, b'Forwarded: for="203.0.113.9";host="%b";proto=http' % host)

    def test_the_host_of_an_absolute_target(self) -> None:
        """The host that was asked for is that of the URL."""
        head = read(line=b"GET http://real.example/ HTTP/1.1", host=b"other.example")
        self.assertIn(b"X-Forwarded-Host: real.example\r\n", forwarded_lines(peers()(STRANGER), head))


class ProxyTests(WireTestCase):
    def test_claims_are_extended(self) -> None:
        """A trusted proxy's word on scheme and host stands; its own address joins the chain."""
        self.assertEqual(
            lines(
                PROXY,
                b"X-Forwarded-For: 203.0.113.9, 10.0.0.7",
                b"X-Forwarded-Proto: https",
                b"X-Forwarded-Host: shop.example",
            ),
            [
                b"X-Forwarded-For: 203.0.113.9, 10.0.0.7, 10.0.0.1",
                b"X-Forwarded-Proto: https",
                b"X-Forwarded-Host: shop.example",
            ],
        )

    def test_without_claims(self) -> None:
        """A trusted proxy that says nothing is a client like any other."""
        self.assertEqual(
            lines(PROXY),
            [b"X-Forwarded-For: 10.0.0.1", b"X-Forwarded-Proto: http", b"X-Forwarded-Host: h:81"],
        )
        self.assertEqual(lines(PROXY, b"X-Forwarded-For:", b"X-Forwarded-Proto: "), lines(PROXY))

    def test_repeated_fields(self) -> None:
        """Several X-Forwarded-For are one list, in order; of the others the last is the nearest proxy's."""
        found = lines(
            PROXY,
            b"x-forwarded-for: 1.1.1.1",
            b"X-Forwarded-Proto: http",
            b"X-FORWARDED-FOR: 2.2.2.2",
            b"X-Forwarded-Proto: https",
            b"X-Forwarded-Host: a",
            b"X-Forwarded-Host: b",
        )
        self.assertEqual(
            found,
            [
                b"X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.1",
                b"X-Forwarded-Proto: https",
                b"X-Forwarded-Host: b",
            ],
        )

    def test_other_claims_pass(self) -> None:
        """What we have nothing to add to goes on as it came; a deadline is told anew by who keeps it."""
        ours = {b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"}
        for name in sorted(CLAIMS - ours - {b"x-envoy-expected-rq-timeout-ms"}):
            found = lines(PROXY, name + b": theirs")
            self.assertEqual([found[-1].lower(), len(found)], [name + b": theirs", 4])

    def test_forwarded_is_extended(self) -> None:
        """RFC 7239: our element comes last in the list, also where we would not have begun one."""
        ours = b'for="10.0.0.1";host="h:81";proto=http'
        self.assertEqual(lines(PROXY, forwarded=True)[-1], b"Forwarded: " + ours)
        for wanted in (True, False):
            found = lines(PROXY, b"Forwarded: for=1.1.1.1;by=_x", b'forwarded: for="[2001:db8::1]"', forwarded=wanted)
            self.assertEqual(found[-1], b'Forwarded: for=1.1.1.1;by=_x, for="[2001:db8::1]", ' + ours)

    def test_unix_peers(self) -> None:
        """A Unix socket has no address: it is an obfuscated identifier in Forwarded, and a word in the older field."""
        found = lines("unix", b"X-Forwarded-For: 1.1.1.1", forwarded=True)
        self.assertEqual(found[0], b"X-Forwarded-For: 1.1.1.1, unix")
        self.assertEqual(found[-1], b'Forwarded: for="_unix";host="h:81";proto=http')


class ClientTests(WireTestCase):
    def client(self, peer: str, *chain: bytes) -> bytes:
        who = peers()
        return who.client(who(peer), read(*(b"X-Forwarded-For: " + value for value in chain)))

    def test_walking(self) -> None:
        """From the right, past every trusted proxy: the first address that nobody vouches for is the client."""
        for peer, chain, expected in (
            (STRANGER, (), b"203.0.113.9"),
            (STRANGER, (b"1.1.1.1",), b"203.0.113.9"),
            (PROXY, (), b"10.0.0.1"),
            (PROXY, (b"1.1.1.1",), b"1.1.1.1"),
            (PROXY, (b"9.9.9.9, 1.1.1.1",), b"1.1.1.1"),
            (PROXY, (b"9.9.9.9, 1.1.1.1, 10.0.0.2, 192.168.1.1",), b"1.1.1.1"),
            (PROXY, (b"9.9.9.9", b"1.1.1.1,10.0.0.2"), b"1.1.1.1"),
            (PROXY, (b"9.9.9.9", b"1.1.1.1", b"10.0.0.2"), b"1.1.1.1"),
            (PROXY, (b"10.0.0.3, 10.0.0.2",), b"10.0.0.3"),
            (PROXY, (b" \t1.1.1.1\t ",), b"1.1.1.1"),
            (PROXY, (b"2001:db9::1",), b"2001:db9::1"),
            (PROXY, (b"[2001:db9::1]",), b"2001:db9::1"),
            (PROXY, (b"9.9.9.9, 2001:db8::5",), b"9.9.9.9"),
            (PROXY, (b"9.9.9.9, ::ffff:10.0.0.4",), b"9.9.9.9"),
            ("unix", (b"1.1.1.1",), b"1.1.1.1"),
            ("unix", (), b"unix"),
            ("::ffff:10.0.0.1", (b"1.1.1.1",), b"1.1.1.1"),
        ):
            self.assertEqual(self.client(peer, *chain), expected, (peer, chain))

    def test_junk_ends_the_walk(self) -> None:
        """What is no address hides everything left of it: the last good one counts. Nothing in there can raise."""
        for junk in (
            b"unknown",
            b"_hidden",
            b"",
            b"1.1.1.1:80",
            b"[2001:db9::1]:443",
            b"1.1.1",
            b"01.1.1.1",
            b"1.1.1.1.1",
            b"256.1.1.1",
            b"0x7f.0.0.1",
            b"127.1",
            b'"1.1.1.1"',
            b"for=1.1.1.1",
            b"localhost",
            b"::1%eth0",
            b"::1%\xff",
            b"fe80::1%<script>",
            b"\xff\xfe",
            b"1\xd9\xa1.1.1.1",
            b"1.1.1.1;2.2.2.2",
            b"1.1.1.1 2.2.2.2",
        ):
            self.assertEqual(self.client(PROXY, b"9.9.9.9, " + junk), b"10.0.0.1", junk)
            self.assertEqual(self.client(PROXY, b"9.9.9.9, " + junk + b", 10.0.0.2"), b"10.0.0.2", junk)
            self.assertEqual(self.client(PROXY, junk + b", 8.8.8.8"), b"8.8.8.8", junk)


class UrlTests(WireTestCase):
    def asked(self, peer: str, *fields: bytes) -> tuple[bytes, bytes, bytes]:
        return asked_as(peers()(peer), read(*fields, host=b"shop"))

    def test_what_the_client_asked_for(self) -> None:
        """By the word of a trusted peer, or as we saw it; what only names the client is no part of it."""
        claims = (b"X-Forwarded-Host: a", b"X-Forwarded-Proto: HTTPS", b"X-Forwarded-For: 1.2.3.4")
        self.assertEqual(self.asked("11.0.0.1", *claims), (b"http", b"shop", b""))
        self.assertEqual(self.asked("10.0.0.1", *claims), (b"https", b"a", b""))
        self.assertEqual(self.asked("10.0.0.1"), (b"http", b"shop", b""))

    def test_what_else_links_are_made_of(self) -> None:
        """Prefixes, ports, and the newer field; in one piece."""
        self.assertEqual(self.asked("10.0.0.1", b"X-Forwarded-Prefix: /a b")[2], b"x-forwarded-prefix=/ab")
        self.assertEqual(
            self.asked("10.0.0.1", b"Forwarded: for=1.2.3.4;host=x;proto=https, for=y")[2], b"host=x;proto=https"
        )
        self.assertTrue(names_prefix([(b"x-forwarded-prefix", b"/a")]))
