"""Tests of wmesh.whereabouts."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh import whereabouts
from wmesh.config import parse


class NameTests(SynchronousTestCase):
    def test_ids_among_gateways(self) -> None:
        """Where several gateways see one registry, what each launches has a name of its own, the same at each start."""

        def tail(url: str, folder: str = "/srv/a") -> str:
            text = f"[mesh]\nstate_dir = {folder}\n[registry]\nurl = {url}\n[service:a]\nport = 1\ncommand = x\n"
            return whereabouts.tail(parse(text, "mesh.ini", {}).config)

        self.assertEqual((tail("memory:"), tail("embedded:")), ("", ""))
        self.assertRegex(tail("redis://h"), "^-[0-9a-f]{8}$")
        self.assertEqual(tail("redis://h"), tail("redis://other"))
        self.assertNotEqual(tail("redis://h"), tail("redis://h", "/srv/b"))

    def test_ports_that_are_taken(self) -> None:
        """Those of listeners on TCP, with TLS or without; others have none."""
        listeners = ("tcp:8000", "ssl:8443:privateKey=/k", "unix:/run/x", "")
        self.assertEqual(whereabouts.ports_of(listeners), [8000, 8443])
