"""Who the client is: X-Forwarded-* and Forwarded (RFC 7239), written right and believed only from trusted proxies.

The peer of a connection is a fact; everything else is a claim. Claims of an untrusted peer are dropped, so what an
instance reads was either seen by us or vouched for. Claims of a trusted peer are extended: its address is appended to
X-Forwarded-For, and its word on scheme and host is kept. The client's own address is found by walking X-Forwarded-For
from the right, past every trusted proxy (as Caddy's trusted_proxies_strict and RFC 7239 section 5.2 advise).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from wmesh.model import Network
from wmesh.wire.fields import Special
from wmesh.wire.request import RequestHead

_EXTENDED = frozenset(
    (b"forwarded", b"x-envoy-expected-rq-timeout-ms", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto")
)
"""Claims that we have a say on, too; the others of a trusted peer pass on as they came."""


class Peer:
    """The other end of one client connection. One object serves all connections from an address on a listener.

    `lines` are the field lines for an untrusted peer up to the place where the Host value goes.
    """

    __slots__ = ("address", "forwarded", "lines", "peers", "scheme", "trusted")

    def __init__(self, address: str, scheme: bytes, trusted: bool, forwarded: bool, peers: Peers) -> None:
        self.peers = peers
        self.address = address.encode("ascii", "replace")
        self.scheme = scheme
        self.trusted = trusted
        self.forwarded = forwarded
        self.lines = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: " % (self.address, scheme)


class Peers:
    """address -> Peer for one listener; remembers a bounded number, because clients choose their addresses."""

    LIMIT = 4096

    def __init__(self, trusted: Sequence[Network], scheme: bytes, forwarded: bool) -> None:
        self._trusted = tuple(trusted)
        self._scheme = scheme
        self._forwarded = forwarded
        self._peers: dict[str, Peer] = {}

    def __call__(self, address: str) -> Peer:
        """`address` is an IP address, or "unix" for a client on a Unix socket, which counts as trusted."""
        peer = self._peers.get(address)
        if peer is None:
            known = address
            if address.startswith("::ffff:") and "." in address:
                address = address[7:]  # an IPv4 client on a listener for both: instances know it by its own address
            trusted = address == "unix" or self.trusts(address)
            peer = Peer(address, self._scheme, trusted, self._forwarded, self)
            if len(self._peers) >= self.LIMIT:
                self._peers.clear()
            self._peers[known] = peer
        return peer

    def trusts(self, address: str) -> bool:
        """Is this address one of the trusted proxies? What is no address is not."""
        if not self._trusted:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._trusted)

    def client(self, peer: Peer, head: RequestHead) -> bytes:
        """The client's address as far as it can be known: the last untrusted one on the way."""
        if not peer.trusted or head.claims is None:
            return peer.address
        chain = _values(head, b"x-forwarded-for")
        hops = [hop.strip() for value in chain for hop in value.split(b",")]
        client = peer.address
        for hop in reversed(hops):
            address = hop.decode("ascii", "replace").strip("[]")
            if not _is_address(address):
                break
            client = address.encode("ascii")
            if not self.trusts(address):
                break
        return client


def client_scheme(peer: Peer, head: RequestHead) -> bytes:
    """b"http" or b"https": how the client came, by the word of a trusted peer or as we saw it."""
    return (_values(head, b"x-forwarded-proto") or [peer.scheme])[-1] if peer.trusted else peer.scheme


# What applications make URLs of, beside the two that are told apart below.
_OF_THE_URL = tuple(b"x-forwarded-" + what for what in (b"port", b"prefix", b"scheme", b"ssl", b"uri"))
_FORWARDED_URL = re.compile(rb'(?i)(?:host|proto)="?[^;,"]*')


def asked_as(peer: Peer, head: RequestHead) -> tuple[bytes, bytes, bytes]:
    """(scheme, host, more): what an instance is told of the URL that the client asked for. `more` is what a trusted
    peer says of it beside the two, in one piece without white space; mostly empty.
    """
    if not peer.trusted or head.claims is None:
        return peer.scheme, head.host, b""
    told = [b"%b=%b" % claim for claim in head.claims if claim[0] in _OF_THE_URL]
    for value in _values(head, b"forwarded"):
        told += _FORWARDED_URL.findall(value)
    host = (_values(head, b"x-forwarded-host") or [head.host])[-1]
    more = b";".join(b"".join(piece.split()) for piece in told)
    return client_scheme(peer, head).lower(), host.replace(b" ", b""), more


def forwarded_lines(peer: Peer, head: RequestHead) -> bytes:
    """The X-Forwarded-* field lines for an instance, each with its CRLF."""
    if not peer.trusted and not peer.forwarded:
        return b"%b%b\r\n" % (peer.lines, head.host)
    return _claimed_lines(peer, head)


def _claimed_lines(peer: Peer, head: RequestHead) -> bytes:
    claims = peer.trusted
    chain = b", ".join([*_values(head, b"x-forwarded-for"), peer.address]) if claims else peer.address
    scheme = client_scheme(peer, head)
    host = (_values(head, b"x-forwarded-host") or [head.host])[-1] if claims else head.host
    lines = [b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n" % (chain, scheme, host)]
    earlier = _values(head, b"forwarded") if claims else []
    if peer.forwarded or earlier:
        element = b'for="%b";host="%b";proto=%b' % (_node(peer.address), head.host, peer.scheme)
        lines.append(b"Forwarded: %b\r\n" % b", ".join([*earlier, element]))
    if claims:
        for name, value in head.claims or ():
            if value and name not in _EXTENDED:
                lines.append(b"%b: %b\r\n" % (name.title(), value))
    return b"".join(lines)


def _values(head: RequestHead, name: bytes) -> list[bytes]:
    return [value for field, value in head.claims or () if field == name and value]


def _node(address: bytes) -> bytes:
    # RFC 7239 section 6: IPv6 addresses stand in brackets, and what is no address is an obfuscated identifier.
    if b":" in address:
        return b"[%b]" % address
    return b"_unix" if address == b"unix" else address


def _is_address(text: str) -> bool:
    if "%" in text:
        return False  # a zone means nothing on another machine, and may be any text
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def names_prefix(claims: list[Special]) -> bool:
    """Does the proxy before us strip a prefix of its own? Then the outer one is what links are made from."""
    return any(name == b"x-forwarded-prefix" for name, _ in claims)
