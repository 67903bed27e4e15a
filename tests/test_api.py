"""The public face: one call that puts an instance into a real registry, and keeps it there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from tests.children import spawn
from tests.control.registry.scene import Server
from tests.waiting import until
from wmesh import api
from wmesh.mesh import open_mesh
from wmesh.resource import ProxyResource

ROOT = Path(__file__).parents[1]
RECORDS, LEASES, LOADS = "{wmesh}:records", "{wmesh}:leases", "{wmesh}:loads"


class RegisterTests(TestCase):
    """api.register() against a server on a Unix socket."""

    async def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor = reactor
        self.server = Server()
        self.addCleanup(self.server.remove)
        await self.server.start()

    def register(self, service: Any = "pricing", port: Any = 3007, **more: Any) -> Deferred[api.Registration]:
        return api.register(self.reactor, more.pop("url", self.server.url), service, port, **more)

    async def stay(self, **more: Any) -> api.Registration:
        registration = await self.register(**more)
        self.addCleanup(registration.deregister)
        return registration

    async def records(self) -> dict[str, Any]:
        flat = await self.server.ask("HGETALL", RECORDS)
        return {name.decode(): json.loads(data) for name, data in zip(flat[::2], flat[1::2], strict=True)}

    async def test_in_and_out(self) -> None:
        """Registered when the call is done, with the defaults that make sense; gone when deregister is done."""
        registration = await self.register(version="1.2", weight=3, tags=["core"], metadata={"zone": "a"})
        record = (await self.records())["pricing/127.0.0.1:3007"]
        self.assertEqual((record["host"], record["port"]), ("127.0.0.1", 3007))
        self.assertEqual((record["version"], record["weight"]), ("1.2", 3))
        self.assertEqual((record["tags"], record["metadata"]), (["core"], {"zone": "a"}))
        self.assertEqual(record["incarnation"], registration.record.incarnation)
        await registration.deregister()
        self.assertEqual(await self.records(), {})
        await registration.deregister()

    async def test_each_life_is_another(self) -> None:
        """The same place registered twice has two incarnations; who left late takes nothing of the second away."""
        first = await self.register()
        second = await self.stay()
        self.assertNotEqual(first.record.incarnation, second.record.incarnation)
        await first.deregister()
        self.assertEqual((await self.records())["pricing/127.0.0.1:3007"]["incarnation"], second.record.incarnation)

    async def test_load_travels_with_heartbeats(self) -> None:
        """Without being told how, it is this process that is measured; or the program says it."""
        await self.stay(heartbeat=0.1)
        sample = api.LoadSample(12.5, 100, in_flight=3, metrics=(("queue", 7.0),))
        await self.stay(port=3008, heartbeat=0.1, load=lambda: sample)
        written = b'{"cpu":12.5,"in_flight":3,"memory":100,"metrics":{"queue":7.0}}'
        await self.server.until(written, "HGET", LOADS, "pricing/127.0.0.1:3008")
        await self.server.until(
            lambda data: data is not None and json.loads(data)["memory"] > 1e6, "HGET", LOADS, "pricing/127.0.0.1:3007"
        )

    async def test_load_that_cannot_be(self) -> None:
        """It is left out of the heartbeat, with one warning, and the lease is renewed all the same."""
        with capturedLogs() as logged:
            await self.stay(heartbeat=0.05, load=lambda: api.LoadSample(memory=100, metrics=(("a b", 1.0),)))
            await self.server.until(b'{"memory":100}', "HGET", LOADS, "pricing/127.0.0.1:3007")
            before = await self.server.ask("ZSCORE", LEASES, "pricing/127.0.0.1:3007")
            await self.server.until(lambda end: end > before, "ZSCORE", LEASES, "pricing/127.0.0.1:3007")
        self.assertEqual(sum("left out" in str(event.get("log_format")) for event in logged), 1)

    async def test_forgotten_by_an_emptied_registry(self) -> None:
        """After FLUSHALL the next heartbeat brings it back."""
        await self.stay(heartbeat=0.1)
        await self.server.ask("FLUSHALL")
        await self.server.until(1, "HLEN", RECORDS)

    async def test_forgotten_by_a_restarted_registry(self) -> None:
        """A server that was killed and comes back empty has it again at once, not at the next heartbeat."""
        await self.stay(lease=120.0, heartbeat=60.0)
        await self.server.kill()
        await self.server.start()
        await self.server.until(1, "HLEN", RECORDS)

    async def test_what_makes_no_sense(self) -> None:
        """Refused at once, naming what is wrong, and nothing is registered."""
        table = [
            ({"port": 99999}, api.RecordError, "port: 99999"),
            ({"service": "a b"}, api.RecordError, "service"),
            ({"weight": 0}, api.RecordError, "weight: 0"),
            ({"tags": "core"}, api.RecordError, "tags: 'core'"),
            ({"metadata": {"x": 1}}, api.RecordError, "metadata.x: 1"),
            ({"metadata": ["x"]}, api.RecordError, "metadata"),
            ({"metadata": {1: "x", "a": "y"}}, api.RecordError, "metadata: 1"),
            ({"tags": 7}, api.RecordError, "tags: 7"),
            ({"tags": ["\x1b[2J"]}, api.RecordError, "tags"),
            ({"host": 7}, api.RecordError, "host: 7"),
            ({"host": "10.0.0.1:80"}, api.RecordError, "host"),
            ({"port": "80"}, api.RecordError, "port: '80'"),
            ({"metadata": {"a": "x" * 5_000_000}}, api.RecordError, "metadata.a"),
            ({"lease": 1e6}, api.RegistryError, "lease: 1e"),
            ({"heartbeat": 20.0}, api.RegistryError, "heartbeat: 20"),
            ({"lease": -1}, api.RegistryError, "lease: -1"),
            ({"namespace": "a}b"}, api.RegistryError, "namespace"),
            ({"url": "memory:"}, api.RegistryError, "no other program can join"),
            ({"url": "embedded:"}, api.RegistryError, r"unix:/absolute/path/of/state_dir/registry\.sock"),
            ({"url": "http://x"}, api.RegistryError, "must begin with"),
        ]
        for changes, error, words in table:
            failure = await self.assertFailure(self.register(**changes), error)
            self.assertRegex(str(failure), words)
        self.assertEqual(await self.records(), {})

    async def test_nobody_answers(self) -> None:
        """Impatient: an error that says where. Patient: registered as soon as there is a server; or cancelled."""
        await self.server.kill()
        failure = await self.assertFailure(self.register(), api.RegistryError)
        self.assertIn(self.server.url, str(failure))
        given_up = self.register(patient=True)
        given_up.cancel()
        await self.assertFailure(given_up, Exception)
        waiting = self.register(patient=True)
        await self.server.start()
        registration = await waiting
        self.assertEqual(len(await self.records()), 1)
        await registration.deregister()

    async def test_leaving_without_a_registry(self) -> None:
        """Deregistering never fails: a program must be able to end."""
        registration = await self.register()
        await self.server.kill()
        await registration.deregister()

    async def test_the_program_of_the_manual(self) -> None:
        """The example of docs/registry.rst runs as printed; and what it registered is gone when it is told to end."""
        text = (ROOT / "docs" / "registry.rst").read_text()
        match = re.search(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)", text)
        assert match is not None
        program = re.sub(r"(?m)^    ", "", match[1]).replace("unix:/srv/wmesh/var/wmesh/registry.sock", self.server.url)
        child = spawn([sys.executable, "-c", program])
        self.addCleanup(child.end)
        await self.server.until(1, "HLEN", RECORDS)
        child.signal(15)
        await until(lambda: child.ended is not None)
        self.assertEqual(await self.records(), {}, child.errors)


class FaceTests(TestCase):
    """What stands in `__all__`."""

    def test_everything_is_there(self) -> None:
        """Each name means what it means where it is at home; others are no names of this module."""
        self.assertEqual([name for name in api.__all__ if not hasattr(api, name)], [])
        self.assertIs(api.open_mesh, open_mesh)
        self.assertIs(api.ProxyResource, ProxyResource)
        self.assertRaises(AttributeError, getattr, api, "Nothing")

    def test_who_registers_loads_no_gateway(self) -> None:
        """It would cost every instance 10 MB and a fifth of a second."""
        code = "import sys, wmesh.api; sys.exit('wmesh.gateway' in sys.modules or 'twisted.web' in sys.modules)"
        self.assertEqual(subprocess.run([sys.executable, "-c", code], check=False).returncode, 0)
