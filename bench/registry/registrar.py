"""A program that joins the mesh as Twisted programs do: `wmesh.api.register`, and later `deregister`, when it is told.

Its parent speaks to it by lines over `CONTROL`, a port where the parent listens: `register SERVICE HOST PORT LEASE
HEARTBEAT` and `deregister`. Each is answered by a line with two times of the machine's monotonic clock, which its
parent reads from, too: when the call was made, and when it was done.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineOnlyReceiver

from wmesh import api
from wmesh.model import LoadSample

reactor: Any = _reactor


class Orders(LineOnlyReceiver):
    """What the parent wants, line by line, one after the other."""

    delimiter = b"\n"

    def __init__(self, url: str, namespace: str) -> None:
        self._url = url
        self._namespace = namespace
        self._registration: api.Registration | None = None

    def lineReceived(self, line: bytes) -> None:
        Deferred.fromCoroutine(self._obey(line.decode().split())).addErrback(self._failed)

    def connectionLost(self, reason: Any = None) -> None:
        if reactor.running:
            reactor.stop()

    async def _obey(self, words: list[str]) -> None:
        called = time.monotonic()
        if words[0] == "register":
            _, service, host, port, lease, heartbeat = words
            self._registration = await api.register(
                reactor,
                self._url,
                service,
                int(port),
                host=host,
                namespace=self._namespace,
                lease=float(lease),
                heartbeat=float(heartbeat),
                load=LoadSample,
            )
        elif self._registration is not None:
            await self._registration.deregister()
        self._say(f"{called!r} {time.monotonic()!r}")

    def _failed(self, failure: Any) -> None:
        self._say(f"failed {failure.getErrorMessage()}")

    def _say(self, line: str) -> None:
        assert self.transport is not None
        self.transport.write(line.encode() + b"\n")


def main(url: str, namespace: str, control: str) -> None:
    factory: Any = Factory.forProtocol(lambda: Orders(url, namespace))
    TCP4ClientEndpoint(reactor, "127.0.0.1", int(control)).connect(factory)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
