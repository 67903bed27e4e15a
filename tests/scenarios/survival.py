"""What scenarios of a failing registry need: a Valkey that can be hurt, a proxy in front of it, instances that register
themselves from the test's own process, a gateway run by twistd, and clients that count every request that fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol
from twisted.internet.task import deferLater
from twisted.web.client import Agent, HTTPConnectionPool, readBody
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from wmesh.control.guard import guarded
from wmesh.control.heartbeat import Heartbeat
from wmesh.control.registry.embedded import find_server
from wmesh.control.registry.redis import RedisRegistry
from wmesh.errors import RegistryError
from wmesh.model import Address, InstanceRecord, RegistrySpec
from wmesh.registry_url import parse_target

network: Any = reactor
ROOT = Path(__file__).resolve().parents[2]
LEASE = 3.0
HEARTBEAT = 1.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pause(seconds: float) -> Deferred[None]:
    return deferLater(network, seconds)


async def until(what: str, look: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Look again and again until there is something true to see; `look` may be a coroutine function."""
    last = network.seconds() + seconds
    while True:
        seen = look()
        if hasattr(seen, "__await__"):
            seen = await seen
        if seen:
            return seen
        assert network.seconds() < last, f"{seconds:g} s have passed, and still not: {what}"
        await pause(0.03)


class Child(ProcessProtocol):
    """A process whose output is kept."""

    def __init__(self) -> None:
        self.output = ""
        self.alive = False

    @classmethod
    def spawn(cls, argv: list[str], env: dict[str, str], folder: Path) -> Child:
        child = cls()
        child.alive = True
        argv = guarded(argv)
        network.spawnProcess(child, argv[0], argv, env=env, path=str(folder))
        return child

    def outReceived(self, data: bytes) -> None:
        self.output += data.decode("utf-8", "replace")

    errReceived = outReceived

    def processEnded(self, reason: Any) -> None:
        self.alive = False

    def send(self, number: int) -> None:
        if self.alive:
            os.kill(self.transport.pid, number)

    async def end(self, number: int = signal.SIGKILL) -> None:
        self.send(number)
        await until("a child has ended", lambda: not self.alive, 20.0)


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
        self.child = child = Child.spawn([find_server(), *flags], {"LC_ALL": "C"}, self._folder)
        await until("Valkey is ready", lambda: "eady to accept connections" in child.output)

    async def kill(self) -> None:
        if self.child is not None:
            self.child.send(signal.SIGCONT)
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


class Cable(Factory):
    """A TCP proxy to `target`. `cut_auth`: so many connections are dropped at the first byte that a client sends (which
    is in the middle of its AUTH). While `held`, no byte passes in either direction; nothing is lost."""

    noisy = False

    def __init__(self, target: int) -> None:
        self.target = target
        self.cut_auth = 0
        self.cuts = 0
        self.held = False
        self.ends: set[_End] = set()
        self._port: Any = network.listenTCP(0, self, interface="127.0.0.1")
        self.port = self._port.getHost().port

    def buildProtocol(self, addr: object) -> _End:
        return _End(self, None)

    def cut(self) -> None:
        """Every connection there is, now."""
        for end in list(self.ends):
            end.transport.abortConnection()

    def hold(self, held: bool) -> None:
        self.held = held
        for end in list(self.ends):
            end.pass_on()

    async def close(self) -> None:
        self.cut()
        await maybeDeferred(self._port.stopListening)


