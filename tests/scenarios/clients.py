"""The clients' side: a well-behaved HTTP client (treq), a bare socket, and a crowd that keeps asking."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool

from tests.scenarios.waiting import PATIENCE, pause, until, within

network: Any = reactor


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` have lower-case names; a field that came more than once is one list."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.status}: {self.body[:500].decode('utf-8', 'replace')}"


class Client:
    """Keeps its connections, and never repeats a request by itself: what fails is seen."""

    def __init__(self, base: str, *, context: Any = None) -> None:
        self._base = base.rstrip("/")
        self._pool = HTTPConnectionPool(network, persistent=True)
        self._pool.retryAutomatically = False
        self._pool.maxPersistentPerHost = 64
        extra = {"contextFactory": context} if context is not None else {}
        self._http = HTTPClient(Agent(network, pool=self._pool, **extra))

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, headers=headers)

    async def post(self, path: str, document: object = None, **headers: str) -> Answer:
        body = None
        if document is not None:
            body = json.dumps(document).encode()
            headers.setdefault("Content_Type", "application/json")
        return await self.ask("POST", path, body, headers=headers)

    async def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """In the names of headers, underscores stand for hyphens."""
        fields = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        return await within(
            f"{method} {path} is answered", Deferred.fromCoroutine(self._ask(method, path, body, fields))
        )

    async def _ask(self, method: str, path: str, body: bytes | None, fields: Mapping[str, str]) -> Answer:
        response = await self._http.request(method, self._base + path, headers=dict(fields), data=body)
        content = await response.content()
        found = {
            name.decode().lower(): b", ".join(values).decode("latin-1")
            for name, values in response.headers.getAllRawHeaders()
        }
        return Answer(response.code, found, content)

    async def close(self) -> None:
        await self._pool.closeCachedConnections()


class Raw(Protocol):
    """A bare connection. `received` is what came and was not taken yet; `total` counts all that ever came."""

    def __init__(self) -> None:
        self.received = b""
        self.total = 0
        self.lost: str | None = None
        self.counting = False

    @classmethod
    async def connect(cls, where: int | Any) -> Raw:
        """To a port of this machine, or through a client endpoint."""
        endpoint = TCP4ClientEndpoint(network, "127.0.0.1", where) if isinstance(where, int) else where
        return await within("a connection is made", connectProtocol(endpoint, cls()))

    def dataReceived(self, data: bytes) -> None:
        self.total += len(data)
        if not self.counting:
            self.received += data

    def connectionLost(self, reason: Failure) -> None:
        self.lost = reason.type.__name__

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abortConnection()

    async def head(self, seconds: float = PATIENCE) -> tuple[int, dict[str, str]]:
        """Status and header fields of the next answer; its body is left in `received`."""

        def look() -> bool:
            return b"\r\n\r\n" in self.received or self.lost is not None

        await until("the head of an answer comes", look, seconds)
        head, end, rest = self.received.partition(b"\r\n\r\n")
        assert end, f"the connection ended ({self.lost}) after {self.received!r}"
        self.received = rest
        status, *fields = head.decode("latin-1").split("\r\n")
        pairs = (field.split(": ", 1) for field in fields)
        return int(status.split()[1]), {name.lower(): value for name, value in pairs}

    async def answer(self, seconds: float = PATIENCE) -> Answer:
        """The next answer, which must have a Content-Length."""
        status, fields = await self.head(seconds)
        size = int(fields["content-length"])
        await until("the body of an answer comes", lambda: len(self.received) >= size or self.lost, seconds)
        body, self.received = self.received[:size], self.received[size:]
        assert len(body) == size, f"the connection ended ({self.lost}) after {len(body)} of {size} bytes"
        return Answer(status, fields, body)

    async def closed(self, seconds: float = PATIENCE) -> str:
        """How the connection ended: ConnectionDone, ConnectionLost, …"""
        await until("the connection is closed", lambda: self.lost is not None, seconds)
        assert self.lost is not None
        return self.lost


class Load:
    """So many clients, each asking again as soon as it has its answer and a short rest.

    `failures` are the answers that were none (and every status but 200); `served` counts who answered.
    """

    REST = 0.004

    def __init__(self, client: Client, path: str, workers: int = 4) -> None:
        self.failures: list[str] = []
        self.served: Counter[str] = Counter()
        self._recent: Counter[str] = Counter()
        self._client = client
        self._path = path
        self._running = True
        self._workers = [Deferred.fromCoroutine(self._work()) for _ in range(workers)]

    async def _work(self) -> None:
        while self._running:
            recent = self._recent
            try:
                answer = await self._client.get(self._path)
            except Exception as problem:  # noqa: BLE001 - whatever it is, it is what this is here to count
                self.failures.append(f"{type(problem).__name__}: {problem}")
            else:
                if answer.status == 200:
                    name = answer.headers.get("x-served-by", "?")
                    self.served[name] += 1
                    recent[name] += 1
                else:
                    self.failures.append(str(answer))
            await pause(self.REST)

    async def more(self, count: int, seconds: float = PATIENCE) -> Counter[str]:
        """Wait for so many answers to questions that are asked from now on; who gave them."""
        return await self.until(f"{count} more answers come", lambda served: served.total() >= count, seconds)

    async def until(self, what: str, seen: Callable[[Counter[str]], object], seconds: float = PATIENCE) -> Counter[str]:
        """Wait until the answers to questions that are asked from now on satisfy `seen`."""
        # A worker counts into the counter that was there when it asked.
        recent = self._recent = Counter()
        await until(what, lambda: seen(recent), seconds)
        return recent

    async def stop(self) -> None:
        self._running = False
        await within("the load ends", gatherResults(self._workers))
