"""One question to the name servers: over UDP, over TCP where the answer is too long, and to the next one if need be.

Strategy: the servers are asked in their order, each for a moment, then all again with more patience. The first that
says yes or no ends it; one that cannot say (SERVFAIL, REFUSED, garbage, a referral, silence, a closed port) only makes
us ask the next. An answer with the TC bit is asked for again over TCP at the same server (RFC 7766). Every question
has a socket of its own, so that the kernel picks a random port for each, and lets only that server's datagrams in;
besides, id and question must be ours (RFC 5452). No EDNS: what does not fit into 512 bytes is what TCP is for.

Messages are Twisted's (`twisted.names.dns`). WHY not its `client.Resolver` as well: it passes on to the next server
only when one is silent and takes SERVFAIL for an answer; it may send the TCP repetition to another server, for ever
where that one truncates again; and a message that ends early passes for a whole one, so that instances would vanish.

Not here: what the records mean.
"""

from __future__ import annotations

import ipaddress
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, connectProtocol
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, connectionDone
from twisted.names import dns
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure

from wmesh.model import Address
from wmesh.policy.records import AAAA, CNAME, SRV, A, Absent, Failed, Record, Service, can_be_reached, plain

PATIENCE = (1.0, 2.0)
"""Seconds for each server, in the first round and in the second."""

TCP_PATIENCE = 3.0
UNREACHABLE = "does not listen (port unreachable)"
AT_ONCE = 32
"""So many questions are under way at a time; the others queue."""