class _End(Protocol):
    def __init__(self, cable: Cable, other: _End | None) -> None:
        self.cable = cable
        self.other = other
        self.waiting = b""
        self.outside = other is None

    def connectionMade(self) -> None:
        self.cable.ends.add(self)
        if self.outside:
            server = TCP4ClientEndpoint(network, "127.0.0.1", self.cable.target)
            connecting = connectProtocol(server, _End(self.cable, self))
            connecting.addErrback(lambda _: self.transport.abortConnection())
        elif self.other is not None:
            self.other.other = self
            self.other.pass_on()

    def dataReceived(self, data: bytes) -> None:
        if self.outside and self.cable.cut_auth and b"AUTH" in data:
            self.cable.cut_auth -= 1
            self.cable.cuts += 1
            self.transport.abortConnection()
            return
        self.waiting += data
        self.pass_on()

    def pass_on(self) -> None:
        if self.other is not None and not self.cable.held:
            waiting, self.waiting = self.waiting, b""
            self.other.transport.write(waiting)

    def connectionLost(self, reason: object = None) -> None:
        self.cable.ends.discard(self)
        if self.other is not None:
            self.other.transport.abortConnection()


class _Page(Resource):
    isLeaf = True

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("X-Served-By", self.name)
        return b"well"


class _QuietSite(Site):
    noisy = False

    def log(self, request: Request) -> None:
        """No access log."""


