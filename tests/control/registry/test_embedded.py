"""EmbeddedRegistry: a server that comes and goes with us, heals, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.children import alive, spawn
from tests.control.registry.contract import RealTimeContract
from tests.control.registry.scene import Recorder, a_record
from tests.waiting import until
from wmesh.control.guard import guarded
from wmesh.control.registry import embedded
from wmesh.control.registry.embedded import EmbeddedRegistry, find_server
from wmesh.control.registry.premises import LONGEST_SOCKET_PATH
from wmesh.control.registry.redis import RedisRegistry
from wmesh.errors import RegistryError
from wmesh.events import InstanceRemoved, InstancesReset
from wmesh.interfaces import Registry
from wmesh.model import LoadSample, RegistrySpec
from wmesh.registry_url import parse_target

# A gateway in miniature, to be killed: it says the pid of its server.
GATEWAY = """
import sys
from twisted.internet import reactor
from wmesh.control.registry.embedded import EmbeddedRegistry
from wmesh.model import RegistrySpec
registry = EmbeddedRegistry(RegistrySpec(), sys.argv[1], reactor)
registry.start(lambda event: None).addCallback(lambda _: print(registry.status()["pid"], flush=True))
reactor.run()
"""


class EmbeddedContractTests(RealTimeContract, TestCase):
    """The contract. The first client is the one with the server, the others join it by its socket."""

    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="wmt-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.host: EmbeddedRegistry | None = None

    async def client(self, lease: float) -> Registry:
        from twisted.internet import reactor

        spec = RegistrySpec(lease=lease, heartbeat=0.1)
        if self.host is None:
            self.host = EmbeddedRegistry(spec, self.folder, reactor)
            self.addCleanup(self.host.stop)
            return self.host
        guest = RedisRegistry(parse_target(self.host.status()["url"]), spec, reactor)
        self.addCleanup(guest.stop)
        return guest

    async def test_stop(self) -> None:
        """What ends differently here: the server goes with its registry, and what was registered goes with it."""
        one, told = await self.started()
        await one.register(a_record())
        await self.until(lambda: told.known)
        await one.stop()
        await one.stop()
        self.assertEqual(len(told.events), 2)
        await one.start(later := Recorder())
        self.assertEqual(later.events, [InstancesReset("registry", ())])


class EmbeddedTests(TestCase):
    """A state directory for each test, which must be empty when everything has stopped."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="wmt-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def registry(self, folder: Path | None = None, **options: Any) -> EmbeddedRegistry:
        from twisted.internet import reactor

        registry = EmbeddedRegistry(RegistrySpec(lease=30.0), str(folder or self.folder), reactor, **options)
        self.addCleanup(registry.stop)
        return registry

    def left(self) -> list[str]:
        return sorted(os.listdir(self.folder))

    async def test_life(self) -> None:
        """Started it serves, stopped it leaves neither process nor file; and so a second time."""
        registry = self.registry()
        for _ in range(2):
            told = Recorder()
            await registry.start(told)
            await registry.register(a_record())
            self.assertEqual(await registry.renew({("pricing", "x"): LoadSample()}), [("pricing", "x")])
            await until(lambda told=told: told.known)
            await registry.deregister("pricing", "pricing-1")
            await until(lambda told=told: not told.known)
            status = registry.status()
            self.assertEqual((status["kind"], status["connected"], status["restarts"]), ("embedded", True, 0))
            self.assertEqual(self.folder.stat().st_mode & 0o077, 0)
            await registry.stop()
            self.assertFalse(alive(status["pid"]))
            self.assertEqual(self.left(), [])

    async def test_not_running(self) -> None:
        """Before start and after stop every operation fails as promised."""
        registry = self.registry()
        await registry.stop()
        await self.assertFailure(registry.register(a_record()), RegistryError)
        await self.assertFailure(registry.deregister("a", "b"), RegistryError)
        await self.assertFailure(registry.renew({}), RegistryError)
        self.assertFalse(registry.status()["connected"])

    async def test_makes_the_directory(self) -> None:
        """A state directory that does not exist is made, for us alone."""
        folder = self.folder / "var" / "wmesh"
        await self.registry(folder).start(Recorder())
        self.assertEqual(folder.stat().st_mode & 0o777, 0o700)

    async def test_server_killed(self) -> None:
        """kill -9 of the server: it is started again, registrations are back, and the sink never saw them go."""
        registry, told = self.registry(), Recorder()
        await registry.start(told)
        await registry.register(a_record())
        await until(lambda: told.known)
        for restarts in (1, 2):
            os.kill(registry.status()["pid"], signal.SIGKILL)
            await until(lambda restarts=restarts: registry.status()["restarts"] == restarts)
            await until(lambda restarts=restarts: len(told.of(InstancesReset)) == restarts + 1)
            self.assertEqual(list(told.known), ["pricing-1"])
        self.assertEqual(told.of(InstanceRemoved), [])
        await registry.stop()
        self.assertEqual(self.left(), [])

    async def test_stop_while_restarting(self) -> None:
        """Stopping in the middle of a restart leaves nothing either."""
        registry = self.registry()
        await registry.start(Recorder())
        os.kill(registry.status()["pid"], signal.SIGKILL)
        await until(lambda: registry.status()["pid"] is None)
        await until(lambda: registry.status()["pid"] is not None)
        pid = registry.status()["pid"]
        await registry.stop()
        self.assertFalse(alive(pid))
        self.assertEqual(self.left(), [])

    async def test_hung_server(self) -> None:
        """A server that ignores SIGTERM (it is stopped) is made to end."""
        self.patch(embedded, "GRACE", 0.2)
        registry = self.registry()
        await registry.start(Recorder())
        pid = registry.status()["pid"]
        os.kill(pid, signal.SIGSTOP)
        await registry.stop()
        self.assertFalse(alive(pid))
        self.assertEqual(self.left(), [])

    async def test_one_gateway_per_directory(self) -> None:
        """The second one is told so, and does the first no harm."""
        first, told = self.registry(), Recorder()
        await first.start(told)
        second = self.registry()
        with self.assertRaises(RegistryError) as caught:
            await second.start(Recorder())
        self.assertIn("in use by another gateway", str(caught.exception))
        self.assertIn("state_dir", str(caught.exception))
        await second.stop()
        await first.register(a_record())
        await until(lambda: told.known)
        await first.stop()
        await second.start(Recorder())

    async def test_gateway_killed(self) -> None:
        """kill -9 of the gateway ends its server; the next start clears up and serves, the next stop leaves nothing."""
        gateway = spawn([sys.executable, "-c", GATEWAY, str(self.folder)])
        self.addCleanup(gateway.end)
        await until(lambda: gateway.output.endswith(b"\n"))
        pid = int(gateway.output)
        self.assertTrue(alive(pid))
        gateway.signal(signal.SIGKILL)
        await until(lambda: not alive(pid), "the server's death")
        self.assertIn("registry.lock", self.left())
        registry = self.registry()
        await registry.start(Recorder())
        self.assertNotEqual(registry.status()["pid"], pid)
        await registry.stop()
        self.assertEqual(self.left(), [])

    async def test_stale_server(self) -> None:
        """A server of an earlier run that still lives (it was stopped, say) is ended before a new one starts."""
        socket = str(self.folder / "registry.sock")
        flags = ["--port", "0", "--unixsocket", socket, "--set-proc-title", "no", "--save", ""]
        old = spawn(guarded([find_server(), *flags]))
        self.addCleanup(old.end)
        await until(lambda: b"eady to accept" in old.output)
        self.write_note(old.pid, socket)
        registry = self.registry()
        await registry.start(Recorder())
        self.assertIsNotNone(old.ended)
        await registry.stop()
        self.assertEqual(self.left(), [])

    async def test_strangers_are_spared(self) -> None:
        """A note whose pid now belongs to somebody else kills nobody: neither by pid nor by pid and start time."""
        stranger = spawn(["/bin/sleep", "60"])
        self.addCleanup(stranger.end)
        for started in (None, 12345):
            self.write_note(stranger.pid, str(self.folder / "registry.sock"), started)
            registry = self.registry()
            await registry.start(Recorder())
            await registry.stop()
            self.assertIsNone(stranger.ended)
            self.assertEqual(self.left(), [])

    async def test_unreadable_note(self) -> None:
        """A note that is damaged is removed."""
        for text in ("", "{", "[]", '{"pid": "1"}'):
            (self.folder / "registry.json").write_text(text)
            registry = self.registry()
            await registry.start(Recorder())
            await registry.stop()
            self.assertEqual(self.left(), [])

    async def test_long_path(self) -> None:
        """Where the path is too long for a socket, the socket goes elsewhere, and is removed from there too."""
        folder = self.folder / ("x" * 100)
        registry = self.registry(folder)
        await registry.start(Recorder())
        socket = Path(registry.status()["url"].removeprefix("unix:"))
        self.assertLessEqual(len(str(socket)), LONGEST_SOCKET_PATH)
        self.assertTrue(socket.is_socket())
        self.assertEqual(socket.parent.stat().st_mode & 0o777, 0o700)
        await registry.stop()
        self.assertFalse(socket.parent.exists())
        self.assertEqual(os.listdir(folder), [])

    async def test_long_path_after_a_kill(self) -> None:
        """The private directory of a killed gateway is found through the note, and removed."""
        folder = self.folder / ("x" * 100)
        gateway = spawn([sys.executable, "-c", GATEWAY, str(folder)])
        self.addCleanup(gateway.end)
        await until(lambda: gateway.output.endswith(b"\n"))
        private = Path(json.loads((folder / "registry.json").read_text())["socket"]).parent
        await gateway.end()
        self.assertTrue(private.exists())
        registry = self.registry(folder)
        await registry.start(Recorder())
        self.assertFalse(private.exists())

    async def test_no_server(self) -> None:
        """Without any server to run, the message says what can be done."""
        self.patch(embedded.importlib.util, "find_spec", lambda name: None)
        self.patch(embedded.shutil, "which", lambda name: None)
        with self.assertRaises(RegistryError) as caught:
            await self.registry().start(Recorder())
        self.assertIn("wmesh[embedded]", str(caught.exception))
        self.assertEqual(self.left(), [])

    async def test_server_from_path(self) -> None:
        """Without the wheel, a server on PATH is taken."""
        self.patch(embedded.importlib.util, "find_spec", lambda name: None)
        self.patch(embedded.shutil, "which", lambda name: "/bin/redis" if name == "redis-server" else None)
        self.assertEqual(find_server(), "/bin/redis")

    async def test_server_will_not_start(self) -> None:
        """A server that ends at once: the start fails with its last words, and leaves nothing."""
        for binary, words in (("/bin/false", "exit code 1"), ("/no/such/server", "no such command")):
            with self.assertRaises(RegistryError) as caught:
                await self.registry(binary=binary).start(Recorder())
            self.assertIn(words, str(caught.exception))
            self.assertEqual(self.left(), [])

    async def test_directory_is_a_file(self) -> None:
        """A state directory that cannot be one is named."""
        path = self.folder / "file"
        path.write_text("")
        with self.assertRaises(RegistryError) as caught:
            await self.registry(path).start(Recorder())
        self.assertIn(str(path), str(caught.exception))

    def write_note(self, pid: int, socket: str, started: int | None = None) -> None:
        if started is None:
            started = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
        note = {"pid": pid, "started": started, "socket": socket}
        (self.folder / "registry.json").write_text(json.dumps(note))
