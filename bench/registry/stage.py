"""The processes of a measurement: Valkey, gateway, instances, and those who register. Each ends with the measurement.

The gateway has the first core for itself; everything else shares the others. Valkey listens on loopback and keeps
nothing on disk, and what the gateway is told stands in `CONFIG`: a newcomer of the two services where news are timed
gets its whole share at once, since a slow start would be timed with them. Programs of this package that must be told
things, or have things to say, connect to a port of ours: see `Told`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import cpu
from bench.peers.wmesh import ROOT, gateway, twistd
from bench.process import Child, Launch, ProcessError, Start, children, free_ports, listening, wait_until
from bench.registry.client import Client
from bench.registry.wire import ask, connect, packed
from wmesh.control.registry.embedded import find_server

NAMESPACE = "bench"
FLEETS = 10
AGAIN = "The registry answers again"

CONFIG = """\
[mesh]
state_dir = {directory}/var

[gateway]
listen = tcp:{port}:backlog=4096:interface=127.0.0.1
admin_listen = tcp:{admin}:interface=127.0.0.1

[registry]
url = redis://127.0.0.1:{server}
namespace = {namespace}
lease = {lease:g}s
heartbeat = {heartbeat:g}s

[service:plain]
health_check_enabled = no
slow_start = 0s
routes = /plain/

[service:checked]
health_endpoint = /health
slow_start = 0s
routes = /checked/
"""

FLEET = """\

[service:{name}]
health_check_enabled = no
routes = /{name}/
"""


class Told:
    """A program of ours that we speak to by lines, over a connection that it makes to us."""

    def __init__(self, child: Child, sock: socket.socket) -> None:
        self.child = child
        self._sock = sock
        self._rest = b""

    def say(self, line: str) -> None:
        self._sock.sendall(line.encode() + b"\n")

    def fileno(self) -> int:
        return self._sock.fileno()

    def hear(self, seconds: float) -> str:
        """Its next line."""
        self._sock.settimeout(seconds)
        try:
            while b"\n" not in self._rest:
                data = self._sock.recv(4096)
                if not data:
                    raise ProcessError(f"{self.child.name} hung up\n{self.child.tail()}")
                self._rest += data
        except TimeoutError:
            raise ProcessError(f"{self.child.name} said nothing for {seconds:.0f} s\n{self.child.tail()}") from None
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def said(self) -> str:
        """What it has said meanwhile, if anything."""
        self._sock.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            self._rest += self._sock.recv(4096)
        heard, self._rest = self._rest, b""
        return heard.decode().strip()


class Stage:
    """Where one measurement takes place. `gateway_core` and `other_cores` are numbers of cores."""

    def __init__(self, start: Start, directory: Path, gateway_core: int, other_cores: Sequence[int]) -> None:
        self._start = start
        self._directory = directory
        self._other_cores = other_cores
        self._count = 0
        self.gateway_core = gateway_core
        self.server_port, self.instance_port, self.port, self._admin = free_ports(4)
        self.url = f"redis://127.0.0.1:{self.server_port}"
        flags = ["--port", str(self.server_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        flags += ["--maxclients", "15000"]
        self.server = self._run("valkey", (find_server(), *flags))
        self.instances = self._program("instance", str(self.instance_port))
        wait_until(lambda: listening(self.server_port), self.server)
        wait_until(lambda: listening(self.instance_port), self.instances)
        self.gateway: Child

    def start_gateway(self, lease: float = 15.0) -> float:
        """Answers the seconds until it lets clients in."""
        config = CONFIG.format(
            directory=self._directory,
            port=self.port,
            admin=self._admin,
            server=self.server_port,
            namespace=NAMESPACE,
            lease=lease,
            heartbeat=lease / 3,
        )
        path = self._directory / "mesh.ini"
        path.write_text(config + "".join(FLEET.format(name=f"fleet-{number}") for number in range(FLEETS)))
        begun = time.monotonic()
        self.gateway = self._launch("gateway", gateway(str(twistd()), path), {self.gateway_core})
        wait_until(lambda: " listening: " in self.gateway.log.read_text(), self.gateway)
        return time.monotonic() - begun

    def feed(self, *fleet: str, lease: float = 15.0, changes: int = 0) -> Told:
        """Start a feeder; done when everybody is registered. `fleet` holds SERVICE=COUNT."""
        feeder = self._told(
            "feeder",
            f"--server={self.server_port}",
            f"--instances={self.instance_port}",
            f"--namespace={NAMESPACE}",
            f"--lease={lease:g}",
            f"--heartbeat={lease / 3:g}",
            f"--changes={changes}",
            "--control={control}",
            *fleet,
        )
        if (line := feeder.hear(120)) != "ready":
            raise ProcessError(f"the feeder says {line}")
        return feeder

    def registrar(self) -> Told:
        """A program that registers what it is told to."""
        return self._told("registrar", self.url, NAMESPACE, "{control}")

    def client(self, service: str) -> Client:
        return Client(self.port, f"/{service}/")

    def known(self) -> int:
        """How many instances the gateway knows of from the registry."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._admin}/status", timeout=10) as answer:
            status: Any = json.load(answer)
        return int(status["registry"]["instances"])

    def wait_for(self, count: int) -> None:
        wait_until(lambda: self.known() == count, self.gateway)

    def cut_changes(self) -> float:
        """Have the server hang up on the connection on which the gateway hears of changes. Answers when."""
        sock = connect(self.server_port)
        [listed] = ask(sock, packed(b"CLIENT", b"LIST"))
        assert isinstance(listed, bytes)
        [found] = re.findall(rb"^id=(\d+) .*cmd=xread", listed, re.MULTILINE)
        now = time.monotonic()
        ask(sock, packed(b"CLIENT", b"KILL", b"ID", found))
        sock.close()
        return now

    def answers_again(self) -> int:
        """How many times the gateway has said that the registry answers again."""
        return self.gateway.log.read_bytes().count(AGAIN.encode())

    def _program(self, name: str, *args: str) -> Child:
        argv = (sys.executable, "-m", f"bench.registry.{name}", *args)
        return self._run(name, argv)

    def _told(self, name: str, *args: str) -> Told:
        """Start one, and wait until it has connected; `{control}` in `args` is the port to which it does."""
        with socket.create_server(("127.0.0.1", 0)) as door:
            door.settimeout(0.2)
            port = str(door.getsockname()[1])
            child = self._program(name, *(word.replace("{control}", port) for word in args))
            found: list[socket.socket] = []

            def connected() -> bool:
                with contextlib.suppress(TimeoutError):
                    found.append(door.accept()[0])
                return bool(found)

            wait_until(connected, child)
        return Told(child, found[0])

    def _run(self, name: str, argv: Sequence[str]) -> Child:
        return self._launch(name, Launch(tuple(argv), {"PYTHONPATH": str(ROOT)}), self._other_cores)

    def _launch(self, name: str, launch: Launch, cores: Collection[int]) -> Child:
        self._count += 1
        return self._start(f"{name}-{self._count}", launch, self._directory, cores)


