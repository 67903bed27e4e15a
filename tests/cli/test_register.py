"""`wmesh register`: a program that knows nothing of the mesh, in a real registry, seen from outside."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.control.registry.scene import Child, Server, alive, spawn, until
from wmesh.cli import main

RECORDS, LOADS = "{wmesh}:records", "{wmesh}:loads"
WMESH = [sys.executable, "-c", "import sys; from wmesh.cli import main; sys.exit(main())"]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class RunningTests(TestCase):
    async def setUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.remove)
        await self.server.start()
        self.port = free_port()
        self.member = f"pricing/127.0.0.1:{self.port}"

    def register(self, *command: str, options: tuple[str, ...] = ()) -> Child:
        fixed = ["register", "--service", "pricing", "--port", str(self.port), "--registry", self.server.url]
        child = spawn([*WMESH, *fixed, *options, "--", *command])
        self.addCleanup(child.end)
        return child

    def serve(self, *options: str) -> Child:
        server = (sys.executable, "-u", "-m", "http.server", str(self.port), "--bind", "127.0.0.1")
        return self.register(*server, options=options)

    async def test_its_life(self) -> None:
        """In once its check passes, with what it uses; told to end, it is out, and its exit status is ours."""
        child = self.serve("--health", "/", "--weight", "3", "--tag", "core", "--metadata", "zone=a")
        await self.server.until(1, "HEXISTS", RECORDS, self.member)
        record = json.loads(await self.server.ask("HGET", RECORDS, self.member))
        self.assertEqual((record["weight"], record["tags"], record["metadata"]), (3, ["core"], {"zone": "a"}))
        await self.server.until(
            lambda data: data is not None and json.loads(data)["memory"] > 1e6, "HGET", LOADS, self.member
        )
        child.signal(signal.SIGTERM)
        await until(lambda: child.ended is not None)
        self.assertEqual((child.ended, await self.server.ask("HLEN", RECORDS)), (143, 0))

    async def test_not_before_its_check_passes(self) -> None:
        """It listens, but its check is 404: it runs on, and is not registered."""
        child = self.serve("--health", "/nope")
        await until(lambda: child.errors.count(b"404") > 2, "some checks")
        self.assertEqual(await self.server.ask("HLEN", RECORDS), 0)
        self.assertIsNone(child.ended)

    async def test_it_crashes(self) -> None:
        """Out of the registry at once, not at the end of a lease."""
        listen = f"import socket, time; s = socket.create_server(('127.0.0.1', {self.port}))"
        program = f"{listen}; time.sleep(1); raise SystemExit(7)"
        child = self.register(sys.executable, "-c", program)
        await self.server.until(1, "HLEN", RECORDS)
        await until(lambda: child.ended is not None)
        self.assertEqual((child.ended, await self.server.ask("HLEN", RECORDS)), (7, 0))

    async def test_exit_statuses(self) -> None:
        """Those of a shell."""
        table = {("sh", "-c", "exit 3"): 3, ("sh", "-c", "kill -9 $$"): 137, ("no-such-command",): 127, ("true",): 0}
        for command, status in table.items():
            child = self.register(*command)
            await until(lambda child=child: child.ended is not None)
            self.assertEqual(child.ended, status, command)

    async def test_signals_pass_through(self) -> None:
        """What the command makes of them is its own affair; our exit status is its own."""
        traps = "trap 'echo int; exit 5' INT; trap 'echo usr1' USR1"
        child = self.register("sh", "-c", f"{traps}; while :; do sleep 0.05; done")
        await until(lambda: _children(child.pid), "the command")
        await until(lambda: _caught(_children(child.pid)[0]), "its traps")
        child.signal(signal.SIGUSR1)
        await until(lambda: b"usr1" in child.output)
        child.signal(signal.SIGINT)
        await until(lambda: child.ended is not None)
        self.assertEqual((child.ended, b"int" in child.output), (5, True))

    async def test_killed(self) -> None:
        """The command does not outlive it."""
        child = self.serve()
        await self.server.until(1, "HLEN", RECORDS)
        (pid,) = _children(child.pid)
        child.signal(signal.SIGKILL)
        await until(lambda: not alive(pid))

    async def test_what_is_not_started(self) -> None:
        """A taken port, a record that makes no sense: 1, and why."""
        with socket.create_server(("127.0.0.1", self.port)):
            child = self.register("touch", f"{self.server.folder}/started")
            await until(lambda: child.ended is not None)
        self.assertEqual((child.ended, b"somebody listens" in child.errors), (1, True))
        child = self.register("touch", f"{self.server.folder}/started", options=("--id", "a b"))
        await until(lambda: child.ended is not None)
        self.assertEqual((child.ended, b"id: 'a b'" in child.errors), (1, True))
        self.assertFalse(Path(self.server.folder, "started").exists())


class CallTests(SynchronousTestCase):
    """What is refused before anything is run."""

    def wmesh(self, *arguments: str) -> tuple[int, str]:
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            status = main(["register", "--service", "pricing", *arguments, "--", "true"])
        return status, err.getvalue()

    def test_where_is_the_registry(self) -> None:
        """Those that no other program can join are refused, with the way that there is."""
        self.patch(os, "environ", {})
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name) / "mesh.ini"
        text = "[mesh]\nstate_dir = /srv/x\n[registry]\nurl = embedded:\n[service:pricing]\n"
        path.write_text(text)
        table = [
            ((), "Give --registry URL"),
            (("--registry", "memory:"), "no other program can join"),
            (("--registry", "embedded:"), "use unix:/absolute"),
            (("--config", str(path)), "--registry unix:/srv/x/registry.sock"),
            (("--config", "/no/mesh.ini"), "cannot be read"),
            (("--registry", "http://x"), "must begin with"),
            (("--registry", "redis+sentinel://x,y"), "names no master"),
            (("--registry", "rediss://x?ca=/no/ca.pem"), "/no/ca.pem: No such file"),
        ]
        for arguments, words in table:
            status, text = self.wmesh("--port", "3007", *arguments)
            self.assertEqual(status, 1)
            self.assertIn(words, text)
        self.assertIn("Give --port", self.wmesh("--registry", "redis://x")[1])

    def test_called_wrongly(self) -> None:
        """2, as of every command."""
        for arguments in (("--port", "99999"), ("--metadata", "x"), ("--weight", "much"), ("--loud",)):
            self.assertEqual(self.wmesh(*arguments)[0], 2)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _caught(pid: int) -> bool:
    """Whether a process has set its trap for SIGUSR1 (proc(5), SigCgt)."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt")]
    return bool(int(line.split()[1], 16) >> (signal.SIGUSR1 - 1) & 1)
