"""What scenarios of a failing registry need: a Valkey that can be hurt, a proxy in front of it, instances that register
themselves from the test's own process, a gateway run by twistd, and clients that count every request that fails.
"""

from __future__ import annotations

import contextlib
import secrets
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol

from tests.ports import free_port
from tests.scenarios.clients import Client, Load
from tests.scenarios.instances import Instance
from tests.scenarios.program import Program
from tests.scenarios.valkey import Valkey
from tests.scenarios.waiting import pause, until
from wmesh.control.heartbeat import Heartbeat
from wmesh.control.registry.redis import RedisRegistry
from wmesh.errors import RegistryError
from wmesh.model import Address, InstanceRecord, RegistrySpec
from wmesh.registry_url import parse_target

network: Any = reactor
LEASE = 3.0
HEARTBEAT = 1.0
RECOVERY = 15.0
"""How long it may take until what was hurt, or lost, is noticed and mended: several leases."""


class Cable(Factory):
    """A TCP proxy to `target`. `cut_auth`: so many connections are dropped at the first byte that a client sends (which
    is in the middle of its AUTH). While `held`, no byte passes in either direction; nothing is lost."""

    noisy = False

    def __init__(self, target: int) -> None:
        self.target = target
        self.cut_auth = 0
        self.cuts = 0
        self.held = False
        self.ends: set[End] = set()
        self._port: Any = network.listenTCP(0, self, interface="127.0.0.1")
        self.port = self._port.getHost().port

    def buildProtocol(self, addr: object) -> End:
        return End(self, None)

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


class End(Protocol):
    """Of one connection through a cable: outside, where clients are, or at the target."""

    def __init__(self, cable: Cable, other: End | None) -> None:
        self.cable = cable
        self.other = other
        self.waiting = b""
        self.outside = other is None

    def connectionMade(self) -> None:
        self.cable.ends.add(self)
        if self.outside:
            server = TCP4ClientEndpoint(network, "127.0.0.1", self.cable.target)
            connecting = connectProtocol(server, End(self.cable, self))
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


class Registered(Instance):
    """Serves, and registers itself through a registry client of its own, as a program elsewhere would."""

    def __init__(self, name: str, url: str) -> None:
        super().__init__(name)
        spec = RegistrySpec(lease=LEASE, heartbeat=HEARTBEAT)
        self.record = InstanceRecord("shop", name, Address("127.0.0.1", self.port), incarnation=f"{name}-1")
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

    async def stop_serving(self) -> None:
        """Go on renewing, but let nobody in."""
        await super().close()

    async def crash(self) -> None:
        await self.fall_silent()
        await self.stop_serving()

    async def close(self) -> None:
        await self.crash()


class Gateway:
    """`twistd wmesh` in a folder of its own, asked through its own listener."""

    def __init__(self, folder: Path, url: str, **registry: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.client = Client(f"http://127.0.0.1:{self.port}")
        self.program: Program
        options = {"lease": f"{LEASE:g}s", "heartbeat": f"{HEARTBEAT:g}s", "discovery_interval": "2s", **registry}
        lines = [f"{name} = {value}" for name, value in options.items()]
        (folder / "mesh.ini").write_text(
            f"[mesh]\nstate_dir = var\n[gateway]\nlisten = tcp:{self.port}:interface=127.0.0.1\n"
            f"admin_listen = tcp:{free_port()}:interface=127.0.0.1\n[registry]\nurl = {url}\n" + "\n".join(lines) +
            "\n[service:shop]\nhealth_endpoint = /health\nhealth_check_interval = 1s\n"
            "health_check_fast_interval = 200ms\nhealth_check_timeout = 1s\n"
        )

    async def start(self, sign: str = " is ready: ") -> None:
        """Or start it again, once it has ended; what it says is kept since then."""
        self.program = Program(self.folder, secrets.token_hex(8))
        self.program.start()
        await self.program.says(sign)

    async def kill(self) -> None:
        await self.program.stop(signal.SIGKILL)

    async def ask(self, path: str) -> Any:
        return (await self.client.get(path)).json

    async def registry(self) -> Any:
        return (await self.ask("/status"))["registry"]

    async def ids(self, healthy: bool = True) -> list[str]:
        instances = (await self.ask("/services/shop"))["instances"]
        return [one["id"] for one in instances if one["health"] == "healthy" or not healthy]

    async def knows(self, *ids: str) -> None:
        async def look() -> bool:
            return await self.ids() == sorted(ids)

        await until(f"the gateway serves with {ids}", look, RECOVERY)

    async def has(self, **facts: object) -> None:
        """Its registry status shows these."""

        async def look() -> bool:
            status = await self.registry()
            return all(status[name] == value for name, value in facts.items())

        await until(f"the registry's status is {facts}", look, 25.0)

    @property
    def output(self) -> str:
        return self.program.output


class Scene:
    """A Valkey, perhaps a cable to it, three instances, a gateway, and a steady load on it."""

    def __init__(self, folder: Path, valkey: Valkey | None = None) -> None:
        self.folder = folder
        self.instances: dict[str, Registered] = {}
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
        self.load = Load(self.gateway.client, "/shop/")
        self._loads.append(self.load)
        await pause(0.5)

    async def join(self, name: str) -> None:
        instance = self.instances[name] = Registered(name, self.valkey.url())
        await instance.start()

    async def unhurt(self, name: str) -> None:
        """The end of a scenario: not one request has failed."""
        await pause(0.5)
        await self.load.stop()
        answered, failed = self.load.served.total(), len(self.load.failures)
        print(f"{name}: {failed} of {answered + failed} requests failed")
        assert answered > 100
        assert self.load.failures == []

    async def end(self) -> None:
        for load in self._loads:
            await load.stop()
        for instance in self.instances.values():
            with contextlib.suppress(RegistryError):
                await instance.close()
        for gateway in self.gateways:
            await gateway.client.close()
            print(gateway.output)
            if gateway.program.running:
                await gateway.program.stop()
        for cable in self._cables:
            await cable.close()
        await self.valkey.kill()


@contextlib.asynccontextmanager
async def scene(folder: Path, valkey: Valkey | None = None) -> AsyncIterator[Scene]:
    """A scene, not begun, that ends however the scenario does."""
    made = Scene(folder, valkey)
    try:
        yield made
    finally:
        await made.end()
