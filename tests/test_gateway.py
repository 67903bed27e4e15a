"""The gateway as a whole, in one process: in which order it starts and stops, and what it undoes.

Sockets, Directory, data plane and deployment are real. The registry is the one in memory, which waits where a test says
so; what is launched and checked exists in name only (`wmesh.testing`). What a program makes of all this, with children
and signals, is in tests/scenarios.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from tests.ports import free_port
from tests.waiting import until
from wmesh import gateway as module
from wmesh.config import parse
from wmesh.control.launchers.ports import is_free
from wmesh.control.registry.memory import MemoryRegistry
from wmesh.errors import RegistryError
from wmesh.events import InstanceAdded, InstanceRemoved
from wmesh.gateway import Gateway
from wmesh.interfaces import EventSink
from wmesh.model import Address, InstanceRecord, MeshConfig
from wmesh.testing import FakeLauncher, ScriptedProbe

CONFIG = """
[mesh]
state_dir = {state_dir}
[gateway]
listen =
    {listen}
admin_listen = tcp:{admin}:interface=127.0.0.1
drain_timeout = 60s
[registry]
url = memory:
"""
API = "[service:api]\nport = 3007\ncommand = run\nhealth_endpoint = /health\nroutes = /api/"
WEB = "[service:web]\nport = 3017\ncommand = run\nhealth_endpoint = /health\ndependencies = api"
GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Steps(MemoryRegistry):
    """The registry in memory. `started` is what its start waits for; `noted` is what happened, in order."""

    started: Deferred[None] | None = None
    noted: list[str]

    def start(self, sink: EventSink) -> Deferred[None]:
        self.noted.append("registry starts")
        waiting = self.started or succeed(None)
        return waiting.addCallback(lambda _: super(Steps, self).start(sink))

    def stop(self) -> Deferred[None]:
        self.noted.append("registry stops")
        return super().stop()

    def register(self, record: InstanceRecord) -> Deferred[None]:
        self.noted.append(f"{record.id} in")
        return super().register(record)

    def deregister(self, service: str, id: str) -> Deferred[None]:
        self.noted.append(f"{id} out")
        return super().deregister(service, id)


class Launcher(FakeLauncher):
    """`left` is what a gateway before this one left running."""

    left: Sequence[str] = ()

    async def sweep(self) -> Sequence[str]:
        return self.left


class Talk(Protocol):
    """A client: `heard` is all that it was told."""

    def __init__(self) -> None:
        self.heard = b""
        self.over = False

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Any = None) -> None:
        self.over = True


class Mute(Protocol):
    """An instance that takes requests, and says nothing until it is told to."""

    everybody: list[Mute] = []

    def connectionMade(self) -> None:
        self.heard = b""
        self.everybody.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def answer(self) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")


class GatewayCase(TestCase):
    """`public` and `admin` are its ports, `failures` counts how often it said that it could not start."""

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.folder = tempfile.mkdtemp(prefix="wmt-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.public, self.admin, self.other = free_port(), free_port(), free_port()
        self.launcher = Launcher()
        self.probe = ScriptedProbe()
        self.failures = 0
        self.logged: list[tuple[str, str]] = []
        globalLogPublisher.addObserver(self.note)
        self.addCleanup(globalLogPublisher.removeObserver, self.note)

    def note(self, event: LogEvent) -> None:
        if str(event.get("log_namespace")).startswith("wmesh"):
            self.logged.append((event["log_level"].name, formatEvent(event)))

    def said(self, level: str) -> str:
        return "\n".join(text for one, text in self.logged if one == level)

    def config(self, services: Sequence[str], ports: Sequence[int]) -> MeshConfig:
        head = CONFIG.format(
            state_dir=f"{self.folder}/state",
            listen="\n    ".join(f"tcp:{port}:interface=127.0.0.1" for port in ports),
            admin=self.admin,
        )
        return parse("\n".join([head, *services]), "mesh.ini", {}).config

    def gateway(
        self, *services: str, ports: Sequence[int] = (), started: Deferred[None] | None = None
    ) -> Gateway:
        """Not started; the test's end stops it."""

        def registry_for(spec: Any, mesh: Any, reactor: Any, rng: Random | None = None) -> Steps:
            made = Steps(reactor, lease=60.0)
            made.started, made.noted = started, self.steps
            return made

        self.steps: list[str] = []
        self.patch(module, "registry_for", registry_for)
        self.patch(module, "ProcessLauncher", lambda *_: self.launcher)
        self.patch(module, "probes", lambda reactor: lambda spec: self.probe)
        config = self.config(services, ports or [self.public])
        made = Gateway(config, self.reactor, random=Random(1), failed=self.failed)
        self.addCleanup(self.end, made)
        return made

    async def end(self, gateway: Gateway) -> None:
        """Wherever the test left it."""
        self.launcher.hold_stops = False
        for one in [one for one in self.launcher.running.values() if one.stopped]:
            one.end()
        done = gateway.stopService()
        gateway.hurry()
        await done

    def failed(self) -> None:
        self.failures += 1

    async def talk(self, port: int = 0) -> Talk:
        endpoint = TCP4ClientEndpoint(self.reactor, "127.0.0.1", port or self.public)
        client: Talk = await connectProtocol(endpoint, Talk())
        self.addCleanup(client.transport.abortConnection)
        client.transport.write(GET)
        return client

    async def assert_waits(self, client: Talk) -> None:
        """It is not served, while others (the admin side, asked later) are."""
        later = await self.talk(self.admin)
        await until(lambda: later.over, "an answer of the admin side")
        self.assertTrue(later.heard.startswith(b"HTTP/1.1 200 "), later.heard)
        self.assertEqual((client.heard, client.over), (b"", False))

    def assert_nothing_left(self) -> None:
        """What else there could be (connections, delayed calls), trial itself looks for."""
        self.assertTrue(is_free("127.0.0.1", self.public))
        self.assertTrue(is_free("127.0.0.1", self.admin))
        self.assertFalse(Path(self.folder, "state", "gateway.lock").exists())
        self.assertEqual(self.launcher.running, {})


