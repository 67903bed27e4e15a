"""Notes about launched processes: they survive a crash, and prove a process before anybody ends it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from wmesh.control.launchers.notes import Note, Notes, note_for, survivors

WAIT = "import sys; sys.stdin.read()"


class NotesTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = f"{folder.name}/state"
        self.notes = Notes(self.folder)

    def child(self, program: str = WAIT, **environment: str) -> subprocess.Popen[bytes]:
        """A process in a session of its own that ends when the test does."""
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **environment},
        )

        def end() -> None:
            child.kill()
            child.wait()
            child.stdin.close()
            child.stdout.close()

        self.addCleanup(end)
        return child

    def orphaned(self, note: Note) -> Note:
        """The same note, as a gateway would have left it that is gone now."""
        return replace(note, owner_started=note.owner_started + 1)

    def test_round_trip(self) -> None:
        """What is written is read again, once its gateway is gone; removed is removed, and twice is no error."""
        note = self.orphaned(note_for("pricing-1", os.getpid(), ("python", "x y")))
        self.notes.write(note)
        self.assertEqual(list(self.notes.stale()), [note])
        self.notes.remove("pricing-1")
        self.notes.remove("pricing-1")
        self.assertEqual(list(self.notes.stale()), [])

    def test_a_living_gateway(self) -> None:
        """Notes of a gateway that lives (this process) are nobody else's business."""
        self.notes.write(note_for("pricing-1", os.getpid(), ()))
        self.assertEqual(list(self.notes.stale()), [])

    def test_what_cannot_be_read(self) -> None:
        """Half a note, or something else altogether, is removed without harm."""
        folder = Path(self.folder, "launched")
        folder.mkdir(parents=True)
        for number, text in enumerate(("", "{", "[]", "{}", '{"id": "x", "pid": -1}')):
            folder.joinpath(f"{number}.json").write_text(text)
        self.assertEqual(list(self.notes.stale()), [])
        self.assertEqual(list(folder.iterdir()), [])

    def test_ids_are_no_paths(self) -> None:
        """An id cannot lead out of the folder."""
        self.notes.write(note_for("../../x", os.getpid(), ()))
        self.assertEqual([path.parent.name for path in Path(self.folder).rglob("*.json")], ["launched"])

    def test_the_process_itself(self) -> None:
        """It lives, and its note proves it."""
        child = self.child()
        self.assertEqual(survivors(note_for("a-1", child.pid, ())), [child.pid])

    def test_another_process_with_its_pid(self) -> None:
        """The same pid with another start time, or from another boot, is somebody else."""
        note = note_for("a-1", self.child().pid, ())
        self.assertEqual(survivors(replace(note, started=note.started - 1)), [])
        self.assertEqual(survivors(replace(note, boot="another")), [])

    def test_its_children_outlive_it(self) -> None:
        """The process is gone; what it started is known by its session and by the id in its environment."""
        program = (
            "import subprocess, sys;"
            f"print(subprocess.Popen([sys.executable, '-S', '-c', {WAIT!r}], stdin=0).pid, flush=True); {WAIT}"
        )
        child = self.child(program, WMESH_INSTANCE_ID="a-1")
        note = note_for("a-1", child.pid, ())
        grandchild = int(child.stdout.readline())
        self.assertEqual(survivors(note), sorted([child.pid, grandchild]))
        child.kill()
        child.wait()
        self.assertEqual(survivors(note), [grandchild])
        self.assertEqual(survivors(replace(note, id="b-1")), [])
        child.stdin.close()
