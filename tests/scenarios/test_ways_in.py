"""Three ways into one running gateway: a program as it is, a Twisted program, and HTTP; and what a terminal shows."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest_twisted

from tests.children import Child, spawn
from tests.ports import free_port
from tests.waiting import until

WMESH = [sys.executable, "-c", "import sys; from wmesh.cli import main; sys.exit(main())"]
JSON = ["-H", "Content-Type: application/json"]

CONFIG = """
[mesh]
state_dir = {folder}/var
[gateway]
listen = tcp:{public}:interface=127.0.0.1
admin_listen = tcp:{admin}:interface=127.0.0.1
[registry]
url = embedded:
lease = 3
heartbeat = 1
[service:pricing]
health_endpoint = /
routes = /pricing/
"""

PROGRAM = """
import sys
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data
from wmesh import api
root = Resource()
root.putChild(b"", Data(b"twisted", "text/plain"))
port = reactor.listenTCP(0, Site(root), interface="127.0.0.1")
api.register(reactor, sys.argv[1], "pricing", port.getHost().port, id="twisted").addErrback(print)
reactor.run()
"""


async def answer(argv: list[str]) -> tuple[int | None, str]:
    """Exit status and output of a command."""
    child = spawn(argv)
    await until(lambda: child.ended is not None, argv[0])
    return child.ended, child.output.decode()


@pytest_twisted.ensureDeferred
async def test_three_ways_in() -> None:
    """Each instance, however it came, takes requests; each leaves in its own way, and none stays behind."""
    folder = tempfile.mkdtemp(prefix="wmt-")
    public, admin, plain, other = (free_port() for _ in range(4))
    config = Path(folder, "mesh.ini")
    config.write_text(CONFIG.format(folder=folder, public=public, admin=admin))
    twistd = os.path.join(os.path.dirname(sys.executable), "twistd")
    children: list[Child] = []

    def run(*argv: str) -> Child:
        children.append(spawn(list(argv)))
        return children[-1]

    async def instances() -> dict[str, Any]:
        status, text = await answer([*WMESH, "instances", "pricing", "--json", "--config", str(config)])
        assert status == 0
        return {instance["id"]: instance for instance in json.loads(text)["instances"] if instance["available"]}

    async def until_there(*expected: str) -> None:
        for _ in range(50):
            found = await instances()
            if sorted(found) == sorted(expected):
                return
        raise AssertionError(f"{sorted(found)}, not {sorted(expected)}")

    try:
        gateway = run(twistd, "-n", "--pidfile=", "wmesh", "--config", str(config))
        await until(lambda: b"listening:" in gateway.output, "the gateway")
        url = f"unix:{folder}/var/registry.sock"

        server = [sys.executable, "-m", "http.server", str(plain), "--bind", "127.0.0.1"]
        wrapped = run(
            *WMESH, "register", "--service", "pricing", "--port", str(plain), "--id", "wrapped", "--registry", url,
            "--health", "/", "--", *server,
        )  # fmt: skip
        program = run(sys.executable, "-c", PROGRAM, url)
        run(sys.executable, "-m", "http.server", str(other), "--bind", "127.0.0.1")
        path = f"http://127.0.0.1:{public}/service-mesh/registry/pricing/guest"
        body = json.dumps({"host": "127.0.0.1", "port": other, "ttl": 8})
        status, text = await answer(["/usr/bin/env", "curl", "-sS", "-X", "PUT", path, *JSON, "-d", body])
        assert (status, json.loads(text)["registered"]) == (0, True)
        await until_there("guest", "twisted", "wrapped")

        for _ in range(6):
            status, _ = await answer(["/usr/bin/env", "curl", "-fsS", f"http://127.0.0.1:{public}/pricing/"])
            assert status == 0
        assert all(instance["picks"] for instance in (await instances()).values())
        status, text = await answer([*WMESH, "services", "--config", str(config)])
        assert status == 0
        assert "healthy" in text

        wrapped.signal(signal.SIGTERM)
        program.signal(signal.SIGTERM)
        await until_there("guest")
        await until(lambda: b"gave no sign of life" in gateway.output, "the end of the ttl")
        await until_there()
        gateway.signal(signal.SIGTERM)
        await until(lambda: gateway.ended is not None, "the end of the gateway")
        assert gateway.ended == 0, gateway.output
    finally:
        for child in children:
            await child.end()
        shutil.rmtree(folder)
