"""Tests of wmesh.control.state_file: the old file or the new one, and nobody else's to read."""

from __future__ import annotations

import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from wmesh.control.state_file import replace_file


class StateFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.path = self.folder / "wills.json"

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def test_written_and_replaced(self) -> None:
        """The directory is made where it is missing, and nothing else is left in it."""
        for data in (b"a long first one", b"second"):
            replace_file(self.path, data)
            self.assertEqual((self.path.read_bytes(), self.names()), (data, ["wills.json"]))

    def test_its_owner_alone_may_read_it(self) -> None:
        """Also where a start that was killed left a file that everybody could read."""
        self.folder.mkdir()
        self.path.with_suffix(".new").write_text("half")
        self.path.with_suffix(".new").chmod(0o644)
        replace_file(self.path, b"whole")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_without_data_there_is_no_file(self) -> None:
        """Taken away, once and again."""
        replace_file(self.path, b"something")
        for _ in range(2):
            replace_file(self.path, b"")
            self.assertEqual(self.names(), [])

    def test_what_fails_leaves_everything_as_it_was(self) -> None:
        """Here a directory stands where the file should be."""
        (self.path / "inside").mkdir(parents=True)
        self.assertRaises(OSError, replace_file, self.path, b"something")
        self.assertEqual(self.names(), ["wills.json"])
        self.assertTrue((self.path / "inside").is_dir())
