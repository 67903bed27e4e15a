"""An instance that fails in one chosen way, on the bare socket: what no HTTP server could be made to say."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

from bench.answers.faults import CLOSE, CONNECT, RESET, STEP, Fault, Reading

LINGER_NOT = struct.pack("ii", 1, 0)


class Conversation(asyncio.Protocol):
    """One connection from the proxy."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._reading = Reading()
        self._again: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._instance.connections.add(self)
        if self._instance.fault is not None and self._instance.fault.when == CONNECT:
            self._reading.failing = True
            self._fail(self._instance.fault)

    def data_received(self, data: bytes) -> None:
        if self._reading.failing:
            return
        targets, said = self._reading.feed(data, self._instance.fault)
        self._instance.requests += targets
        if said:
            self._transport.write(said)
        if self._reading.failing and self._instance.fault is not None:
            self._fail(self._instance.fault)

    def _fail(self, fault: Fault) -> None:
        if fault.said:
            self._transport.write(fault.said)
        if fault.endless:
            self._say(fault.endless)
        elif fault.then == CLOSE:
            self._transport.close()
        elif fault.then == RESET:
            self._again = asyncio.get_running_loop().call_later(STEP, self.reset)

    def _say(self, piece: bytes) -> None:
        # Whoever does not read it is not told ever more.
        if self._transport.get_write_buffer_size() < 1 << 20:
            self._transport.write(piece)
        self._again = asyncio.get_running_loop().call_later(STEP, self._say, piece)

    def reset(self) -> None:
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._instance.connections.discard(self)
        if self._again is not None:
            self._again.cancel()


class Instance:
    """Listens at `port` of the loopback within `async with`. `requests` are the targets of what came, in order."""

    def __init__(self, fault: Fault | None = None) -> None:
        self.fault = fault
        self.requests: list[str] = []
        self.connections: set[Conversation] = set()
        self.port = 0

    async def __aenter__(self) -> Instance:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Conversation(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for each in tuple(self.connections):
            each.reset()


def black_hole() -> tuple[int, Callable[[], None]]:
    """(a port where connections are neither accepted nor refused, what ends it). Its queue is full, so the kernel drops
    what else would like to connect."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = []
    for _ in range(4):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        waiting.append(client)

    def end() -> None:
        for each in (*waiting, listener):
            each.close()

    return listener.getsockname()[1], end
