"""A real Valkey on a TCP port, to share, to mistreat, and to speak to as an operator would.

Unit tests have one on a Unix socket, asked by a real client: `tests/control/registry/scene.py`.
"""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from tests.children import Child, spawn
from tests.ports import free_port
from tests.scenarios.waiting import until
from wmesh.control.guard import guarded
from wmesh.control.registry.embedded import find_server

START_PATIENCE = 15.0


class Valkey:
    """A server without persistence on a port that it keeps through restarts."""

    def __init__(self, folder: Path, password: str = "", *flags: str) -> None:
        self.port = free_port()
        self.password = password
        self.flags = flags
        self._folder = folder
        self.child: Child | None = None

    async def start(self) -> None:
        flags = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *self.flags]
        flags += ["--requirepass", self.password] if self.password else []
        self.child = child = spawn(guarded([find_server(), *flags]), self._folder)
        await until("Valkey is ready", lambda: b"eady to accept connections" in child.output, START_PATIENCE)

    async def kill(self) -> None:
        if self.child is not None:
            self.child.signal(signal.SIGCONT)
            await self.child.end()

    def url(self, port: int = 0) -> str:
        login = f":{self.password}@" if self.password else ""
        return f"redis://{login}127.0.0.1:{port or self.port}/0"

    def ask(self, *words: str) -> bytes:
        """One command of an operator, at once."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            lines = [("AUTH", self.password)] if self.password else []
            for command in (*lines, words):
                parts = b"".join(b"$%d\r\n%b\r\n" % (len(word.encode()), word.encode()) for word in command)
                connection.sendall(b"*%d\r\n%b" % (len(command), parts))
                answer = connection.recv(65536)
        assert not answer.startswith(b"-"), answer
        return answer
