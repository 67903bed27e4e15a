"""What scenarios of a failover need: two Valkeys, three Sentinels that watch over them and, for TLS, doors before them.

The whole is a `Valkey` to the scene of `survival.py`: it is started, killed, and has a URL. Sentinels are quickened by
SENTINEL DEBUG, so that a failover takes a second and not half a minute.
"""

from __future__ import annotations

import signal
from pathlib import Path

from tests.certificates import Authority
from tests.children import spawn
from tests.scenarios.survival import RECOVERY, Cable, End
from tests.scenarios.valkey import Valkey
from tests.scenarios.waiting import until
from wmesh.control.guard import guarded
from wmesh.control.registry.embedded import find_server

MASTER = "mesh"
TLS_HELLO = 0x16


class Sentinel(Valkey):
    """One Sentinel. It must start when the master does have its replica, or it learns of it only after seconds."""

    def __init__(self, folder: Path, master: int) -> None:
        super().__init__(folder)
        self._master = master

    async def start(self) -> None:
        folder = self._folder / f"sentinel-{self.port}"
        folder.mkdir()
        (folder / "sentinel.conf").write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {self._master} 2\n"
            f"sentinel down-after-milliseconds {MASTER} 600\nsentinel failover-timeout {MASTER} 1500\n"
        )
        argv = [find_server(), "sentinel.conf", "--sentinel"]
        self.child = child = spawn(guarded(argv), folder)
        await until("a Sentinel is there", lambda: b"+monitor" in child.output or child.ended is not None, RECOVERY)
        self.ask("SENTINEL", "DEBUG", "INFO-PERIOD", "200", "PUBLISH-PERIOD", "200", "PING-PERIOD", "100")

    def master(self) -> int:
        """The port that it names."""
        return int(self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER).split(b"\r\n")[4])

    def fact(self, name: str) -> int:
        """A number out of what it knows of the master."""
        words = self.ask("SENTINEL", "MASTER", MASTER).split(b"\r\n")
        return int(words[words.index(name.encode()) + 2])


class Replicated(Valkey):
    """A master, a replica and three Sentinels. `main` and `other` are the servers, whichever of them is the master."""

    def __init__(self, folder: Path, tls: Authority | None = None) -> None:
        super().__init__(folder)
        self.tls = tls
        self.main = Valkey(folder)
        self.other = Valkey(folder)
        self.sentinels: list[Sentinel] = []
        self._doors: list[Door] = []

    def _door(self, port: int) -> int:
        """Where clients and Sentinels reach the server at `port`."""
        if self.tls is None:
            return port
        door = Door(port, self.tls)
        self._doors.append(door)
        return door.port

    async def start(self) -> None:
        servers = (self.main, self.other)
        self.shown = {server: self._door(server.port) for server in servers}
        for server in servers:
            server.flags = ("--replica-announce-port", str(self.shown[server]), "--repl-diskless-sync-delay", "0")
            if server is self.other:
                server.flags += ("--replicaof", "127.0.0.1", str(self.shown[self.main]))
            await server.start()
        up = b"master_link_status:up"
        await until("the replica follows", lambda: up in self.other.ask("INFO", "replication"), RECOVERY)
        self.sentinels = [Sentinel(self._folder, self.shown[self.main]) for _ in range(3)]
        for sentinel in self.sentinels:
            await sentinel.start()
        self._addresses = ",".join(f"127.0.0.1:{self._door(sentinel.port)}" for sentinel in self.sentinels)
        await until("the Sentinels know everybody", self._acquainted, RECOVERY)

    def _acquainted(self) -> bool:
        return all(one.fact("num-slaves") == 1 and one.fact("num-other-sentinels") == 2 for one in self.sentinels)

    def url(self, port: int = 0) -> str:
        if self.tls is None:
            return f"redis+sentinel://{self._addresses}/{MASTER}"
        return f"rediss+sentinel://{self._addresses}/{MASTER}?{self.tls.options}"

    async def follows(self) -> None:
        """The failover is over: all Sentinels name the other server, and it says so itself."""
        new = self.shown[self.other]
        named = "the Sentinels name the new master"
        await until(named, lambda: all(one.master() == new for one in self.sentinels), 30.0)
        await until("it is a master", lambda: b"master" in self.other.ask("ROLE"), RECOVERY)

    async def demoted(self) -> None:
        await until("the old master is a replica", lambda: b"slave" in self.main.ask("ROLE"), 25.0)

    async def kill(self) -> None:
        for one in (*self.sentinels, self.main, self.other):
            if one.child is not None:
                one.child.signal(signal.SIGCONT)
                await one.child.end()
                print(one.child.output.decode() if isinstance(one, Sentinel) else "")
        for door in self._doors:
            await door.close()


def clients_of(server: Valkey) -> list[str]:
    """The commands that clients of a server sent last, those of Sentinels and of replication left out."""
    lines = server.ask("CLIENT", "LIST").decode().splitlines()
    found = [dict(word.partition("=")[::2] for word in line.split()) for line in lines if line.startswith("id=")]
    quiet = [one for one in found if not one["name"].startswith("sentinel-") and not set("MS") & set(one["flags"])]
    return [one["cmd"] for one in quiet if one["cmd"] != "client|list"]


class Door(Cable):
    """A port before a server that speaks TLS to those who begin with it, and passes all others on as they are.

    So clients use TLS where Sentinels and replicas, whose binary here has none, reach the same address without.
    """

    def __init__(self, server: int, tls: Authority) -> None:
        self.options = tls.server_options()
        super().__init__(server)

    def buildProtocol(self, addr: object) -> _Outside:
        return _Outside(self, None)


class _Outside(End):
    begun = False

    def dataReceived(self, data: bytes) -> None:
        if not self.begun:
            self.begun = True
            if data[0] == TLS_HELLO:
                self.transport.startTLS(self.cable.options)
                self.transport.protocol.dataReceived(data)
                return
        super().dataReceived(data)
