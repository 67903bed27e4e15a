"""A DNS server in the test's own process: `twisted.names`, on UDP and TCP of one port, with records that change."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet import defer, reactor
from twisted.names import dns, error, server

from tests.ports import free_port

network: Any = reactor


class _Factory(server.DNSServerFactory):
    """Cuts datagrams at 512 bytes, as the rules have it (RFC 1035 section 4.2.1); Twisted's own sends them whole."""

    noisy = False

    def sendReply(self, protocol: Any, message: dns.Message, address: Any) -> None:
        message.maxSize = 65535 if address is None else 512
        super().sendReply(protocol, message, address)


class NameServer:
    """Knows the names in `records` and no other. While `confused`, it answers SERVFAIL. `asked` counts questions."""

    def __init__(self, port: int = 0) -> None:
        self.records: dict[str, list[Any]] = {}
        self.confused = False
        self.asked: Counter[str] = Counter()
        self.port = port or free_port()
        self._ports: list[Any] = []
        self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        factory = _Factory(clients=[self])
        datagrams = dns.DNSDatagramProtocol(factory)
        datagrams.noisy = False
        self._ports = [
            network.listenUDP(self.port, datagrams, interface="127.0.0.1"),
            network.listenTCP(self.port, factory, interface="127.0.0.1"),
        ]

    def stop(self) -> defer.Deferred[Any]:
        ports, self._ports = self._ports, []
        return defer.gatherResults([defer.maybeDeferred(port.stopListening) for port in ports])

    def say(self, name: str, *records: Any) -> None:
        """From now on these are the records of `name`."""
        self.records[name] = list(records)

    def forget(self, name: str) -> None:
        del self.records[name]

    def query(self, query: dns.Query, timeout: Any = None) -> Any:
        """What the factory asks its resolvers (IResolver)."""
        name = query.name.name.decode()
        self.asked[name] += 1
        if self.confused:
            return defer.fail(RuntimeError("confused"))
        if name not in self.records:
            return defer.fail(error.DNSNameError())
        found = [
            dns.RRHeader(name, record.TYPE, dns.IN, record.ttl, record, auth=True)
            for record in self.records[name]
            if query.type in (record.TYPE, dns.ALL_RECORDS)
        ]
        return defer.succeed((found, [], []))


def a(host: str, ttl: int = 1) -> dns.Record_A:
    return dns.Record_A(host, ttl)


def aaaa(host: str, ttl: int = 1) -> dns.Record_AAAA:
    return dns.Record_AAAA(host, ttl)


def srv(target: str, port: int, priority: int = 0, weight: int = 0, ttl: int = 1) -> dns.Record_SRV:
    return dns.Record_SRV(priority, weight, port, target, ttl)
