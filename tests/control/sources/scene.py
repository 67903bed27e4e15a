"""A name server on real sockets that says, byte by byte, what a test wants it to say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.names import dns
from twisted.protocols.basic import Int16StringReceiver

from wmesh.model import Address

network: Any = reactor

Script = Callable[[dns.Message, bool], "dns.Message | bytes | None"]
"""Gets the question, and whether it came over TCP; what it returns is sent, and None is silence."""


class ScriptedServer:
    """Listens on UDP and TCP of one port of `host`. `asked` are the questions that came: (name, type, over TCP)."""

    def __init__(self, script: Script, host: str = "127.0.0.1") -> None:
        self.script = script
        self.asked: list[tuple[str, int, bool]] = []
        factory: Any = Factory.forProtocol(_Stream)
        factory.server = self
        factory.noisy = False
        # A free port of TCP may be taken of UDP.
        for _ in range(20):
            tcp = network.listenTCP(0, factory, interface=host)
            try:
                self._ports = [tcp, network.listenUDP(tcp.getHost().port, _Datagrams(self), interface=host)]
                break
            except OSError:
                tcp.stopListening()
        self.address = Address(host, tcp.getHost().port)

    def reply(self, data: bytes, over_tcp: bool) -> bytes | None:
        question = dns.Message()
        question.fromStr(data)
        query = question.queries[0]
        self.asked.append((query.name.name.decode(), query.type, over_tcp))
        said = self.script(question, over_tcp)
        if isinstance(said, dns.Message):
            said.maxSize = 65535 if over_tcp else 512
            return said.toStr()
        return said

    def stop(self) -> Deferred[Any]:
        return gatherResults([maybeDeferred(port.stopListening) for port in self._ports])


class _Datagrams(DatagramProtocol):
    noisy = False

    def __init__(self, server: ScriptedServer) -> None:
        self._server = server

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        said = self._server.reply(datagram, False)
        if said is not None:
            transport: Any = self.transport
            transport.write(said, addr)


class _Stream(Int16StringReceiver):
    factory: Any

    def stringReceived(self, data: bytes) -> None:
        said = self.factory.server.reply(data, True)
        if said is None:
            self.transport.loseConnection()
        else:
            self.sendString(said)


def answer(question: dns.Message, *records: dns.RRHeader, **flags: Any) -> dns.Message:
    """A good answer to this question; `flags` are fields of `dns.Message` that are to be otherwise."""
    message = dns.Message(question.id, answer=1, recDes=1, recAv=1)
    message.queries = list(question.queries)
    message.answers = list(records)
    for name, value in flags.items():
        setattr(message, name, value)
    return message


def a(name: str, host: str, ttl: int = 60) -> dns.RRHeader:
    return dns.RRHeader(name, dns.A, dns.IN, ttl, dns.Record_A(host, ttl))


def aaaa(name: str, host: str, ttl: int = 60) -> dns.RRHeader:
    return dns.RRHeader(name, dns.AAAA, dns.IN, ttl, dns.Record_AAAA(host, ttl))


def cname(name: str, target: str, ttl: int = 60) -> dns.RRHeader:
    return dns.RRHeader(name, dns.CNAME, dns.IN, ttl, dns.Record_CNAME(target, ttl))


def srv(name: str, target: str, port: int, priority: int = 0, weight: int = 0, ttl: int = 60) -> dns.RRHeader:
    return dns.RRHeader(name, dns.SRV, dns.IN, ttl, dns.Record_SRV(priority, weight, port, target, ttl))
