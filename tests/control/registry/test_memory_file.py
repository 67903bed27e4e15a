"""Tests of wmesh.control.registry.memory_file: what is kept, and what is not believed."""

from __future__ import annotations

import stat

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import a_record
from wmesh.control.registry.memory_file import PORTION, MemoryFile


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

    def test_thousands(self) -> None:
        """What is too much to encode in one go is written in steps, and whole; at the end, at once."""
        records = [a_record(f"p{number}") for number in range(4 * PORTION)]
        file = self.file()
        file.changed()
        self.assertTrue(file.due(10.0))
        turns = 0
        for _ in file.steps(records, 10.0):
            self.assertFalse(file.path.exists())
            turns += 1
        self.assertEqual(turns, 3)
        self.assertEqual(len(self.file().read()), len(records))
        other = [a_record(f"q{number}") for number in range(4 * PORTION)]
        file.changed()
        file.write_last(other)
        self.assertEqual({record.id for record in self.file().read()}, {record.id for record in other})

    def test_what_did_not_change_is_not_encoded_again(self) -> None:
        """So a few changes among thousands take one step."""
        records = [a_record(f"p{number}") for number in range(4 * PORTION)]
        file = self.file()
        file.write(records)
        self.assertEqual(list(file.steps([a_record("new"), *records])), [])
        self.assertEqual(len(self.file().read()), 1 + len(records))

    def test_never_at_rest(self) -> None:
        """Even if all records change all the time, they are written before long; not all the time, though: after two
        seconds, and after a millisecond for each."""
        file = self.file()
        for count, pause in ((3, 2.0), (20 * PORTION, 4.0)):
            file.changed()
            for _ in file.steps([a_record(f"p{number}", weight=int(pause)) for number in range(count)], 100.0):
                file.changed()
            self.assertEqual(len(self.file().read()), count)
            file.changed()
            self.assertFalse(file.due(100.0 + pause - 0.1))
            self.assertTrue(file.due(100.0 + pause))

    def test_changes_between_two_steps(self) -> None:
        """They are not forgotten: the file is due again."""
        file = self.file()
        file.changed()
        for _ in file.steps([a_record(f"p{number}") for number in range(2 * PORTION)], 0.0):
            file.changed()
        self.assertTrue(file.due(10.0))
        list(file.steps((), 10.0))
        self.assertFalse(file.due(20.0))

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
