"""Instances that fail in one way, and a mesh that goes on asking them: what scenarios of retries are made of.

Whole servers that break the rules of HTTP are in `faulty.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol

from tests.scenarios.clients import Client
from tests.scenarios.meshes import Mesh, static
from tests.scenarios.stage import Stage

network: Any = reactor

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ALWAYS_ASKED = {
    "circuit_breaker_enabled": "no",
    "outlier_detection": "no",
    "health_check_interval": "1h",
    "timeout_first_byte": "600ms",
}
"""Nobody is taken out, however often he fails: each request has to find its way by itself."""


class _Bad(Protocol):
    """Answers `/health` well, and everything else by `factory.act`."""

    factory: Bad

    def __init__(self) -> None:
        self.data = b""

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        head, end, _ = self.data.partition(b"\r\n\r\n")
        if not end:
            return
        self.data = b""
        if b" /health " in head:
            self.transport.write(OK)
            return
        self.factory.heads.append(head)
        self.factory.act(self.transport)


class Bad(Factory):
    """An instance with one way to fail. `heads` are the requests that it got."""

    protocol = _Bad
    noisy = False

    def __init__(self, act: Callable[[Any], Any]) -> None:
        self.act = act
        self.heads: list[bytes] = []
        self._port: Any = network.listenTCP(0, self, interface="127.0.0.1")
        self.address = f"127.0.0.1:{self._port.getHost().port}"

    def close(self) -> None:
        self._port.stopListening()


def says(data: bytes) -> Callable[[Any], Any]:
    return lambda transport: transport.write(data)


def closes(data: bytes = b"") -> Callable[[Any], Any]:
    def act(transport: Any) -> None:
        transport.write(data)
        transport.loseConnection()

    return act


def bad(stage: Stage, act: Callable[[Any], Any]) -> Bad:
    made = Bad(act)
    stage.at_end(made.close)
    return made


def mesh_of(*addresses: str, more: dict[str, dict[str, str]] | None = None, **service: str) -> Mesh:
    return static(addresses, changes={"service:x": {**ALWAYS_ASKED, **service}, **(more or {})})


async def stats(client: Client) -> Any:
    return (await client.get("/service-mesh/stats")).json["proxy"]["services"]["x"]
