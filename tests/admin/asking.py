"""A client of the admin site in memory: real requests and answers as bytes, no sockets, any peer address."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from wmesh.admin.operate import LOOPBACK
from wmesh.admin.site import make_site
from wmesh.errors import ControlError
from wmesh.interfaces import Unset
from wmesh.model import Network

LOCAL = IPv4Address("TCP", "127.0.0.1", 50000)
REMOTE = IPv4Address("TCP", "203.0.113.9", 50000)


class KnownControls:
    """Controls with one service, `pricing`; what it answers can be changed, and it remembers what was asked."""

    def __init__(self) -> None:
        self.serving = True
        self.notes: list[object] = ["café"]
        self.broken: Exception | None = None
        self.scaled: list[tuple[str, int]] = []
        self.answer: Deferred[Mapping[str, Any]] = succeed({"service": "pricing", "before": 1, "target": 2})
        self.written = True
        self.by = ""
        self.directed: list[tuple[str, str, str | None, object]] = []
        self.purged: list[tuple[str, ...]] = []
        self.asked: list[tuple[Any, ...]] = []

    def health(self) -> Mapping[str, Any]:
        status = "degraded" if self.serving else "draining"
        return {"status": status, "serving": self.serving, "services": {"pricing": "unhealthy"}}

    def status(self) -> Mapping[str, Any]:
        return {"name": "grocery", "notes": self.notes}

    def stats(self) -> Mapping[str, Any]:
        if self.broken is not None:
            raise self.broken
        return {"services": self.services()}

    def services(self) -> Mapping[str, Mapping[str, Any]]:
        return {"pricing": self.service("pricing")}

    def service(self, name: str) -> Mapping[str, Any]:
        if name != "pricing":
            raise ControlError(f"there is no service {name!r}; there are: pricing", 404)
        return {"name": name, "instances": []}

    def service_health(self, name: str) -> Mapping[str, Any]:
        return {"name": self.service(name)["name"], "status": "unhealthy"}

    async def direct(
        self, service: str, id: str, state: str | None, weight: int | Unset | None, by: str
    ) -> Mapping[str, Any]:
        self.service(service)
        self.directed.append((service, id, state, weight))
        self.by = by
        return {"id": id, "admin": state, "written": self.written}

    def purge(self, service: str, url: str, prefix: str, tag: str) -> Mapping[str, Any]:
        self.service(service)
        self.purged.append((service, url, prefix, tag))
        return {"service": service, "purged": 3}

    def explain(
        self, service: str, method: str, path: str, host: str, client: str, fields: Sequence[tuple[str, str]]
    ) -> Mapping[str, Any]:
        self.asked.append((service, method, path, host, client, list(fields)))
        return {"pick": "a"}

    def decision(self, request_id: str) -> Mapping[str, Any]:
        if request_id != "r1":
            raise ControlError("nothing is remembered", 404)
        return {"request_id": request_id}

    def decisions(self, count: int) -> Sequence[Mapping[str, Any]]:
        return [{"request_id": f"r{number}"} for number in range(min(count, 3))]

    def scale(self, service: str, instances: int) -> Awaitable[Mapping[str, Any]]:
        self.service(service)
        self.scaled.append((service, instances))
        return self.answer


@dataclass
class Answer:
    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One connection to the site; `read()` gives the answers that have come since the last time."""

    def __init__(self, site: Any, peer: IAddress) -> None:
        self.transport = StringTransport(peerAddress=peer)
        self.protocol = site.buildProtocol(peer)
        self.protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def read(self, *, head: bool = False) -> Answer | None:
        data = self.transport.value()
        self.transport.clear()
        if not data:
            return None
        top, _, body = data.partition(b"\r\n\r\n")
        first, *lines = top.decode("latin-1").split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        assert len(body) == (0 if head else int(fields["content-length"])), data
        return Answer(int(first.split(" ")[1]), fields, body)


class AdminTestCase(SynchronousTestCase):
    operate_from: Sequence[Network] = LOOPBACK

    def setUp(self) -> None:
        self.clock = Clock()
        self.controls = KnownControls()
        self.site = make_site(self.controls, operate_from=self.operate_from, reactor=self.clock)

    def connect(self, peer: IAddress = LOCAL) -> Connection:
        return Connection(self.site, peer)

    def ask(
        self,
        method: str,
        path: str,
        fields: Mapping[str, str] | None = None,
        body: bytes = b"",
        peer: IAddress = LOCAL,
    ) -> Answer:
        """The answer to one request."""
        connection = self.connect(peer)
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost:8001"]
        lines += [f"{name}: {value}" for name, value in (fields or {}).items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        connection.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        answer = connection.read(head=method == "HEAD")
        assert answer is not None, "there was no answer"
        return answer