class StartTests(GatewayCase):
    async def test_order(self) -> None:
        """Bound first, clients let in when the registry has spoken, launched last; then it is ready."""
        waiting: Deferred[None] = Deferred()
        self.launcher.left = ["api-9 (pid 1)"]
        gateway = self.gateway(API, WEB, started=waiting)
        gateway.startService()
        await until(lambda: self.steps, "the registry")
        self.assertFalse(is_free("127.0.0.1", self.public))
        self.assertTrue(Path(self.folder, "state", "gateway.lock").exists())
        self.assertIn("ended api-9 (pid 1), which a gateway before this one left running", self.said("info"))
        early = await self.talk()
        await self.assert_waits(early)
        self.assertEqual(gateway.controls.health()["serving"], False)
        self.assertEqual((self.launcher.history, gateway.ready.called), ([], False))
        waiting.callback(None)
        await gateway.ready
        self.assertEqual(self.launcher.history, ["api-1", "web-1"])
        self.assertEqual(self.steps, ["registry starts", "api-1 in", "web-1 in"])
        self.assertEqual(gateway.controls.health()["serving"], True)
        await until(lambda: early.over, "an answer to the early client")
        self.assertTrue(early.heard.startswith(b"HTTP/1.1 404 "), early.heard)
        self.assertEqual(self.said("warn"), "")

    async def test_known_instances_are_checked_first(self) -> None:
        """Nobody is let in before those known at the start had one check each."""
        static = f"[service:shop]\ninstances = 127.0.0.1:{self.other}\nhealth_endpoint = /health\nroutes = /"
        self.probe.hangs()
        gateway = self.gateway(static)
        gateway.startService()
        await until(lambda: self.probe.calls, "the first check")
        early = await self.talk()
        await self.assert_waits(early)
        self.assertNotIn("listening", self.said("info"))
        self.probe.answer(self.probe.calls[0], False, "status 503")
        await until(lambda: early.over, "an answer")
        self.assertTrue(early.heard.startswith(b"HTTP/1.1 503 "), early.heard)

    async def test_a_taken_port(self) -> None:
        """The last of several listeners, or the admin side's: named; the others are closed again, and nothing else has
        begun."""
        for taken in (self.other, self.admin):
            with socket.create_server(("127.0.0.1", taken)):
                gateway = self.gateway(API, ports=[self.public, self.other])
                self.failures = 0
                gateway.startService()
                await until(lambda: self.failures, "the failure")
                words = f"cannot listen at 127.0.0.1:{taken}: Address already in use"
                self.assertIn(words, self.said("critical"))
            self.assertEqual((self.failures, self.launcher.history, gateway.ready.called), (1, [], False))
            self.assertEqual(self.steps, ["registry stops"])
            self.assert_nothing_left()

    async def test_no_registry(self) -> None:
        """A registry that will not start: said once, and all that was begun is undone before it is told on."""
        gateway = self.gateway(API, started=fail(RegistryError("no server to run")))
        undone: list[tuple[bool, str]] = []
        gateway._failed = lambda: undone.append((is_free("127.0.0.1", self.public), self.steps[-1]))
        gateway.startService()
        await until(lambda: undone, "the failure")
        self.assertEqual(undone, [(True, "registry stops")])
        self.assertEqual(self.said("critical"), "cannot start: no server to run")
        self.assertEqual(self.launcher.history, [])
        self.assert_nothing_left()

    async def test_a_fault_of_our_own(self) -> None:
        """Is told with its trace, and undone like any other."""
        gateway = self.gateway(API, started=fail(ZeroDivisionError("ours")))
        gateway.startService()
        await until(lambda: self.failures, "the failure")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assert_nothing_left()

    async def test_state_dir_in_use(self) -> None:
        """Of two gateways that launch, the second does not start, and the first is none the worse."""
        first = self.gateway(API)
        first.startService()
        await first.ready
        self.public, self.admin = free_port(), free_port()
        second = self.gateway(API)
        second.startService()
        await until(lambda: self.failures, "the failure")
        self.assertIn("is in use by another gateway", self.said("critical"))
        self.assertEqual(list(self.launcher.running), ["api-1"])
        self.assertTrue(Path(self.folder, "state", "gateway.lock").exists())

    async def test_stopped_while_it_starts(self) -> None:
        """That is no failure: nothing is launched, nobody is let in, nothing is left, and nothing critical is said."""
        waiting: Deferred[None] = Deferred()
        gateway = self.gateway(API, started=waiting)
        gateway.startService()
        await until(lambda: self.steps, "the registry")
        await gateway.stopService()
        self.assert_nothing_left()
        waiting.errback(RegistryError("stopped"))
        self.assertEqual((self.failures, self.said("critical"), self.launcher.history), (0, "", []))


