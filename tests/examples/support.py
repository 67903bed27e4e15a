"""What the tests of the example services stand on: a client without sockets, and a mesh that answers from a table."""

from __future__ import annotations

import json
from typing import Any

from mesh_client import Answer, MeshError
from rest import site
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.testing import StringTransport
from twisted.web.http_headers import Headers


class Exchange:
    """One request to a resource over a transport in memory, and whatever has come back by now."""

    def __init__(self, root: Any, method: str, path: str, body: bytes = b"", **headers: str) -> None:
        served = site(root)
        served.timeOut = None
        self.transport = StringTransport()
        self.channel = served.buildProtocol(None)
        self.channel.makeConnection(self.transport)
        fields = {"Host": "test", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if body and "Transfer-Encoding" not in fields:
            fields["Content-Length"] = str(len(body))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.channel.dataReceived(head.encode() + b"\r\n" + body)

    @property
    def answered(self) -> bool:
        return b"\r\n\r\n" in self.transport.value()

    @property
    def head(self) -> list[str]:
        return self.transport.value().partition(b"\r\n\r\n")[0].decode().split("\r\n")

    @property
    def status(self) -> int:
        return int(self.head[0].split()[1])

    @property
    def body(self) -> bytes:
        return self.transport.value().partition(b"\r\n\r\n")[2]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        found = dict(line.lower().split(": ", 1) for line in self.head[1:])
        return found.get(name.lower())


def post(root: Any, path: str, document: object) -> Exchange:
    return Exchange(root, "POST", path, json.dumps(document).encode(), Content_Type="application/json")


def get(root: Any, path: str, **headers: str) -> Exchange:
    return Exchange(root, "GET", path, **headers)


class TableMesh:
    """Answers like `mesh_client.Mesh`: a path has a document, a MeshError, or a Deferred of one."""

    def __init__(self, table: dict[str, Any] | None = None) -> None:
        self.table = table or {}
        self.asked: list[tuple[str, str | None]] = []

    def get(self, path: str, request_id: str | None = None) -> Deferred[Answer]:
        self.asked.append((path, request_id))
        found = self.table.get(path, MeshError(f"{path} answered 503: nobody there", 503))
        if isinstance(found, Deferred):
            return found
        if isinstance(found, MeshError):
            return fail(found)
        return succeed(Answer(found, Headers()))
