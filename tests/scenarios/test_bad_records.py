"""Everything that is malformed, oversized or a lie, thrown at a live gateway by all ways in, under steady load.

Through Redis it is written by hand, past every script; over HTTP it is asked for. Good instances serve on without one
failed request, those that come meanwhile are taken in, each bad record costs one line of the log, and the gateway's
memory does not follow what lies in Redis.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest_twisted

from tests.scenarios.survival import RECOVERY, Scene
from tests.scenarios.waiting import until

RECORDS, LEASES, VERSION, CHANGES, LOADS = (
    f"{{wmesh}}:{name}" for name in ("records", "leases", "version", "changes", "loads")
)
GOOD: dict[str, Any] = {"v": 1, "service": "shop", "id": "x", "host": "127.0.0.1", "port": 9}
FLOOD = 5_000_000

FIELDS: dict[str, list[Any]] = {
    "port": [0, 99999, "80", True, 80.5, None, 10**400],
    "service": ["shop\n", "a/b", "", "s" * 1_000_000, 7],
    "id": ["\x1b[2J", "../x", "", "i" * 1_000_000, ["x"]],
    "host": ["", "not a host", "http://x", "0.0.0.0", "x\x1b[31m", {"a": 1}],
    "weight": [0, -1, 1001, 1e308, "1", True],
    "tags": ["x", ["\x9b2J"], ["x"] * 65, [7]],
    "metadata": ["x", {"a": "\x1b]0;owned\x07"}, {"a": "x" * FLOOD}, {"a": 7}, {"\u202e": "x"}],
    "v": [0, 2, "1"],
    "wieght": [1],
}
TEXTS = [
    b"",
    b"{",
    b"\xff\xfe{}",
    b"[" * 100_000,
    b'{"v":1,"v":1}',
    b'{"v":NaN}',
    b'{"v":-Infinity}',
    b'{"v":' + b"[" * 990 + b"]" * 990 + b"}",
    b'{"port":' + b"9" * 5000 + b"}",
    b"null",
    b"x" * FLOOD,
    json.dumps({**GOOD, "id": "somebody-else"}).encode(),
]


class Vandal:
    """Writes into Redis whatever it likes."""

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), 10)
        self._answers = self._connection.makefile("rb")

    def write(self, *words: str | bytes) -> None:
        parts = [word.encode("utf-8", "surrogatepass") if isinstance(word, str) else word for word in words]
        data = b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        self._connection.sendall(b"*%d\r\n%b" % (len(parts), data))
        answer = self._answers.readline()
        if answer.startswith(b"$"):
            answer = self._answers.read(int(answer[1:]) + 2)
        assert not answer.startswith(b"-"), answer

    def close(self) -> None:
        self._answers.close()
        self._connection.close()


@pytest_twisted.ensureDeferred
async def test_written_by_hand(tmp_path: Path) -> None:
    """Records, samples, leases, versions and stream entries of every wrong kind, and keys of the wrong type."""
    scene = Scene(tmp_path)
    try:
        await scene.begin()
        vandal = Vandal(scene.valkey.port)
        before = scene.gateway.program.peak()

        for number, text in enumerate(TEXTS):
            vandal.write("HSET", RECORDS, f"shop/text-{number}", text)
        for field, values in FIELDS.items():
            for number, value in enumerate(values):
                record = {**GOOD, "id": f"{field}-{number}", field: value}
                vandal.write("HSET", RECORDS, f"shop/{field}-{number}", json.dumps(record))
        for number in range(20):
            vandal.write("HSET", RECORDS, f"shop/flood-{number}", "x" * FLOOD)
            vandal.write("HSET", LOADS, f"shop/flood-{number}", "x" * FLOOD)
        for member in (b"no-slash", b"\xff/\x1b[2J", b"shop/" + b"m" * 1_000_000, b"wmesh-admin/evil"):
            vandal.write("HSET", RECORDS, member, json.dumps({**GOOD, "service": "wmesh-admin", "id": "evil"}))
            vandal.write("ZADD", LEASES, "1", member)
        await scene.join("d")
        await scene.gateway.knows("a", "b", "c", "d")

        for load in ('{"cpu":-1}', '{"cpu":1e308}', "[]", "\x1b[2J", "x" * FLOOD):
            vandal.write("HSET", LOADS, "shop/a", load)
        vandal.write("ZADD", LEASES, "+inf", "shop/a", "-inf", "shop/nobody")
        for fields in (("a", "b"), ("kind", "put", "version", "1"), ("kind", "\x1b", "version", "9" * 5000)):
            vandal.write("XADD", CHANGES, "*", *fields)
        vandal.write("XADD", CHANGES, "*", "kind", "put", "service", "shop", "id", "x", "record", "x", "version", "1")
        await scene.join("e")
        await scene.gateway.knows("a", "b", "c", "d", "e")

        for version in ("abc", "-1", "9" * 18):
            vandal.write("SET", VERSION, version)
            await scene.instances["e"].say_goodbye()
            await scene.gateway.knows("a", "b", "c", "d")
            await scene.join("e")
            await scene.gateway.knows("a", "b", "c", "d", "e")
        vandal.write("XADD", CHANGES, f"{2**64 - 1}-{2**64 - 1}", "a", "b")
        for key in (LOADS, CHANGES, VERSION, LEASES, RECORDS):
            vandal.write("DEL", key)
            vandal.write("RPUSH", key, "mine")
            await scene.join(f"after-{key[8:]}")
        everybody = sorted(scene.instances)
        await scene.gateway.knows(*everybody)
        vandal.close()

        # Everything bad is gone from Redis when its lease is over.
        count = f":{len(everybody)}\r\n".encode()
        await until("only the good are left", lambda: scene.valkey.ask("HLEN", RECORDS) == count, RECOVERY)
        assert (await scene.gateway.ask("/status"))["uptime_seconds"] > 0
        assert scene.gateway.program.peak() - before < 100_000_000
        lines = scene.gateway.output.splitlines()
        assert not [line for line in lines if not line.isprintable() or len(line) > 500]
        assert "Traceback" not in scene.gateway.output
        told = [line.split("passed over: ")[1].split(": ")[0] for line in lines if "record in the registry is" in line]
        assert len(told) == len(set(told)) > 40
        await scene.unhurt("bad records in Redis")
    finally:
        await scene.end()


@pytest_twisted.ensureDeferred
async def test_asked_for_over_http(tmp_path: Path) -> None:
    """Each is refused by a status and words that name the field, and nothing of it reaches the registry."""
    scene = Scene(tmp_path)
    try:
        await scene.begin()
        client = scene.gateway.client
        place = "/service-mesh/registry/shop/x"
        headers = {"Content-Type": "application/json"}
        for text in TEXTS:
            answer = await client.ask("PUT", place, text, headers)
            assert answer.status in (400, 413, 422), answer
        for field, values in FIELDS.items():
            if field in ("v", "service", "id"):
                continue
            for value in values:
                body = json.dumps({"host": "127.0.0.1", "port": 9, field: value}).encode()
                answer = await client.ask("PUT", place, body, headers)
                assert answer.status in (413, 422), answer
                assert answer.status == 413 or field in answer.json["reason"], answer
                assert answer.json["reason"].isprintable()
        body = b'{"host": "127.0.0.1", "port": 9}'
        for path in ("a%2Fb/x", "shop/%1B%5B2J", "shop/%FF", "%00/x", f"shop/{'i' * 4000}", "wmesh-admin/x"):
            answer = await client.ask("PUT", f"/service-mesh/registry/{path}", body, headers)
            assert answer.status in (404, 409, 414, 422, 431), answer
        for text in (b'{"cpu":-1}', b'{"cpu":1e308}', b'{"cpu":NaN}', b'{"disk":1}', b"[]"):
            answer = await client.ask("POST", f"{place}/heartbeat", text, headers)
            assert answer.status in (400, 404, 422), answer
        assert await scene.gateway.ids(healthy=False) == ["a", "b", "c"]
        assert scene.valkey.ask("HLEN", RECORDS) == b":3\r\n"
        assert "Traceback" not in scene.gateway.output
        await scene.unhurt("bad records over HTTP")
    finally:
        await scene.end()
