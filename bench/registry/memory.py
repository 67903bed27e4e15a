"""What a registry costs its server: `python -m bench.registry.memory`, the figures of docs/registry-sizing.rst.

A server of its own (the embedded Valkey, without the limit that a gateway gives it) is given so many instances by the
scripts themselves, in calls of 500 as the gateway makes them. Memory is `MEMORY USAGE` of each key, all samples
counted, beside `used_memory` of the whole server; times are those that the server itself counts (`INFO commandstats`),
without network.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from bench.registry.wire import ask, packed
from wmesh.control.guard import guarded
from wmesh.control.registry import scripts
from wmesh.control.registry.codec import encode_load, encode_record, member_name
from wmesh.control.registry.embedded import find_server
from wmesh.model import Address, InstanceRecord, LoadSample

SIZES = (100, 1_000, 10_000)
CHUNK = 500
LEASE = 3_600_000
KEYS = scripts.keys("wmesh")


class Client:
    """Commands, one after the other."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)

    def ask(self, *words: bytes | str | int) -> Any:
        [answer] = ask(self._socket, packed(*words))
        return answer

    def run(self, script: scripts.Script, *words: bytes | str | int) -> Any:
        return self.ask("EVAL", script.text, len(KEYS), *KEYS, *words)

    def info(self, section: str) -> dict[str, str]:
        lines = self.ask("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)


def fleet(size: int, weight: int) -> list[tuple[str, bytes]]:
    """So many members with their records, of twenty services."""
    records = (
        InstanceRecord(
            f"service-{number % 20}",
            f"10.0.{number // 250}.{number % 250}:8000",
            Address(f"10.0.{number // 250}.{number % 250}", 8000),
            "1.4.2",
            weight,
            ("core",),
            (("rack", "r17"), ("zone", "eu-1a")),
            f"{number:032x}",
        )
        for number in range(size)
    )
    return [(member_name(record.service, record.id), encode_record(record)) for record in records]


def chunks(pairs: Sequence[tuple[str, bytes]]) -> Iterator[list[str | bytes]]:
    for start in range(0, len(pairs), CHUNK):
        yield [part for pair in pairs[start : start + CHUNK] for part in pair]


def spent(client: Client) -> float:
    """Milliseconds that the server has spent on scripts since the last CONFIG RESETSTAT."""
    found = client.info("commandstats").get("cmdstat_eval", "calls=0,usec=0")
    return int(found.split("usec=")[1].split(",")[0]) / 1000


def measure(client: Client, size: int) -> str:
    client.ask("FLUSHALL", "SYNC")
    client.run(scripts.SNAPSHOT, "", "", "")

    def used(*keys: bytes) -> int:
        return sum(int(client.ask("MEMORY", "USAGE", key, "SAMPLES", 0) or 0) for key in keys)

    def timed(script: scripts.Script, calls: Sequence[Sequence[str | bytes | int]]) -> float:
        client.ask("CONFIG", "RESETSTAT")
        for words in calls:
            client.run(script, *words)
        return spent(client)

    records = fleet(size, 1)
    register = timed(scripts.REGISTER, [(LEASE, *chunk) for chunk in chunks(records)])
    bare = used(*KEYS[:3])
    loads = [(member, encode_load(LoadSample(12.5, 73400320))) for member, _ in records]
    renew = timed(scripts.RENEW, [(LEASE, *chunk) for chunk in chunks(loads)])
    whole = bare + used(KEYS[4])
    snapshot = timed(scripts.SNAPSHOT, [("", "", "")])
    sweep = timed(scripts.EXPIRE, [(LEASE, CHUNK, round(time.time() * 1000) + 60_000)])
    read = timed(scripts.LOADS, [()])
    for weight in range(2, 2 + -(-12_000 // size)):
        for chunk in chunks(fleet(size, weight)):
            client.run(scripts.REGISTER, LEASE, *chunk)
    stream = used(KEYS[3]) / 2**20
    server = int(client.info("memory")["used_memory"]) / 2**20
    return (
        f"{size:9,}  {len(records[0][1]):6}  {bare / size:9.0f}  {whole / size:9.0f}  {whole / 2**20:6.2f} MiB"
        f"  {stream:4.1f} MiB ({client.ask('XLEN', KEYS[3])} entries)  {server:4.1f} MiB"
        f"  {register:8.1f}  {renew:8.1f}  {snapshot:8.1f}  {sweep:8.3f}  {read:8.1f}"
    )


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="wmb-") as folder:
        path = f"{folder}/s"
        flags = ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", folder]
        server = subprocess.Popen(guarded([find_server(), *flags]), stdout=subprocess.PIPE)
        try:
            assert server.stdout is not None
            while b"eady to accept" not in server.stdout.readline():
                pass
            client = Client(path)
            print("server", client.info("server").get("valkey_version") or client.info("server")["redis_version"])
            print("instances  record  bytes each  with load  altogether  stream when full  server; ms of the server:"
                  "  register, renew, snapshot, sweep, loads, all instances at once")
            for size in SIZES:
                print(measure(client, size))
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    main()
