"""The Lua scripts as texts: what is sent, and by which name the server knows it."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.control.registry.scene import Server
from wmesh.control.registry import scripts

FOLDER = Path(scripts.__file__).parent
ALL = {value.name: value for value in vars(scripts).values() if isinstance(value, scripts.Script)}


class TextTests(SynchronousTestCase):
    def test_every_file_is_a_script(self) -> None:
        """None is forgotten, and each begins with what all share."""
        prelude = (FOLDER / "prelude.lua").read_bytes()
        self.assertEqual({path.stem for path in FOLDER.glob("*.lua")}, {*ALL, "prelude"})
        for name, script in ALL.items():
            self.assertEqual(script.text, prelude + b"\n" + (FOLDER / f"{name}.lua").read_bytes())

    def test_keys(self) -> None:
        """In the order in which the prelude takes them; one hash tag, so that a cluster keeps them together."""
        self.assertEqual(
            scripts.keys("shop"),
            (b"{shop}:records", b"{shop}:leases", b"{shop}:version", b"{shop}:changes", b"{shop}:loads"),
        )
        order = (FOLDER / "prelude.lua").read_text().partition("local ")[2].partition(" =")[0].split(", ")
        self.assertEqual([key.decode().partition(":")[2] for key in scripts.keys("shop")], order)


class ServerTests(TestCase):
    async def test_the_server_agrees(self) -> None:
        """It knows each script by the name that we give it: otherwise the whole text would be sent each time."""
        server = Server()
        self.addCleanup(server.remove)
        await server.start()
        for name, script in ALL.items():
            self.assertEqual(await server.ask("SCRIPT", "LOAD", script.text), script.sha, name)
