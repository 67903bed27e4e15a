"""Strategies through the running gateway: those that hash, that fill, and those that another package brings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import pytest_twisted

from tests.plugs import install, install_tutorial
from tests.scenarios.clients import Load
from tests.scenarios.meshes import ROOT, static
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until

BROKEN = """
class Made:
    def __init__(self, spec, random): pass
    def rebuild(self, members): pass
    def pick(self, key, tried, now): return 1 / 0 if key else None
    def scores(self, key, now): return []
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that gateways see."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return folder


def strategy(name: str, **more: str) -> dict[str, dict[str, str]]:
    return {"service:x": {"load_balancing_strategy": name, "health_check_fast_interval": "100ms", **more}}


@pytest_twisted.ensureDeferred
async def test_ip_hash(stage: Stage) -> None:
    """A client is served by one instance; when that is gone by another one, and then again by the first."""
    instances = {name: stage.instance(name) for name in ("one", "two", "three")}
    quick = {"health_check_interval": "200ms", "health_check_retries": "1", "health_check_rise": "1"}
    mesh = static([each.address for each in instances.values()], changes=strategy("ip_hash", **quick))
    await stage.gateway(mesh.text)
    load = Load(stage.client(mesh.port), "/", workers=4)
    served = await load.more(200)
    (home,) = set(served)
    instances[home].check = lambda: 500
    await load.until("another one answers", lambda served: len(served) > 1)
    (second,) = set(await load.more(100))
    assert second != home
    instances[home].check = lambda: 200
    await load.until("the first one answers again", lambda served: served[home] > 10)
    assert set(await load.more(100)) == {home}
    await load.stop()
    assert load.failures == []


@pytest_twisted.ensureDeferred
async def test_fill_one_before_the_next(stage: Stage) -> None:
    """While one instance can bear it the others stay idle; a second one helps when capacity says so."""
    one, two = stage.instance("one"), stage.instance("two")
    addresses = sorted([one.address, two.address])
    names = {one.address: "one", two.address: "two"}
    mesh = static(addresses, changes=strategy("first", capacity="2"))
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    few = Load(client, "/", workers=2)
    assert set(await few.more(200)) == {names[addresses[0]]}
    await few.stop()
    many = Load(client, "/", workers=8)
    assert set(await many.more(400)) == {"one", "two"}
    await many.stop()


@pytest_twisted.ensureDeferred
async def test_the_package_of_the_tutorial(stage: Stage, packages: Path) -> None:
    """As printed, installed, and named: near instances get everything, far ones only when the near ones are gone."""
    install_tutorial(packages)
    near, far = stage.instance("near"), stage.instance("far")
    addresses = [near.address, far.address.replace("127.0.0.1", "localhost")]
    quick = {"health_check_interval": "200ms", "health_check_retries": "1"}
    mesh = static(addresses, changes=strategy("near_first", **quick))
    program = await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    load = Load(client, "/", workers=4)
    await until("both were checked", lambda: near.checks and far.checks)
    assert set(await load.more(200)) == {"near"}
    near.check = lambda: 500
    await load.until("the far one answers", lambda served: served["far"] > 10)
    assert set(await load.more(100)) == {"far"}
    await load.stop()
    assert load.failures == []
    status = (await client.get("/services/x")).json
    assert status["strategy"] == "near_first", status
    assert not [line for line in program.complaints if "near_first" in line], program.output


@pytest_twisted.ensureDeferred
async def test_a_package_that_fails_while_it_runs(stage: Stage, packages: Path) -> None:
    """Its exceptions cost no request: round robin picks, and the log says once whose fault it is."""
    install(packages, "acme-balance", "plugged = plugged:Made", {"plugged": BROKEN})
    one, two = stage.instance("one"), stage.instance("two")
    mesh = static([one.address, two.address], changes=strategy("plugged"))
    program = await stage.gateway(mesh.text)
    load = Load(stage.client(mesh.port), "/", workers=4)
    served = await load.more(100)
    await load.stop()
    assert set(served) == {"one", "two"}
    assert load.failures == []
    told = [line for line in program.complaints if "ZeroDivisionError" in line]
    assert len(told) == 1, program.output
    assert "x: strategy plugged: pick went wrong" in told[0]


@pytest_twisted.ensureDeferred
async def test_a_package_that_is_no_strategy(stage: Stage, packages: Path) -> None:
    """The gateway does not start, and says in one line which option names what is wrong."""
    install(packages, "acme-balance", "plugged = plugged:Made", {"plugged": "Made = dict"})
    mesh = static(["127.0.0.1:1"], changes=strategy("plugged"))
    program = stage.launch(mesh.text)
    assert await program.ended() == 1
    (line,) = [line for line in program.output.splitlines() if "plugged" in line]
    assert "[service:x] load_balancing_strategy" in line
    assert "Traceback" not in program.output
