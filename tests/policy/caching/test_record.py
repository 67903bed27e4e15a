"""Tests of wmesh.policy.caching.record: what is written is read again, and nothing else is believed."""

from __future__ import annotations

import struct
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.policy.caching.scene import WALL, date, stored
from wmesh.errors import RecordError
from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.record import MAGIC, decode, encode

TIMES = ("born", "fresh_until", "revalidate_until", "error_until")
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=20)
FIELDS = st.sampled_from(
    ("Cache-Control: max-age=60", "Cache-Control: max-age=5, must-revalidate", "Cache-Control: no-cache",
     "Cache-Control: max-age=9, immutable, stale-while-revalidate=4, stale-if-error=7", 'ETag: "a"', "Vary: Accept",
     f"Last-Modified: {date(-1000)}", "Age: 3", "Surrogate-Key: a b", "Content-Language: de", "Vary: Accept, X-Y")
)  # fmt: skip


def sealed(content: bytes) -> bytes:
    """With the right checksum: as somebody would write it who means it."""
    return MAGIC + struct.pack("!I", crc32(content)) + content


class RecordTests(SynchronousTestCase):
    def refused(self, data: bytes, *, reason: str = "") -> None:
        with self.assertRaisesRegex(RecordError, reason):
            decode(data, 0.0, WALL)

    @given(
        st.lists(FIELDS, max_size=5, unique=True), st.binary(max_size=300), st.binary(max_size=20), VALUES,
        st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e5),
    )  # fmt: skip
    def test_round_trip(
        self, fields: list[str], body: bytes, mark: bytes, value: str, now: float, there: float, later: float
    ) -> None:
        """The same answer, on another clock, and older by the time that has gone by."""
        entry = stored(*fields, f"X-A: {value}", request=(f"Accept: {value}",), now=now, body=body)
        found, said = decode(encode(entry, mark, now, WALL), there, WALL + later)
        self.assertEqual(said, mark)
        for name in Entry.__slots__:
            if name in TIMES:
                self.assertAlmostEqual(getattr(found, name) - there, getattr(entry, name) - now - later, places=3)
            else:
                self.assertEqual(getattr(found, name), getattr(entry, name), name)

    @given(st.integers(0, 10_000), st.integers(1, 255))
    def test_a_byte_that_is_another(self, place: int, change: int) -> None:
        """Is noticed, wherever it is."""
        data = bytearray(encode(stored("Cache-Control: max-age=60"), b"1-1", 0.0, WALL))
        data[place % len(data)] ^= change
        self.refused(bytes(data))

    @given(st.binary(max_size=200))
    def test_anything(self, data: bytes) -> None:
        """What was never a record is refused, even with the right first word and checksum."""
        self.refused(data)
        self.refused(sealed(data))

    def test_cut_and_continued(self) -> None:
        """What is too short or too long is refused with a reason, also where its checksum fits."""
        data = encode(stored("Cache-Control: max-age=60"), b"1-1", 0.0, WALL)
        for end in range(len(data)):
            self.refused(data[:end])
            if end >= 8:
                self.refused(sealed(data[8:end]), reason="not whole")
        self.refused(sealed(data[8:] + b"x"), reason="not whole")
        self.refused(b"wmc2" + data[4:], reason="another format")

    def test_a_writer_who_means_harm(self) -> None:
        """A head that would become two, a status that is another, times that are none."""
        for name, value, reason in (
            ("start", b"HTTP/1.1 200 OK\r\nX: 1", "status line"),
            ("start", b"HTTP/1.1 404 Not Found", "status line"),
            ("status", 101, "status line"),
            ("lines", b"\r\nA: 1\r\n\r\nHTTP/1.1 200 OK\r\n", "field lines"),
            ("lines", b"\r\nA: 1", "field lines"),
            ("lines", b"\r\nA b: 1\r\n", "field lines"),
            ("fresh_until", float("nan"), "times"),
            ("born", float("-inf"), "times"),
            ("error_until", 1e300, "times"),
        ):
            entry = stored("Cache-Control: max-age=60")
            setattr(entry, name, value)
            self.refused(encode(entry, b"", 0.0, WALL), reason=reason)

    def test_a_clock_that_is_behind(self) -> None:
        """Makes nothing younger than it was."""
        entry = stored("Cache-Control: max-age=60", "Age: 7")
        found, _ = decode(encode(entry, b"", 0.0, WALL), 100.0, WALL - 50)
        self.assertAlmostEqual(found.born, 93.0)
        self.assertAlmostEqual(found.fresh_until, 153.0)