class Instance:
    """Serves, and registers itself through a registry client of its own, as a program elsewhere would."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        site: Any = _QuietSite(_Page(name))
        self._port: Any = network.listenTCP(0, site, interface="127.0.0.1")
        spec = RegistrySpec(lease=LEASE, heartbeat=HEARTBEAT)
        address = Address("127.0.0.1", self._port.getHost().port)
        self.record = InstanceRecord("shop", name, address, incarnation=f"{name}-1")
        self.registry = RedisRegistry(parse_target(url), spec, network, timeout=2.0, patient=True, retry_max=0.5)
        self._heart = Heartbeat(self.registry, HEARTBEAT, network, Random(name), dict)

    async def start(self) -> None:
        await self.registry.start(lambda event: None)
        await self.registry.register(self.record)
        self._heart.add(self.record)
        self._heart.start()

    async def say_goodbye(self) -> None:
        """Deregister, and go on serving whoever comes."""
        self._heart.remove("shop", self.name)
        await self.registry.deregister("shop", self.name)

    async def fall_silent(self) -> None:
        """Go on serving, but renew nothing any more, as after a crash of whoever registers it."""
        self._heart.stop()
        await self.registry.stop()

    async def crash(self) -> None:
        await self.fall_silent()
        await maybeDeferred(self._port.stopListening)

    async def close(self) -> None:
        self._heart.stop()
        await self.registry.stop()
        await maybeDeferred(self._port.stopListening)


class Gateway:
    """`twistd wmesh` in a folder of its own, asked through its own listener."""

    def __init__(self, folder: Path, url: str, **registry: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.child: Child | None = None
        options = {"lease": f"{LEASE:g}s", "heartbeat": f"{HEARTBEAT:g}s", "discovery_interval": "2s", **registry}
        lines = [f"{name} = {value}" for name, value in options.items()]
        (folder / "mesh.ini").write_text(
            f"[mesh]\nstate_dir = var\n[gateway]\nlisten = tcp:{self.port}:interface=127.0.0.1\n"
            f"admin_listen = tcp:{free_port()}:interface=127.0.0.1\n[registry]\nurl = {url}\n" + "\n".join(lines) +
            "\n[service:shop]\nhealth_endpoint = /health\nhealth_check_interval = 1s\n"
            "health_check_fast_interval = 200ms\nhealth_check_timeout = 1s\n"
        )

    async def start(self, sign: str = " is ready: ") -> None:
        env = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        twistd = str(Path(sys.executable).with_name("twistd"))
        argv = [sys.executable, twistd, "-n", "--pidfile=", "wmesh", "--config", "mesh.ini"]
        self.child = child = Child.spawn(argv, env, self.folder)
        await until("the gateway is ready", lambda: sign in child.output or not child.alive)
        assert child.alive, child.output

    async def ask(self, path: str) -> Any:
        return json.loads((await fetch(self.port, path))[1])

    async def registry(self) -> Any:
        return (await self.ask("/status"))["registry"]

    async def ids(self, healthy: bool = True) -> list[str]:
        instances = (await self.ask("/services/shop"))["instances"]
        return [one["id"] for one in instances if one["health"] == "healthy" or not healthy]

    async def knows(self, *ids: str) -> None:
        async def look() -> bool:
            return await self.ids() == sorted(ids)

        await until(f"the gateway serves with {ids}", look)

    async def has(self, **facts: object) -> None:
        """Its registry status shows these."""

        async def look() -> bool:
            status = await self.registry()
            return all(status[name] == value for name, value in facts.items())

        await until(f"the registry's status is {facts}", look, 25.0)

    @property
    def output(self) -> str:
        return self.child.output if self.child is not None else ""


_pool = HTTPConnectionPool(network, persistent=True)
_pool.retryAutomatically = False
_pool.maxPersistentPerHost = 16
_agent = Agent(network, pool=_pool)


async def fetch(port: int, path: str) -> tuple[int, bytes]:
    asking = _agent.request(b"GET", f"http://127.0.0.1:{port}{path}".encode())
    response = await asking.addTimeout(10.0, network)
    body = await readBody(response)
    return response.code, body


class Load:
    """Clients that ask without a pause worth mentioning; what is not answered 200 is a failure."""

    def __init__(self, port: int, workers: int = 4) -> None:
        self.answered = 0
        self.failures: list[str] = []
        self._port = port
        self._running = True
        self._work = [Deferred.fromCoroutine(self._ask()) for _ in range(workers)]

    async def _ask(self) -> None:
        while self._running:
            try:
                status, _ = await fetch(self._port, "/shop/")
            except Exception as problem:  # noqa: BLE001 - whatever it is, it is what this is here to count
                self.failures.append(repr(problem))
            else:
                self.answered += status == 200
                if status != 200:
                    self.failures.append(str(status))
            await pause(0.005)

    async def stop(self) -> None:
        self._running = False
        await gatherResults(self._work)


class Scene:
    """A Valkey, perhaps a cable to it, three instances, a gateway, and a steady load on it."""

    def __init__(self, folder: Path, valkey: Valkey | None = None) -> None:
        self.folder = folder
        self.instances: dict[str, Instance] = {}
        self._cables: list[Cable] = []
        self._loads: list[Load] = []
        self.gateways: list[Gateway] = []
        self.valkey = valkey or Valkey(folder)

    async def begin(self, *, password: str = "", cable: bool = False, **registry: str) -> None:
        if password:
            self.valkey.password = password
        await self.valkey.start()
        for name in ("a", "b", "c"):
            await self.join(name)
        if cable:
            self.cable = Cable(self.valkey.port)
            self._cables.append(self.cable)
        self.gateway = Gateway(self.folder, self.valkey.url(self.cable.port if cable else 0), **registry)
        self.gateways.append(self.gateway)
        await self.gateway.start()
        await self.gateway.knows("a", "b", "c")
        self.load = Load(self.gateway.port)
        self._loads.append(self.load)
        await pause(0.5)

    async def join(self, name: str) -> None:
        instance = self.instances[name] = Instance(name, self.valkey.url())
        await instance.start()

    async def unhurt(self, name: str) -> None:
        """The end of a scenario: not one request has failed."""
        await pause(0.5)
        await self.load.stop()
        print(f"{name}: {len(self.load.failures)} of {self.load.answered + len(self.load.failures)} requests failed")
        assert self.load.answered > 100
        assert self.load.failures == []

    async def end(self) -> None:
        for load in self._loads:
            await load.stop()
        for instance in self.instances.values():
            with contextlib.suppress(RegistryError):
                await instance.close()
        await _pool.closeCachedConnections()
        for gateway in self.gateways:
            print(gateway.output)
            if gateway.child is not None:
                await gateway.child.end(signal.SIGTERM)
        for cable in self._cables:
            await cable.close()
        await self.valkey.kill()
