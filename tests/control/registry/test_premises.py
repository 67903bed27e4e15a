"""The place of an embedded registry: one user at a time, a socket that fits, and no more ended than is ours.

What a whole registry makes of it, with servers that are killed, is in test_embedded.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.children import Child, spawn
from tests.waiting import until
from wmesh.control.registry import premises
from wmesh.control.registry.premises import LONGEST_SOCKET_PATH, Premises
from wmesh.errors import RegistryError


class PremisesTests(TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="wmt-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def premises(self, folder: Path | None = None) -> Premises:
        from twisted.internet import reactor

        made = Premises(str(folder or self.folder), reactor)
        self.addCleanup(made.leave)
        return made

    def left(self) -> list[str]:
        return sorted(os.listdir(self.folder))

    def sleeper(self, *words: str, stubborn: bool = False) -> Child:
        """A process whose command line holds these words, as that of a server holds the path of its socket."""
        trap = "trap '' TERM; " if stubborn else ""
        child = spawn(["/bin/sh", "-c", f"{trap}echo up; while :; do sleep 0.05; done", *words])
        self.addCleanup(child.end)
        return child

    def write_note(self, pid: int, place: str, started: int | None = None) -> None:
        """What an earlier run has left."""
        if started is None:
            started = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
        (self.folder / "registry.json").write_text(json.dumps({"pid": pid, "started": started, "socket": place}))

    async def test_in_and_out(self) -> None:
        """Inside there is a lock and a place for the socket; outside nothing is left, also not of the socket."""
        place = self.premises()
        await place.enter()
        self.assertEqual(place.socket, str(self.folder / "registry.sock"))
        self.assertEqual(self.left(), ["registry.lock"])
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(place.socket)
        place.note(os.getpid())
        note = json.loads((self.folder / "registry.json").read_text())
        self.assertEqual((note["pid"], note["socket"]), (os.getpid(), place.socket))
        self.assertGreater(note["started"], 0)
        place.leave()
        self.assertEqual(self.left(), [])
        place.leave()

    async def test_one_at_a_time(self) -> None:
        """The second is refused, and takes nothing away from the first; when that has left, it may."""
        first, second = self.premises(), self.premises()
        await first.enter()
        first.note(os.getpid())
        with self.assertRaisesRegex(RegistryError, "in use by another gateway"):
            await second.enter()
        second.leave()
        self.assertEqual(self.left(), ["registry.json", "registry.lock"])
        first.leave()
        await second.enter()

    async def test_a_path_that_just_fits(self) -> None:
        """As long as a socket's path may be it stays in the directory; one more, and it goes elsewhere."""
        room = LONGEST_SOCKET_PATH - len("/registry.sock") - len(str(self.folder)) - 1
        for extra, inside in ((0, True), (1, False)):
            place = self.premises(self.folder / ("x" * (room + extra)))
            await place.enter()
            self.assertEqual(Path(place.socket).is_relative_to(self.folder), inside)
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(place.socket)
            place.leave()
            self.assertFalse(Path(place.socket).exists())
            self.assertEqual(Path(place.socket).parent.exists(), inside)

    async def test_a_leftover_is_ended(self) -> None:
        """What the note describes, and what still runs: asked to end, and made to if it does not listen."""
        self.patch(premises, "GRACE", 0.2)
        for stubborn, end in ((False, -signal.SIGTERM), (True, -signal.SIGKILL)):
            path = str(self.folder / "registry.sock")
            child = self.sleeper(path, stubborn=stubborn)
            await until(lambda child=child: child.output)
            self.write_note(child.pid, path)
            place = self.premises()
            await place.enter()
            await until(lambda child=child: child.ended is not None)
            self.assertEqual(child.ended, end)
            place.leave()
            self.assertEqual(self.left(), [])

    async def test_strangers_live(self) -> None:
        """Another start time, a start time that nobody could know, or another command line: not the one meant."""
        path = str(self.folder / "registry.sock")
        ours, stranger = self.sleeper(path), self.sleeper("something else")
        await until(lambda: ours.output and stranger.output)
        for child, started in ((ours, 12345), (ours, 0), (stranger, None)):
            self.write_note(child.pid, path, started)
            place = self.premises()
            await place.enter()
            self.assertIsNone(child.ended)
            place.leave()
        self.assertTrue(all(Path(f"/proc/{child.pid}/exe").exists() for child in (ours, stranger)))

    async def test_a_lying_note_removes_nothing_of_others(self) -> None:
        """A note may name any path: only what can be a registry's socket, or its private directory, is removed."""
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        for name in ("mesh.ini", "registry.json"):
            (elsewhere / name).write_text("mine")
            self.write_note(2**22 + 1, str(elsewhere / name), 1)
            place = self.premises()
            await place.enter()
            place.leave()
            self.assertTrue((elsewhere / name).exists(), name)

    async def test_where_nothing_can_be_kept(self) -> None:
        """A directory that is a file, or below one: named, and the lock is nobody's."""
        (self.folder / "file").write_text("")
        for folder in (self.folder / "file", self.folder / "file" / "below"):
            with self.assertRaisesRegex(RegistryError, "cannot keep an embedded registry"):
                await self.premises(folder).enter()
        self.assertEqual(self.left(), ["file"])
