"""Clients who ask through the gateway: a keep-alive connection each, no threads, no more than the bench needs."""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """`asked` and `came` are seconds of the monotonic clock. `instance` is who answered, "" for the gateway itself."""

    status: int
    instance: str
    asked: float
    came: float


class Client:
    """Asks for `path` at `port` of this machine. `wrong` of those `asked` for were not answered 200."""

    def __init__(self, port: int, path: str) -> None:
        self._request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = b""
        self._sent = 0.0
        self.path = path
        self.asked = 0
        self.wrong = 0
        self.busy = False

    def fileno(self) -> int:
        return self._sock.fileno()

    def ask(self) -> Answer:
        """Send a request, and wait for the answer."""
        self.send()
        while (answer := self.read()) is None:
            pass
        return answer

    def send(self) -> None:
        self.busy = True
        self._sent = time.monotonic()
        self._sock.sendall(self._request)

    def read(self) -> Answer | None:
        """What there is to read; the answer once that makes it whole."""
        data = self._sock.recv(65536)
        if not data:
            raise ConnectionError("the gateway hung up")
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if not end:
            return None
        status, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if len(body) < int(fields["content-length"]):
            return None
        self.busy = False
        self._data = b""
        code = int(status.split()[1])
        self.asked += 1
        self.wrong += code != 200
        return Answer(code, fields.get("x-instance", ""), self._sent, time.monotonic())

    def close(self) -> None:
        self._sock.close()


def light_load(clients: Sequence[Client], every: float, over: Callable[[], bool]) -> list[float]:
    """Have one after the other ask, `every` so many seconds, until it is `over`. Milliseconds of each request.

    They do not wait for each other, as people do not. A request counts from the moment at which it should have gone
    out: whose last one is not answered yet is late with the next.
    """
    latencies: list[float] = []
    due, turn, waiting = time.monotonic(), 0, 0
    owed: list[deque[float]] = [deque() for _ in clients]
    with selectors.DefaultSelector() as poll:
        for number, client in enumerate(clients):
            poll.register(client, selectors.EVENT_READ, number)
        while not over() or waiting:
            now = time.monotonic()
            if now >= due and not over():
                owed[turn % len(clients)].append(due)
                waiting += 1
                turn += 1
                due += every
            for client, dues in zip(clients, owed, strict=True):
                if dues and not client.busy:
                    client.send()
            for key, _ in poll.select(max(0.0, min(due - time.monotonic(), every))):
                answer = clients[key.data].read()
                if answer is not None:
                    latencies.append((answer.came - owed[key.data].popleft()) * 1e3)
                    waiting -= 1
    return latencies