@contextlib.contextmanager
def stage(gateway_core: int, other_cores: Sequence[int]) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="bench-registry-") as name, children() as start:
        yield Stage(start, Path(name), gateway_core, other_cores)


class Meter:
    """What gateway and Valkey spend from now on, and how long the gateway waits for its core, in percent of the time.

    The wait is the time in which it had work and another process had the core, or the machine below this one: the
    measure of how far to trust a window.
    """

    def __init__(self, on: Stage) -> None:
        self._stage = on
        self._pids = [on.gateway.pid], [on.server.pid]
        self._waited = cpu.waited(on.gateway.pid)
        self._stolen = cpu.core_time(on.gateway_core).stolen
        self._spent = [cpu.cpu_time(pids) for pids in self._pids]
        self._clock = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._clock

    def read(self) -> tuple[float, float, float]:
        """Gateway, Valkey, and the wait of the gateway."""
        window = self.seconds()
        gateway, server = (
            cpu.between(before, cpu.cpu_time(pids)) / 1e9 for before, pids in zip(self._spent, self._pids, strict=True)
        )
        stolen = (cpu.core_time(self._stage.gateway_core).stolen - self._stolen) / cpu.ticks_per_second()
        waited = (cpu.waited(self._stage.gateway.pid) - self._waited) / 1e9 + stolen
        return gateway / window * 100, server / window * 100, waited / window * 100


def gateway_memory(on: Stage) -> float:
    """Resident megabytes."""
    return cpu.memory(cpu.family(on.gateway.pid)).rss / 1e6


def cores() -> tuple[int, tuple[int, ...]]:
    first, *rest = sorted(os.sched_getaffinity(0))
    return first, tuple(rest) or (first,)
