"""Where a scenario plays: a folder for each gateway, instances of our own, and the clearing up that is itself a test.

`close` stops every gateway that still runs and demands what every user may demand of a gateway that stopped: exit code
0, no process, and no file that was not there before.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, gatherResults

from tests.scenarios.clients import Client, Raw
from tests.scenarios.instances import Instance
from tests.scenarios.program import Program, belongings
from tests.scenarios.valkey import Valkey
from tests.scenarios.waiting import until

P = TypeVar("P", bound=Program)
WILLS = "wills.json"


class Stage:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs: list[Program] = []
        self._instances: list[Instance] = []
        self._clients: list[Client] = []
        self._valkeys: list[Valkey] = []
        self._known: dict[Path, set[Path]] = {}
        self._cleanups: list[Callable[[], Any]] = []

    # --- what scenarios ask for

    async def gateway(self, config: str, *, name: str = "gateway", ready: bool = True) -> Program:
        """Start a gateway in a folder of this name, where it may find what an earlier one left."""
        program = self.launch(config, name=name)
        if ready:
            await program.ready()
        return program

    def launch(self, config: str, *, name: str = "gateway", listening: socket.socket | None = None) -> Program:
        """Start one and do not wait for it."""
        program = self.add(Program, config, name)
        program.start(listening)
        return program

    def add(self, kind: Callable[[Path, str], P], config: str, name: str) -> P:
        """A program of any kind, not started, in the folder of this name with this mesh.ini."""
        folder = self.folder(name)
        (folder / "mesh.ini").write_text(config)
        self._known[folder] |= {folder / "mesh.ini"}
        program = kind(folder, secrets.token_hex(8))
        self._programs.append(program)
        return program

    def folder(self, name: str = "gateway") -> Path:
        """The working directory of the gateway of this name. What is put there by `keep` may stay."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        self._known.setdefault(folder, set())
        return folder

    def keep(self, path: Path) -> Path:
        self._known[path.parent].add(path)
        return path

    def instance(self, name: str, port: int = 0, interface: str = "127.0.0.1", tls: Any = None) -> Instance:
        """An instance that listens in this process, over TLS with `tls` (options of a server)."""
        instance = Instance(name, port, interface, tls)
        self._instances.append(instance)
        return instance

    async def valkey(self, password: str = "") -> Valkey:
        """A server for registries, started."""
        valkey = Valkey(self._folder, password)
        self._valkeys.append(valkey)
        await valkey.start()
        return valkey

    def client(self, base: str | int, **options: Any) -> Client:
        """A client of a base URL, or of a port of this machine."""
        client = Client(f"http://127.0.0.1:{base}" if isinstance(base, int) else base, **options)
        self._clients.append(client)
        return client

    async def raw(self, port: int) -> Raw:
        raw = await Raw.connect(port)
        self.at_end(raw.abort)
        return raw

    def at_end(self, clear: Callable[[], Any]) -> None:
        self._cleanups.append(clear)

    # --- the end

    def leftovers(self, program: Program) -> list[str]:
        """What is there now and should not be, once the gateway has stopped."""
        processes = [f"process {pid}: {command}" for pid, command in program.family().items()]
        files = [path for path in program.folder.rglob("*") if not path.is_dir() or path.is_symlink()]
        known = self._known[program.folder]
        # Carts and results are the grocery's documents, and meant to stay; so is what operators said.
        files = [path for path in files if path not in known and path.suffix != ".sqlite" and path.name != WILLS]
        return processes + [str(path.relative_to(program.folder)) for path in files]

    def assert_nothing_left(self, program: Program) -> None:
        left = self.leftovers(program)
        assert not left, f"the gateway left behind: {left}\n{program.output}"

    async def close(self) -> None:
        """Only gateways that were left running are judged: who ended one himself has judged it himself."""
        running = [program for program in self._programs if program.running]
        try:
            for clear in reversed(self._cleanups):
                clear()
            await gatherResults([Deferred.fromCoroutine(client.close()) for client in self._clients])
            codes = [await program.stop() for program in running]
            assert not any(codes), f"the gateways ended with {codes}"
            for program in running:
                self.assert_nothing_left(program)
        finally:
            for instance in self._instances:
                await instance.close()
            for valkey in self._valkeys:
                await valkey.kill()
            await self._kill_everything()
            for program in self._programs:
                # Shown by pytest beside a failure, whichever it is.
                print(f"--- {program.folder.name}, pid {program.pid}, ended with {program.code}\n{program.output}")

    async def _kill_everything(self) -> None:
        def left() -> list[int]:
            return [pid for program in self._programs for pid in belongings(program.folder, program.mark)]

        for pid in left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await until("what was left is killed", lambda: not left())
