"""Fake instances: `python -m bench.faults.instances CONTROL_PORT PORT…`, each PORT an instance, all in one process.

They speak as much HTTP/1.1 as a proxy needs of an instance (GET without a body, keep-alive), and do to it what their
`Behaviour` says. Every answer names its instance in X-Instance; every request for work is noted with the time at which
it came, which is how the share of an instance is known even where the proxy tried again elsewhere. Only connections
that are refused cannot be counted: the kernel refuses them.

The control channel speaks lines. `set INDEX BEHAVIOUR-AS-JSON` is answered with `ok`, `arrivals` with a JSON list of
[seconds, INDEX] since the last time that was asked for (seconds of the monotonic clock, which all processes of a
machine share), anything else with `error: …`. Try it: `nc 127.0.0.1 CONTROL_PORT`.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import random
import signal
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Sequence

from bench.faults.behaviour import Behaviour

BODY = json.dumps({"items": ["." * 60] * 16}).encode()
HEAD = "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {size}\r\nX-Instance: {name}\r\n\r\n"
RESET_AFTER = 0.005
"""Seconds between half an answer and the reset: time enough for a proxy to have passed the half on."""

LINGER_NOT = struct.pack("ii", 1, 0)


class Instance:
    """One port. `arrivals` are the times at which requests for work came."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.port = port
        self.behaviour = Behaviour()
        self.since = self.joined = time.monotonic()
        self.arrivals: list[float] = []
        self.connections: set[Connection] = set()
        self.hung: list[Connection] = []
        self.busy = 0
        self.line: deque[Connection] = deque()
        self.draw = random.Random(port)
        self._server: asyncio.Server | None = None
        self._reserved = self._bound()

    async def become(self, behaviour: Behaviour) -> None:
        """Behave like this from now on. Requests that hang are answered when the new behaviour does not hang."""
        self.behaviour = behaviour
        self.since = time.monotonic()
        if behaviour.fault == "refuse":
            self.close()
            self._reserved = self._bound()
            return
        if self._server is None:
            loop = asyncio.get_running_loop()
            protocol = functools.partial(Connection, self)
            self._server = await loop.create_server(protocol, sock=self._reserved, backlog=1024)
            self.joined = time.monotonic()
        if behaviour.fault != "hang":
            hung, self.hung = self.hung, []
            for connection in hung:
                connection.answer("200 OK", BODY)

    def close(self) -> None:
        """Stop listening, and end every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._reserved.close()
        for connection in list(self.connections):
            connection.transport.abort()
        self.hung.clear()

    def _bound(self) -> socket.socket:
        """A socket that has the port and does not listen: connections are refused, and none is made from this port."""
        reserved = socket.socket()
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", self.port))
        return reserved

    def requested(self, connection: Connection, path: bytes) -> None:
        now = time.monotonic()
        behaviour = self.behaviour
        fault = behaviour.fault_at(now - self.since)
        if path == b"/health":
            self._check(connection, fault)
            return
        self.arrivals.append(now)
        if fault == "hang":
            self.hung.append(connection)
        elif fault == "error":
            connection.answer("500 Internal Server Error", BODY)
        elif behaviour.workers and self.busy >= behaviour.workers:
            self.line.append(connection)
        else:
            self._work(connection, fault)

    def _work(self, connection: Connection, fault: str) -> None:
        self.busy += 1
        now = time.monotonic()
        seconds = self.behaviour.seconds(self.draw, fault, now - self.joined)
        asyncio.get_running_loop().call_later(seconds, self._done, connection, fault)

    def _done(self, connection: Connection, fault: str) -> None:
        self.busy -= 1
        if fault == "reset":
            connection.break_off(BODY)
        else:
            connection.answer("200 OK", BODY)
        while self.line and (not self.behaviour.workers or self.busy < self.behaviour.workers):
            self._work(self.line.popleft(), self.behaviour.fault_at(time.monotonic() - self.since))

    def _check(self, connection: Connection, fault: str) -> None:
        follows = self.behaviour.health == "follows"
        if self.behaviour.health == "fails" or (follows and fault == "error"):
            connection.answer("503 Service Unavailable", b"sick\n")
        elif follows and fault == "hang":
            self.hung.append(connection)
        elif follows and fault == "reset":
            connection.break_off(b"healthy\n")
        else:
            seconds = self.behaviour.seconds(self.draw, fault, 0.0) if follows and fault == "slow" else 0.0
            asyncio.get_running_loop().call_later(seconds, connection.answer, "200 OK", b"healthy\n")


class Connection(asyncio.Protocol):
    """A proxy's connection to an instance; one request at a time."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.buffer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.instance.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.instance.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        head, end, rest = (self.buffer + data).partition(b"\r\n\r\n")
        if not end:
            self.buffer = head
            return
        self.buffer = rest
        self.instance.requested(self, head.split(b" ", 2)[1])

    def answer(self, status: str, body: bytes) -> None:
        """Say it, if anybody is still there."""
        if not self.transport.is_closing():
            self.transport.write(self._head(status, body) + body)

    def break_off(self, body: bytes) -> None:
        """The head and half the body, then a reset."""
        if not self.transport.is_closing():
            self.transport.write(self._head("200 OK", body) + body[: len(body) // 2])
            asyncio.get_running_loop().call_later(RESET_AFTER, self._reset)

    def _head(self, status: str, body: bytes) -> bytes:
        return HEAD.format(status=status, size=len(body), name=self.instance.name).encode()

    def _reset(self) -> None:
        if not self.transport.is_closing():
            sock: socket.socket = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            self.transport.abort()


class Control:
    """The control channel."""

    def __init__(self, instances: Sequence[Instance]) -> None:
        self.instances = instances

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(await self.obey(line.decode(errors="replace")) + b"\n")
        except ValueError:
            writer.write(b"error: this line is too long\n")
        writer.close()

    async def obey(self, line: str) -> bytes:
        word, _, rest = line.strip().partition(" ")
        try:
            if word == "arrivals":
                return json.dumps(self.arrivals()).encode()
            if word == "set":
                index, _, text = rest.partition(" ")
                await self.named(index).become(Behaviour.from_json(text))
                return b"ok"
            raise ValueError(f"{word!r} is not known; set and arrivals are")
        except (ValueError, OSError) as error:
            return f"error: {error}".encode()

    def named(self, index: str) -> Instance:
        if not index.isdecimal() or int(index) >= len(self.instances):
            raise ValueError(f"{index!r} is no instance; they are 0 to {len(self.instances) - 1}")
        return self.instances[int(index)]

    def arrivals(self) -> list[tuple[float, int]]:
        """In order of time; forgotten hereby."""
        found = [(when, index) for index, instance in enumerate(self.instances) for when in instance.arrivals]
        for instance in self.instances:
            instance.arrivals.clear()
        return sorted(found)


async def serve(control: int, ports: Sequence[int]) -> None:
    """Until SIGTERM or Ctrl-C. Instances listen before the control channel does."""
    instances = [Instance(f"i{index}", port) for index, port in enumerate(ports)]
    for instance in instances:
        await instance.become(Behaviour())
    server = await asyncio.start_server(Control(instances).serve, "127.0.0.1", control)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    server.close()
    for instance in instances:
        instance.close()


def port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is not a port (1 to 65535)")
    return int(text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.faults.instances", description="Fake instances.")
    parser.add_argument("control", type=port, metavar="CONTROL_PORT")
    parser.add_argument("ports", type=port, nargs="+", metavar="PORT")
    chosen = parser.parse_args()
    try:
        asyncio.run(serve(chosen.control, chosen.ports))
    except OSError as error:
        print(f"cannot listen at {chosen.control} and {chosen.ports}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
