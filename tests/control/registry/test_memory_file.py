"""Tests of wmesh.control.registry.memory_file: what is kept, and what is not believed."""

from __future__ import annotations

import stat

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import a_record
from wmesh.control.registry.memory_file import MemoryFile


class MemoryFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = self.mktemp()

    def file(self, label: str = "redis://10.0.0.5:6379", namespace: str = "wmesh") -> MemoryFile:
        return MemoryFile(self.folder, label, namespace, set().__contains__)

    def test_kept(self) -> None:
        """What was written is read, for no eyes but the owner's; nothing else is left beside it."""
        record = a_record(tags=("a",), metadata=(("zone", "ü"),))
        file = self.file()
        file.write([record, a_record("p2")])
        self.assertEqual(list(self.file().read()), [record, a_record("p2")])
        self.assertEqual(stat.S_IMODE(file.path.stat().st_mode), 0o600)
        self.assertEqual([path.name for path in file.path.parent.iterdir()], ["registry-snapshot.json"])

    def test_nothing_there(self) -> None:
        with capturedLogs() as logged:
            self.assertEqual(list(self.file().read()), [])
        self.assertEqual(list(logged), [])

    def test_another_registry(self) -> None:
        """Records of another server or namespace are nobody's business."""
        self.file().write([a_record()])
        self.assertEqual(list(self.file(label="redis://elsewhere").read()), [])
        self.assertEqual(list(self.file(namespace="staging").read()), [])

    def test_malformed(self) -> None:
        """Whatever stands there: one warning, and nothing is read."""
        file = self.file()
        file.write([a_record()])
        whole = file.path.read_bytes()
        for data in (whole[:-9], b"", b"[]", b"\xff\xfe", b'{"v": 2, "instances": []}', b"[" * 100_000, b'{"v":1}'):
            file.path.write_bytes(data)
            with capturedLogs() as logged:
                self.assertEqual(list(self.file().read()), [])
            self.assertEqual(sum("is ignored" in str(event.get("log_format")) for event in logged), 1, data[:20])

    def test_a_bad_record(self) -> None:
        """It does not stop the others."""
        file = self.file()
        file.write([a_record("p1"), a_record("p2")])
        file.path.write_bytes(file.path.read_bytes().replace(b'"p1"', b'"\\ud800"'))
        with capturedLogs() as logged:
            self.assertEqual([record.id for record in self.file().read()], ["p2"])
        self.assertEqual(len(logged), 1)

    def test_deep(self) -> None:
        """However deep a value is that the reader of JSON lets pass: the record is not taken, and the others are."""
        for depth in range(900, 1000, 7):
            file = self.file()
            file.write([a_record("p1"), a_record("p2")])
            deep = b"[" * depth + b"]" * depth
            file.path.write_bytes(file.path.read_bytes().replace(b'"p1"', deep))
            with capturedLogs():
                self.assertIn([record.id for record in self.file().read()], (["p2"], []))

    def test_cannot_be_written(self) -> None:
        """Told once; the mesh goes on."""
        with open(self.folder, "w"):
            file = self.file()
        with capturedLogs() as logged:
            file.write([a_record("p1")])
            file.write([a_record("p2")])
        self.assertEqual(len(logged), 1)