TYPES = {A: dns.A, AAAA: dns.AAAA, SRV: dns.SRV}
_KINDS = {dns.A: A, dns.AAAA: AAAA, dns.SRV: SRV, dns.CNAME: CNAME}
_REFUSALS = {
    dns.EFORMAT: "does not understand the question (FORMERR)",
    dns.ESERVER: "could not find out (SERVFAIL)",
    dns.ENOTIMP: "does not do such questions (NOTIMP)",
    dns.EREFUSED: "refuses to answer (REFUSED)",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """The records of an answer without error: those of the answer itself, and those that were sent along."""

    answers: tuple[Record, ...]
    additional: tuple[Record, ...]


class Unusable(Exception):
    """A server said nothing that could be used; its text continues "the name server …"."""


class Questions:
    """Asks name servers. `servers` are IP addresses with ports, the first one first."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._room = DeferredSemaphore(AT_ONCE)

    def ask(self, servers: Sequence[Address], name: str, kind: str) -> Deferred[Reply | Absent | Failed]:
        """The answer for one name and kind of record (`wmesh.policy.records`). Never fails but by being cancelled."""
        asking: Deferred[Reply | Absent | Failed] = self._room.run(
            lambda: Deferred.fromCoroutine(self._ask(servers, name, kind))
        )
        return asking

    async def _ask(self, servers: Sequence[Address], name: str, kind: str) -> Reply | Absent | Failed:
        problems: dict[Address, str] = {}
        for patience in PATIENCE:
            for server in servers:
                try:
                    return await self._ask_one(server, name, kind, patience)
                except Unusable as unusable:
                    problems[server] = f"name server {server} {unusable}"
        return Failed(f"{name} {kind}: {', '.join(problems.values()) or 'there is no name server'}")

    async def _ask_one(self, server: Address, name: str, kind: str, patience: float) -> Reply | Absent:
        message = await self._by_udp(server, name, kind, patience)
        if message.trunc:
            message = await self._by_tcp(server, name, kind)
            if message.trunc:
                raise Unusable("cuts its answers even over TCP")
        if message.rCode == dns.ENAME:
            return Absent(f"{name} does not exist (NXDOMAIN)")
        if message.rCode != dns.OK:
            raise Unusable(_REFUSALS.get(message.rCode, f"answers with error {message.rCode}"))
        authority = {record.type for record in message.authority}
        if not message.answers and not message.auth and dns.NS in authority and dns.SOA not in authority:
            # RFC 2308 section 2.2: not "there is nothing", but "ask somebody else".
            raise Unusable("only knows whom else to ask; it must be one that resolves (recursive)")
        answers = read_records(message.answers)
        if message.answers and not answers:
            raise Unusable("answers with records of which none can be used")
        return Reply(answers, read_records(message.additional))

    async def _by_udp(self, server: Address, name: str, kind: str, patience: float) -> dns.Message:
        asking = _Datagrams(server, _Exchange(name, kind))
        try:
            port = self._reactor.listenUDP(0, asking, interface="::" if ":" in server.host else "")
        except CannotListenError as problem:
            raise Unusable(f"cannot be asked: {problem.socketError}") from problem
        try:
            return await asking.exchange.answer.addTimeout(patience, self._reactor)
        except defer.TimeoutError:
            raise Unusable(f"does not answer within {patience:g} s") from None
        finally:
            # None where the port is gone already.
            await (port.stopListening() or succeed(None))

    async def _by_tcp(self, server: Address, name: str, kind: str) -> dns.Message:
        exchange = _Exchange(name, kind)
        endpoint_of = TCP6ClientEndpoint if ":" in server.host else TCP4ClientEndpoint
        endpoint = endpoint_of(self._reactor, server.host, server.port, timeout=TCP_PATIENCE)
        asking = _Stream(exchange)
        try:
            connecting: Any = connectProtocol
            await connecting(endpoint, asking)
            return await exchange.answer.addTimeout(TCP_PATIENCE, self._reactor)
        except defer.TimeoutError:
            raise Unusable(f"does not answer over TCP within {TCP_PATIENCE:g} s") from None
        except (Unusable, CancelledError):
            raise
        except Exception as problem:
            raise Unusable(f"cannot be reached over TCP: {problem}") from problem
        finally:
            transport: Any = asking.transport
            if transport is not None:
                transport.abortConnection()


class _Exchange:
    """One question and its answer, whatever carries them. `answer` fires once."""

    def __init__(self, name: str, kind: str) -> None:
        self._id = secrets.randbelow(65536)
        self._name = plain(name)
        self._type = TYPES[kind]
        self.answer: Deferred[dns.Message] = Deferred()

    def question(self) -> bytes:
        message = dns.Message(self._id, recDes=1)
        message.addQuery(self._name.encode("ascii"), self._type)
        return message.toStr()

    def take(self, data: bytes) -> bool:
        """Whether this is the answer. What cannot be one is left alone: the real one may still come."""
        if len(data) < 12 or self.answer.called:
            return False
        number, flags, _, answers, _, additional = struct.unpack_from("!6H", data)
        if number != self._id or not flags & 0x8000:
            return False
        message = dns.Message()
        try:
            message.fromStr(data)
        except Exception as problem:  # noqa: BLE001 - the decoder's errors are as many as there are ways to be broken
            self.fail(f"sends an answer that cannot be read: {problem}")
            return True
        # Some servers send the question back only where there is no error.
        if message.queries or message.rCode == dns.OK:
            asked = [(plain(_text(query.name)), query.type) for query in message.queries]
            if asked != [(self._name, self._type)]:
                return False
        if len(message.answers) < answers and not message.trunc:
            self.fail("sends an answer that ends before its end")
            return True
        if len(message.additional) < additional:
            # Half of what was sent along would be half of somebody's addresses.
            message.additional = []
        self.answer.callback(message)
        return True

    def fail(self, why: str) -> None:
        if not self.answer.called:
            self.answer.errback(Unusable(why))


class _Datagrams(DatagramProtocol):
    """Connected to one server, so that nobody else's datagrams arrive, and a closed port is known at once."""

    noisy = False

    def __init__(self, server: Address, exchange: _Exchange) -> None:
        self._server = server
        self.exchange = exchange

    def startProtocol(self) -> None:
        transport: Any = self.transport
        try:
            transport.connect(self._server.host, self._server.port)
            transport.write(self.exchange.question())
        except OSError as problem:
            self.exchange.fail(f"cannot be reached: {problem.strerror or problem}")

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.exchange.take(datagram)

    def connectionRefused(self) -> None:
        self.exchange.fail(UNREACHABLE)

    def stopProtocol(self) -> None:
        # Where an error is all there is to read, the reactor does not call connectionRefused but closes the port.
        self.exchange.fail(UNREACHABLE)


class _Stream(Int16StringReceiver):
    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    def connectionMade(self) -> None:
        self.sendString(self._exchange.question())  # type: ignore[no-untyped-call]

    def stringReceived(self, data: bytes) -> None:
        if not self._exchange.take(data):
            self._exchange.fail("answers another question over TCP")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._exchange.fail("closes the TCP connection without an answer")


def read_records(headers: Sequence[dns.RRHeader]) -> tuple[Record, ...]:
    """The records that we can use, as plain values: of kinds that we know, class IN, and addresses that can be one."""
    found = []
    for header in headers:
        kind = _KINDS.get(header.type)
        if kind is None or header.cls != dns.IN:
            continue
        payload: Any = header.payload
        value: str | Service
        if kind in (A, AAAA):
            value = payload.dottedQuad() if kind == A else _ipv6(payload.address)
            if not can_be_reached(value):
                continue
        elif kind == CNAME:
            value = _text(payload.name)
        else:
            value = Service(payload.priority, payload.weight, payload.port, _text(payload.target) or ".")
        # RFC 2181 section 8: a TTL with the top bit set is 0.
        found.append(Record(_text(header.name), kind, 0.0 if header.ttl >= 2**31 else float(header.ttl), value))
    return tuple(found)


def _text(name: dns.Name) -> str:
    """What is no ASCII is written with escapes, and can then be no name that we would ask for."""
    return name.name.decode("ascii", "backslashreplace")


def _ipv6(packed: bytes) -> str:
    return str(ipaddress.IPv6Address(packed))
