"""The public suite for HTTP caches, http-tests/cache-tests, run against a gateway with a cache and default settings.

The suite is not part of this tree: it is fetched by whoever wants to run it, and works with its own server, its own
client and its own judgement (Node.js); here are only the gateway between them and the counting.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.caching.settings import CachedWmesh
from bench.peers.base import Site
from bench.process import Launch, children, free_ports, listening, wait_until
from bench.report import table

REQUIRED, OPTIMAL = "required", "optimal"
LEAST = {REQUIRED: 145, OPTIMAL: 90}
"""More than so many are to pass."""

PASSED = ("✅", "Y")

# Each test with its suite, kind and verdict, as the suite itself judges it.
JUDGE = """
import fs from 'fs'
const root = process.argv[1]
const tests = (await import(root + '/tests/index.mjs')).default
const { determineTestResult } = await import(root + '/test-engine/lib/results.mjs')
const found = JSON.parse(fs.readFileSync(process.argv[2]))
const rows = []
for (const suite of tests) for (const test of suite.tests) {
  if (test.browser_only) continue
  const verdict = determineTestResult(tests, test.id, found)[2]
  const why = Array.isArray(found[test.id]) ? found[test.id].join(': ') : ''
  rows.push([suite.name, test.id, test.kind || 'required', verdict, why])
}
console.log(JSON.stringify(rows))
"""

Row = tuple[str, str, str, str, str]
"""Category, test, kind, verdict, and what went wrong."""


def play(suite: Path, gateway: str) -> list[Row]:
    """Run it. `suite` is where it was unpacked, with `npm install` done; `gateway` the twistd to use."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, children() as start:
        directory = Path(name)
        port, behind = free_ports(2)
        settings = {
            "npm_config_protocol": "http",
            "npm_config_port": str(behind),
            "npm_config_pidfile": str(directory / "suite.pid"),
            "npm_config_base": f"http://127.0.0.1:{port}",
            "npm_config_id": "",
            "npm_package_config_id": "",
        }
        cores = os.sched_getaffinity(0)
        origin = Launch(("node", str(suite / "test-engine/server/server.mjs")), settings)
        server = start("suite", origin, directory, cores)
        wait_until(lambda: listening(behind), server)
        site = Site(port, (behind,), directory, 1024, 4096)
        proxy = start("wmesh", CachedWmesh().launch(gateway, site), directory, cores)
        wait_until(lambda: listening(port), proxy)
        argv: tuple[str, ...] = ("node", "--no-warnings", str(suite / "test-engine/cli.mjs"))
        done = subprocess.run(
            argv, env={**os.environ, **settings}, capture_output=True, text=True, timeout=600, check=True
        )
        (directory / "results.json").write_text(done.stdout)
        argv = ("node", "--input-type=module", "-e", JUDGE, str(suite), str(directory / "results.json"))
        judged = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
        proxy.check()
    return [tuple(row) for row in json.loads(judged.stdout)]


def counts(rows: list[Row]) -> Mapping[str, tuple[int, int]]:
    """(passed, all) by kind."""
    found: dict[str, tuple[int, int]] = {}
    for _, _, kind, verdict, _ in rows:
        passed, whole = found.get(kind, (0, 0))
        found[kind] = (passed + (verdict in PASSED), whole + 1)
    return found


def page(rows: list[Row]) -> str:
    """Scores by category, and what did not pass."""
    lines = []
    for category in dict.fromkeys(row[0] for row in rows):
        own = counts([row for row in rows if row[0] == category])
        lines.append(
            [category, *("/".join(map(str, own[kind])) if kind in own else "" for kind in (REQUIRED, OPTIMAL))]
        )
    whole = counts(rows)
    lines.append(["all", *("/".join(map(str, whole.get(kind, (0, 0)))) for kind in (REQUIRED, OPTIMAL))])
    failed = [
        f"- {kind} {test}: {why or verdict}"
        for _, test, kind, verdict, why in rows
        if kind in LEAST and verdict not in PASSED
    ]
    return "\n".join([table(["category", REQUIRED, OPTIMAL], lines), "", *failed])


def good_enough(rows: list[Row]) -> bool:
    found = counts(rows)
    return all(found.get(kind, (0, 0))[0] > least for kind, least in LEAST.items())
