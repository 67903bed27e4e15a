"""What an instance says of itself, against its record."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from wmesh.control.probes.identity import impostor
from wmesh.model import Address, InstanceRecord

RECORD = InstanceRecord("pricing", "pricing-1", Address("10.0.0.1", 80), incarnation="a/b")


class ImpostorTests(SynchronousTestCase):
    def test_itself(self) -> None:
        """The id, or the id and the incarnation; nothing said is nothing wrong."""
        for claim in (b"pricing-1", b"pricing-1/a/b", b""):
            self.assertEqual(impostor(RECORD, claim), "", claim)

    def test_somebody_else(self) -> None:
        """Another id, and another life of the same id: the reason names both."""
        table = {
            b"pricing-2": "answers as pricing-2, expected pricing-1",
            b"pricing-2/a/b": "answers as pricing-2/a/b, expected pricing-1",
            b"pricing-1/c": "answers as pricing-1/c, expected pricing-1/a/b",
            b"pricing-1/": "answers as pricing-1/, expected pricing-1/a/b",
            b"pricing-11": "answers as pricing-11, expected pricing-1",
            b"\xff\x1b[2J": "answers as \\xff\x1b[2J, expected pricing-1",
        }
        for claim, reason in table.items():
            self.assertEqual(impostor(RECORD, claim), reason)
        self.assertLess(len(impostor(RECORD, b"x" * 60_000)), 130)

    def test_records_without_an_incarnation(self) -> None:
        """What is not known cannot be compared; the id can."""
        record = replace(RECORD, incarnation="")
        self.assertEqual(impostor(record, b"pricing-1/whatever"), "")
        self.assertEqual(impostor(record, b"pricing-2/whatever"), "answers as pricing-2/whatever, expected pricing-1")

    def test_instances_that_did_not_register(self) -> None:
        """They are meant by their address, whatever another mesh calls who is there."""
        for origin in ("static", "dns:pricing.internal:80"):
            self.assertEqual(impostor(replace(RECORD, origin=origin), b"pricing-2"), "")
