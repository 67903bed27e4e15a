"""What operators said survives in a file, which may be anything by the time that it is read."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from wmesh.control.wills_file import NAME, WillsFile
from wmesh.model import AdminState, Said, Will

WILL = Will("pricing", "p-1", 2000, Said(AdminState.DRAIN, 1000, "zoé at gw-1"), Said(5, 1001, ""))
OTHER = Will("pricing", "p-2", 2000, None, Said(None, 1001, ""))


class WillsFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "state"
        self.file = WillsFile(str(self.folder), "memory:", "wmesh")

    def warned(self) -> list[str]:
        with capturedLogs() as logged:
            self.assertEqual(list(self.file.read()), [])
        return [formatEvent(event) for event in logged]

    def test_there_and_back(self) -> None:
        """Readable by nobody else, and gone when there is nothing to remember."""
        self.assertEqual(self.warned(), [])
        self.file.write([WILL, OTHER])
        self.assertEqual(list(self.file.read()), [WILL, OTHER])
        self.assertEqual(self.file.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(os.listdir(self.folder), [NAME])
        self.file.write([])
        self.assertEqual(os.listdir(self.folder), [])
        self.file.write([])

    def test_of_another_registry(self) -> None:
        """What was said of other instances is not meant for ours."""
        self.file.write([WILL])
        for label, namespace in (("redis://other", "wmesh"), ("memory:", "shop")):
            self.assertEqual(list(WillsFile(str(self.folder), label, namespace).read()), [])

    def test_nonsense(self) -> None:
        """It is told in one line, and the next word replaces it."""
        self.folder.mkdir()
        for data in (b"", b"{", b"[]", b'{"v": 1, "wills": {}}', b'{"v": 7, "wills": []}', b"\xff", b"[" * 10000):
            self.file.path.write_bytes(data)
            (line,) = self.warned()
            self.assertIn("is ignored", line)
        self.file.write([WILL])
        self.assertEqual(list(self.file.read()), [WILL])

    def test_one_bad_will(self) -> None:
        """The others are read."""
        self.file.write([WILL, OTHER])
        for old, new in ((b'"drain"', b'"sleep"'), (b'"id": "p-1"', b'"id": 7'), (b'"will"', b'"wont"')):
            data = self.file.path.read_bytes()
            self.file.path.write_bytes(data.replace(old, new, 1))
            with capturedLogs() as logged:
                self.assertEqual(list(self.file.read()), [OTHER])
            self.assertIn("a will is ignored", formatEvent(logged[0]))
            self.file.path.write_bytes(data)

    def test_it_cannot_be_written(self) -> None:
        """That is told once, until it works again; nothing is left behind."""
        self.folder.parent.joinpath("state").write_text("in the way")
        with capturedLogs() as logged:
            self.file.write([WILL])
            self.file.write([WILL])
        self.assertEqual(len(logged), 1)
        self.assertIn("cannot be written", formatEvent(logged[0]))
        self.folder.unlink()
        self.file.write([WILL])
        self.assertEqual(list(self.file.read()), [WILL])
