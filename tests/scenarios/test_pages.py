"""What the pages of the manual print, done as it stands there: examples of health, breakers, limits and stickiness.

Only ports are others, since those of the manual may be taken. (The page on redis-cli has a scenario of its own.)
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import pytest_twisted

from tests.ports import free_port
from tests.scenarios.meshes import ROOT
from tests.scenarios.pages import blocks
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until
from wmesh.config.parse import parse
from wmesh.control.guard import guarded

PAGES = ("breakers", "health", "limits", "sticky", "strategies")
OTHERS = ("near_first",)
"""Strategies that a page has the reader write: no gateway of ours knows them."""


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.rst").read_text()


def configurations(text: str) -> list[str]:
    """The literal blocks of a page that are, or are part of, a mesh.ini."""
    found = re.findall(r"(?m)(?:::|code-block:: ini)\n\n((?: {4}.*\n|\n)+)", text)
    plain = (re.sub(r"(?m)^ {4}", "", block) for block in found)
    return [block for block in plain if re.match(r"\[(mesh|gateway|registry|service:\w+)\]\n", block)]


@pytest.mark.parametrize("name", PAGES)
def test_configurations_are_good(name: str) -> None:
    """Nobody who copies an example is told that it is wrong, or that a part of it has no effect."""
    found = [block for block in configurations(page(name)) if not any(other in block for other in OTHERS)]
    assert found
    for block in found:
        text = block if "[service:" in block else f"{block}\n[service:x]\ninstances = 127.0.0.1:1\n"
        if "instances =" not in text:
            text = re.sub(r"(\[service:\w+\]\n)", r"\1instances = 127.0.0.1:1\n", text)
        assert parse(text, name, {}).config.notes == (), block


@pytest_twisted.ensureDeferred
async def test_the_moody_instance(stage: Stage, tmp_path: Path) -> None:
    """Its breaker opens after five failures, says so and why in the printed words, and closes after three trials."""
    text = page("breakers")
    [program], [config] = blocks(text, "python"), blocks(text, "ini")
    (tmp_path / "moody.py").write_text("\n".join(program) + "\n")
    ports = {old: free_port() for old in (9001, 9002, 9003)}
    for port in ports.values():
        child = subprocess.Popen(guarded([sys.executable, str(tmp_path / "moody.py"), str(port)]))
        stage.at_end(child.wait)
        stage.at_end(child.terminate)
    public, admin = free_port(), free_port()
    listen = f"tcp:{public}\nadmin_listen = tcp:{admin}:interface=127.0.0.1"
    ini = "\n".join(config).replace("tcp:8000", listen)
    for old, new in ports.items():
        ini = ini.replace(f":{old}", f":{new}")
    gateway = await stage.gateway(ini)
    moody, client = stage.client(ports[9002]), stage.client(public)

    [printed] = re.findall(r"(?m)^ +((?:200 |500 )+200)$", text)
    await moody.get("/mood?status=500")
    seen = [(await client.get("/moody/x")).status for _ in printed.split()]
    assert sorted(map(str, seen)) == sorted(printed.split()), seen
    last = max(index for index, status in enumerate(seen) if status == 500)
    assert last <= 14, seen

    def printed_line(end: str) -> str:
        """The line of the page that ends like this, without its time, as it is for our port."""
        [line] = set(re.findall(rf"(?m)^ +[\d:]+ (?:info|warn) +(moody: .*{re.escape(end)})$", text))
        return line.replace("127.0.0.1:9002", f"127.0.0.1:{ports[9002]}")

    await gateway.says(printed_line("5 of 5 calls failed within 10 s"))
    answer = await stage.client(admin).get("/service-mesh/explain?path=/moody/x")
    [excluded] = answer.json["excluded"]
    [reason] = excluded["reasons"]
    assert re.sub(r"another [\d.]+ s", "another 5.2 s", reason) in text
    await moody.get("/mood?status=200")
    await gateway.says(printed_line("it may be tried again"))
    closed = printed_line("3 trials went well")

    async def tried() -> bool:
        assert (await client.get("/moody/x")).status == 200
        return any(closed in line for line in gateway.lines)

    await until("three trials closed it", tried)