class StopTests(GatewayCase):
    async def asking(self) -> tuple[Gateway, Talk, Mute]:
        """A gateway that runs, with a request on its way to an instance that has not answered yet."""
        Mute.everybody = []
        factory = Factory.forProtocol(Mute)
        factory.noisy = False
        port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        shop = f"[service:shop]\ninstances = 127.0.0.1:{port.getHost().port}\nhealth_endpoint = /health\nroutes = /"
        gateway = self.gateway(API, WEB, shop)
        gateway.startService()
        await gateway.ready
        client = await self.talk()
        await until(lambda: Mute.everybody and Mute.everybody[0].heard, "the request")
        return gateway, client, Mute.everybody[0]

    async def test_order(self) -> None:
        """Doors first; then running requests, which finish; then what was launched, dependents first; the registry
        last."""
        gateway, client, instance = await self.asking()
        self.launcher.hold_stops = True
        running = dict(self.launcher.running)
        del self.steps[:]
        done = gateway.stopService()
        await until(lambda: is_free("127.0.0.1", self.public), "the listener to close")
        self.assertEqual((self.steps, [one.stopped for one in running.values()]), ([], [False, False]))
        self.assertFalse(is_free("127.0.0.1", self.admin))
        instance.answer()
        await until(lambda: client.over, "the answer")
        self.assertTrue(client.heard.endswith(b"\r\n\r\ndone"), client.heard)
        await until(lambda: running["web-1"].stopped, "the end of web")
        self.assertEqual((sorted(self.steps), running["api-1"].stopped), (["api-1 out", "web-1 out"], False))
        running["web-1"].end()
        await until(lambda: running["api-1"].stopped, "the end of api")
        self.assertNotIn("registry stops", self.steps)
        self.assertFalse(done.called)
        running["api-1"].end()
        await done
        self.assertEqual(self.steps[-1], "registry stops")
        self.assert_nothing_left()

    async def test_hurry(self) -> None:
        """Asked again, it does not wait for running requests: they are cut, and all else is done as it should be."""
        gateway, client, _ = await self.asking()
        gateway.hurry()
        self.assertFalse(client.over)
        done = gateway.stopService()
        await until(lambda: "1 requests are running" in self.said("info"), "what it waits for")
        self.assertFalse(done.called)
        gateway.hurry()
        gateway.hurry()
        await done
        await until(lambda: client.over, "the end of the connection")
        self.assertEqual(client.heard, b"")
        self.assertIn("1 connections had not finished and are cut", self.said("warn"))
        self.assertEqual(self.said("info").count("asked again"), 1)
        self.assertEqual(self.steps[-1], "registry stops")
        self.assert_nothing_left()

    async def test_twice(self) -> None:
        """Who asks again waits for the same end; nothing is stopped a second time."""
        gateway = self.gateway(API)
        gateway.startService()
        await gateway.ready
        first, second = gateway.stopService(), gateway.stopService()
        await first
        await second
        await gateway.stopService()
        self.assertEqual(self.steps.count("registry stops"), 1)

    async def test_every_step_is_taken(self) -> None:
        """A step that fails is told, and keeps none of the others from being taken."""
        gateway = self.gateway(API)
        gateway.startService()
        await gateway.ready
        self.patch(gateway, "_close_listeners", fails := _Failing(gateway._close_listeners))
        self.patch(gateway, "_stop_control", _Failing(gateway._stop_control))
        await gateway.stopService()
        self.assertTrue(fails.called)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual(self.steps[-1], "registry stops")
        self.assert_nothing_left()


