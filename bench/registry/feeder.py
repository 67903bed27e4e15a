"""A fleet that registers and sends heartbeats, as one cheap program: each instance has a connection of its own.

A fleet of real processes would take more than a machine; so this one speaks the wire format itself, through plain
sockets and one epoll. What the server sees is the same: so many connections, each of which runs `register` once and
then, jittered by a tenth, `renew` with one member and a load sample that always differs. With `--changes N`, records
are changed besides, N a second, one script call each: nine of ten are updates (another weight), the tenth takes an
instance out and puts it back.

It says `ready` to `--control` (a port where its parent listens) once everybody is registered, and `late` when it
could not keep its own pace: then the figures are not worth much.
"""

from __future__ import annotations

import argparse
import heapq
import random
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

from bench.process import allow_files
from bench.registry.wire import ask, connect, packed, script_call
from wmesh.control.registry import scripts
from wmesh.control.registry.codec import encode_load, encode_record
from wmesh.model import Address, InstanceRecord, LoadSample

JITTER = 0.1
TICK = 0.01
LATE = 0.5
"""Seconds behind its own schedule from which on the feeder complains."""


def fleet(service: str, count: int, first: int, port: int) -> list[InstanceRecord]:
    """Records as fleets have them, at addresses of their own from number `first` on."""
    return [
        InstanceRecord(
            service=service,
            id=f"{service}-{number}",
            address=Address(f"127.{1 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}", port),
            version="1.4.2",
            tags=("core", "http"),
            metadata=(("commit", "9f2c1e7ab34d4c5e"), ("zone", f"eu-{number % 3}")),
            incarnation=f"{number:032x}",
        )
        for number in range(first, first + count)
    ]


def fleets(wanted: list[str], port: int) -> Iterator[InstanceRecord]:
    """`wanted` holds NAME=COUNT."""
    first = 0
    for word in wanted:
        service, _, count = word.partition("=")
        yield from fleet(service, int(count), first, port)
        first += int(count)


class Feeder:
    """The fleet of `records` and its connections. `lease` and `heartbeat` are seconds."""

    def __init__(
        self, records: list[InstanceRecord], port: int, namespace: str, lease: float, heartbeat: float, changes: int
    ) -> None:
        self._records = records
        self._names = [f"{record.service}/{record.id}".encode() for record in records]
        self._port = port
        self._namespace = namespace
        self._lease = round(lease * 1000)
        self._heartbeat = heartbeat
        self._changes = changes
        self._random = random.Random(1)
        self._sockets: list[socket.socket] = []
        self._poll = select.epoll()
        self._by_file: dict[int, socket.socket] = {}
        self.late = 0.0

    def register(self) -> None:
        for record, name in zip(self._records, self._names, strict=True):
            sock = connect(self._port)
            ask(sock, self._register(name, record))
            sock.setblocking(False)
            self._sockets.append(sock)
            self._by_file[sock.fileno()] = sock
            self._poll.register(sock, select.EPOLLIN)

    def run(self) -> Iterator[float]:
        """For ever; yields every tick how late the fleet is with its heartbeats and changes, in seconds."""
        now = time.monotonic()
        # As a fleet that has lived for a while: everybody falls somewhere else.
        heap = [(now + self._random.uniform(0, self._heartbeat), number) for number in range(len(self._records))]
        heapq.heapify(heap)
        changer = connect(self._port) if self._changes else None
        begun, made = now, 0
        while True:
            late = 0.0
            while heap and heap[0][0] <= now:
                due, number = heap[0]
                late = max(late, now - due)
                self._beat(number)
                pause = self._heartbeat * self._random.uniform(1 - JITTER, 1 + JITTER)
                heapq.heapreplace(heap, (due + pause, number))
            if changer is not None:
                wanted = min(int((now - begun) * self._changes), made + 200)
                if wanted > made:
                    ask(changer, *(command for number in range(made, wanted) for command in self._change(number)))
                    made = wanted
                late = max(late, now - begun - made / self._changes - TICK)
            yield late
            until = time.monotonic() + TICK
            while (left := until - time.monotonic()) > 0:
                self._read(left)
            now = time.monotonic()

    def _register(self, name: bytes, record: InstanceRecord) -> bytes:
        return script_call(scripts.REGISTER, self._namespace, self._lease, name, encode_record(record))

    def _beat(self, number: int) -> None:
        chance = self._random
        load = LoadSample(cpu=round(chance.uniform(0, 100), 1), memory=chance.randrange(50_000_000, 90_000_000))
        call = script_call(scripts.RENEW, self._namespace, self._lease, self._names[number], encode_load(load))
        self._sockets[number].send(call)

    def _change(self, number: int) -> Iterator[bytes]:
        """The commands of change `number`: the whole fleet has its turn, in an order that looks like none."""
        place = number * 7919 % len(self._records)
        record, name = self._records[place], self._names[place]
        if number % 10 == 9:
            yield script_call(scripts.DEREGISTER, self._namespace, name, b"deregistered")
            yield self._register(name, record)
        else:
            record = self._records[place] = replace(record, weight=record.weight % 100 + 1)
            yield self._register(name, record)

    def _read(self, seconds: float) -> None:
        for number, _ in self._poll.poll(seconds):
            data = self._by_file[number].recv(4096)
            # An empty list: everybody is known. Not so while a change has it out, for a moment.
            if not data or data.startswith(b"-"):
                raise ConnectionError(f"a heartbeat was answered with {data!r}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.registry.feeder")
    for name in ("--server", "--instances", "--control"):
        parser.add_argument(name, type=int, required=True, metavar="PORT")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--lease", type=float, default=15.0)
    parser.add_argument("--heartbeat", type=float, default=5.0)
    parser.add_argument("--changes", type=int, default=0)
    parser.add_argument("fleet", nargs="+", metavar="SERVICE=COUNT")
    chosen = parser.parse_args()
    records = list(fleets(chosen.fleet, chosen.instances))
    allow_files(len(records) + 256)
    ask(
        connect(chosen.server),
        *(packed(b"SCRIPT", b"LOAD", script.text) for script in (scripts.REGISTER, scripts.RENEW, scripts.DEREGISTER)),
    )
    feeder = Feeder(records, chosen.server, chosen.namespace, chosen.lease, chosen.heartbeat, chosen.changes)
    control = connect(chosen.control)
    feeder.register()
    control.sendall(b"ready\n")
    complained = False
    for late in feeder.run():
        if late > LATE and not complained:
            complained = True
            control.sendall(f"late {late:.2f}\n".encode())


if __name__ == "__main__":
    main()
