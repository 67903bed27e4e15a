"""The table of faults, and how an instance reads what it is asked."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.answers.__main__ import GROUPS
from bench.answers.faults import GOOD, HEAD, Fault, Reading

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nbuy"


class TableTests(SynchronousTestCase):
    def test_names_differ(self) -> None:
        names = [fault.name for group in GROUPS.values() for fault in group]
        self.assertEqual(len(set(names)), len(names))

    def test_faults_do_something(self) -> None:
        for group in GROUPS.values():
            for fault in group:
                self.assertNotIn(GOOD, (fault.said,), fault)


class ReadingTests(SynchronousTestCase):
    def test_whole_requests_in_pieces(self) -> None:
        reading = Reading()
        targets, said = [], b""
        for position in range(len(GET + POST)):
            more, answer = reading.feed((GET + POST)[position : position + 1], None)
            targets += more
            said += answer
        self.assertEqual((targets, said, reading.failing), (["/a", "/b"], GOOD * 2, False))

    def test_fault_falls_due_with_the_request(self) -> None:
        reading = Reading()
        self.assertEqual(reading.feed(POST[:-1], Fault("x")), ([], b""))
        self.assertFalse(reading.failing)
        self.assertEqual(reading.feed(POST[-1:], Fault("x")), (["/b"], b""))
        self.assertTrue(reading.failing)

    def test_fault_at_the_head(self) -> None:
        reading = Reading()
        self.assertEqual(reading.feed(POST[:-1], Fault("x", when=HEAD)), (["/b"], b""))
        self.assertTrue(reading.failing)

    def test_some_are_answered_well_before(self) -> None:
        reading = Reading()
        self.assertEqual(reading.feed(GET + POST + GET, Fault("x", good=1)), (["/a", "/b"], GOOD))
        self.assertTrue(reading.failing)
