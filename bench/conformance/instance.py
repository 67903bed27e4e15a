"""The instance behind a gateway: it writes down every byte that reaches it, and says what it is told to.

What came in is read twice: by h11 as it comes, which says when to answer, and by `strict` afterwards. Where the two do
not agree, neither will two programs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import h11

from bench.conformance.strict import Message, read_requests

SENTINEL = b"/sentinel"
"""What a client asks for behind a vector; its answer is its own name."""

MAX_HEAD = 1 << 20
REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(slots=True)
class Log:
    """What came on one connection, from the beginning of a message on. `read` is what h11 made of it."""

    raw: bytes = b""
    read: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)
    refused: str = ""

    def judged(self) -> tuple[tuple[Message, ...], bytes, str]:
        """(whole messages, what is left, what is wrong with them)."""
        stream = read_requests(self.raw)
        flaw = stream.flaw
        same = [(*message.start, message.body) for message in stream.messages]
        if self.refused:
            same = same[: len(self.read)]  # what h11 does not read at all, it does not read in another way
        if not flaw and self.read != same:
            flaw = f"read by h11 as {len(self.read)} requests, strictly as {len(same)}"
        return stream.messages, stream.rest, flaw


@dataclass(slots=True)
class Scene:
    """One vector's time: what came, and what is to be said (None: a plain 200), with the connection closed then."""

    said: bytes | None = None
    ends: bool = False
    logs: list[Log] = field(default_factory=list)


class Instance:
    """A factory of connections; `scene` is the present one."""

    def __init__(self) -> None:
        self.scene = Scene()

    def __call__(self) -> Connection:
        return Connection(self)


class Connection(asyncio.Protocol):
    """One connection from the gateway."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._log: Log | None = None
        self._reader = self._fresh()
        self._request: h11.Request | None = None
        self._body = b""

    @staticmethod
    def _fresh() -> h11.Connection:
        return h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._log is None:
            self._log = Log()
            self._instance.scene.logs.append(self._log)
        self._log.raw += data
        try:
            self._reader.receive_data(data)
            while self._step():
                pass
        except h11.RemoteProtocolError as problem:
            if self._log is not None:
                self._log.refused = str(problem)
            # With an answer, or a gateway would try again, and it would look like a second request.
            self._transport.write(REFUSAL)
            self._transport.close()

    def _step(self) -> bool:
        event = self._reader.next_event()
        if event is h11.NEED_DATA or event is h11.PAUSED:
            return False
        if isinstance(event, h11.Request):
            self._request, self._body = event, b""
        elif isinstance(event, h11.Data):
            self._body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return self._answer()
        return not isinstance(event, h11.ConnectionClosed)

    def _answer(self) -> bool:
        request, scene, log = self._request, self._instance.scene, self._log
        assert request is not None and log is not None
        log.read.append((request.method, request.target, self._body))
        ends = False
        if scene.said is not None and not request.target.endswith(SENTINEL):
            self._transport.write(scene.said)
            ends = scene.ends
        else:
            body = b"sentinel" if request.target.endswith(SENTINEL) else b"whole"
            shown = b"" if request.method == b"HEAD" else body
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), shown))
        rest, closed = self._reader.trailing_data
        asked = any(name == b"connection" and b"close" in value.lower() for name, value in request.headers)
        if ends or asked or request.http_version != b"1.1":
            self._transport.close()
            return False
        # Each request gets a fresh reader, whatever was said to the one before.
        self._reader = self._fresh()
        if not rest:
            self._log = None
            return False
        self._reader.receive_data(rest)
        return not closed