class NewsTests(GatewayCase):
    async def test_a_crash(self) -> None:
        """Nobody asked for it: a warning, which log_level = warn shows; that it is back is not."""
        gateway = self.gateway(API)
        gateway.startService()
        await gateway.ready
        self.launcher.crash("api-1")
        await until(lambda: len(self.launcher.history) == 2, "the next life")
        await until(lambda: self.said("info").count("api: 1 of 1 healthy") == 2, "its health")
        self.assertEqual(self.said("warn"), "api-1: killed by SIGKILL; starting it again in 0.1 s")

    async def test_health(self) -> None:
        """Taken out by its checks is a warning, being back is not; both say who, the first says why."""
        static = f"[service:shop]\ninstances = 127.0.0.1:{self.other}\nhealth_endpoint = /health\nroutes = /\n"
        gateway = self.gateway(f"{static}health_check_interval = 100ms")
        gateway.startService()
        await gateway.ready
        self.probe.says(False, "status 503")
        await until(lambda: self.said("warn"), "the warning")
        self.assertEqual(self.said("warn"), f"shop: 127.0.0.1:{self.other} is taken out: status 503")
        self.probe.says(True)
        await until(lambda: "is healthy again" in self.said("info"), "the news")

    async def test_departures(self) -> None:
        """An instance whose lease ended is a warning, at the latest when the gateway stops; a farewell is none."""
        gateway = self.gateway(f"[service:shop]\ninstances = 127.0.0.1:{self.other}\nroutes = /\n")
        gateway.startService()
        await gateway.ready
        for name, reason in (("one", "lease expired"), ("two", "deregistered")):
            gateway.directory.apply(InstanceAdded(InstanceRecord("shop", name, Address("127.0.0.1", self.other))))
            gateway.directory.apply(InstanceRemoved("shop", name, reason))
        await gateway.stopService()
        self.assertEqual(self.said("warn"), "shop: one is gone: lease expired")


class _Failing:
    """A step of stopping that does its work, and then fails."""

    def __init__(self, step: Callable[[], Any]) -> None:
        self._step = step
        self.__name__ = step.__name__
        self.called = False

    async def __call__(self) -> None:
        self.called = True
        await self._step()
        raise ZeroDivisionError("ours")
