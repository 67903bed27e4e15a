"""Wills as JSON: what is right comes back as it was, and everything else is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from wmesh.control.registry.will_codec import MAX_WILL, decode_will, encode_will
from wmesh.errors import RecordError
from wmesh.model import AdminState, Said, Will

BOTH = Will("pricing", "p-1", 2000, Said(AdminState.MAINT, 1000, "zoé at gw-1"), Said(5, 1001, ""))
RIGHT: dict[str, Any] = {"v": 1, "until": 2000, "state": {"is": "drain", "since": 1000, "by": "me"}}


class CodecTests(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        """Each aspect alone, both, and a weight that was taken back."""
        for will in (
            BOTH,
            Will("pricing", "p-1", 2000, Said(AdminState.READY, 1, "me")),
            Will("pricing", "[::1]:80", 2000, None, Said(None, 1, "me")),
        ):
            self.assertEqual(decode_will(will.service, will.id, encode_will(will)), will)

    def test_long_names(self) -> None:
        """A fixed instance is called by host and port, which may be longer than what registers itself."""
        for name in ("_db.local:80", "x" * 249):
            self.assertEqual(decode_will("pricing", name, encode_will(replace(BOTH, id=name))).id, name)
        self.assertIn("at most 257", self.refused(encode_will(BOTH), id="x" * 250))

    def test_by_hand(self) -> None:
        """Who it was need not be said."""
        data = b'{"v": 1, "until": 9, "weight": {"is": null, "since": 3}}'
        self.assertEqual(decode_will("a", "1", data), Will("a", "1", 9, None, Said(None, 3, "")))

    def test_forgotten(self) -> None:
        """No text at all is a will of which nothing is left."""
        self.assertEqual(decode_will("a", "1", b""), Will("a", "1"))

    def refused(self, data: bytes, service: str = "pricing", id: str = "p-1") -> str:
        return str(self.assertRaises(RecordError, decode_will, service, id, data))

    def test_what_is_refused(self) -> None:
        """The field is named, and what would be right."""
        state = RIGHT["state"]
        for changes, field in (
            ({"v": 2}, "v: 2"),
            ({"v": True}, "v: True"),
            ({"until": None}, "until: None"),
            ({"until": 10**14}, "until: 1"),
            ({"until": 1.5}, "until: 1.5"),
            ({"why": "x"}, "'why': unknown field"),
            ({"state": "drain"}, "state: 'drain'"),
            ({"state": {"is": "drain"}}, "state: an object of 1"),
            ({"state": {**state, "reason": "x"}}, "state: an object of 4"),
            ({"state": {**state, "is": "DRAIN"}}, "state.is: 'DRAIN'"),
            ({"state": {**state, "is": None}}, "state.is: None"),
            ({"state": {**state, "since": 0}}, "state.since: 0"),
            ({"state": {**state, "by": "x" * 129}}, "state.by"),
            ({"state": {**state, "by": "\x1b[2J"}}, "state.by"),
            ({"weight": {"is": 0, "since": 5}}, "weight.is: 0"),
            ({"weight": {"is": 1001, "since": 5}}, "weight.is: 1001"),
            ({"weight": {"is": True, "since": 5}}, "weight.is: True"),
        ):
            said = self.refused(json.dumps({**RIGHT, **changes}).encode())
            self.assertIn(field, said)
            self.assertIn("should be", said)

    def test_no_will_at_all(self) -> None:
        """Not JSON, not an object, too large, nothing said, of nobody."""
        for data in (b"x", b"[]", b"\xff", b"[" * 5000, b"NaN", b'{"v": 1, "until": 5}', b'{"v":1,"v":1}'):
            self.assertIn("should be", self.refused(data))
        self.assertIn("too large", self.refused(b" " * (MAX_WILL + 1)))
        right = json.dumps(RIGHT).encode()
        self.assertIn("service", self.refused(right, "a b"))
        self.assertIn("id", self.refused(right, "a", "../etc"))
        self.assertRaises(RecordError, encode_will, Will("a", "x y", 5, Said(AdminState.DRAIN, 5)))
