"""The codec: what is right comes back as it was, what is wrong is refused by name, and nothing else can happen."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.control.registry.scene import a_record
from wmesh.control.registry.codec import (
    MAX_LOAD,
    MAX_METRICS,
    MAX_RECORD,
    check_load,
    decode_load,
    decode_reason,
    decode_record,
    encode_known,
    encode_load,
    encode_record,
    record_from,
    shown,
)
from wmesh.errors import RecordError
from wmesh.model import Address, InstanceRecord, LoadSample

_text = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)
_word = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
_host = st.one_of(
    st.ip_addresses().filter(lambda ip: not ip.is_unspecified and not ip.is_multicast).map(str),
    st.from_regex(r"([a-z][a-z0-9]{0,8}\.){0,3}[a-z]{1,8}", fullmatch=True),
)
_records = st.builds(
    InstanceRecord,
    service=_word,
    id=_word,
    address=st.builds(Address, _host, st.integers(1, 65535)),
    version=_text,
    weight=st.integers(1, 1000),
    tags=st.lists(_text.filter(bool), max_size=5).map(tuple),
    metadata=st.dictionaries(_text.filter(bool), _text, max_size=5).map(lambda found: tuple(sorted(found.items()))),
    incarnation=_text,
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)

RIGHT: dict[str, Any] = json.loads(encode_record(a_record()))


def with_field(name: str, value: Any) -> bytes:
    return json.dumps({**RIGHT, name: value}).encode()


class RoundTripTests(SynchronousTestCase):
    """Encoding and decoding."""

    @given(_records)
    @settings(max_examples=200, deadline=None)
    def test_there_and_back(self, record: InstanceRecord) -> None:
        """Every right record survives the way into the store and out of it."""
        self.assertEqual(decode_record(encode_record(record)), record)

    @given(_records)
    @settings(max_examples=50, deadline=None)
    def test_canonical(self, record: InstanceRecord) -> None:
        """Equal records are equal bytes, whatever order their metadata came in."""
        turned = replace(record, metadata=tuple(reversed(record.metadata)), origin="launched")
        self.assertEqual(encode_record(turned), encode_record(record))
        self.assertEqual(encode_known(turned), encode_record(record))

    def test_origin_does_not_travel(self) -> None:
        """Whoever put a record there, a reader sees that it comes from the registry."""
        self.assertEqual(decode_record(encode_record(a_record(origin="launched"))).origin, "registry")

    def test_defaults(self) -> None:
        """The shortest right record."""
        data = b'{"v":1,"service":"a","id":"b","host":"::1","port":1}'
        self.assertEqual(decode_record(data), InstanceRecord("a", "b", Address("::1", 1)))


class RefusalTests(SynchronousTestCase):
    """What is wrong is refused with the name of the field."""

    def refused(self, data: bytes, *words: str) -> None:
        message = str(self.assertRaises(RecordError, decode_record, data))
        for word in (*words, "should be"):
            self.assertIn(word, message)
        self.assertTrue(message.isprintable(), message)
        self.assertLess(len(message), 300)

    def test_fields(self) -> None:
        """Each field, with the lies that were seen in the wild and some more."""
        long = "x" * 2000
        lies: dict[str, list[Any]] = {
            "v": [0, 2, "1", 1.0, True, None],
            "service": ["", "a/b", "a b", "a\n", "\x00", long, 7, None, "é", "-a", "a\n"],
            "id": ["", "a/b", "a b", "a\r\n", long, 7, None, "<b>"],
            "host": [
                "",
                "a b",
                "http://x",
                "x:80",
                "x/y",
                "1.2.3",
                "1.2.3.999",
                "0.0.0.0",
                "::",
                "224.0.0.1",
                "239.255.255.255",
                "1.2.3.04",
                "1.2.3.4\n",
                "fe80::1%eth0",
                "a..b",
                "-a",
                "x\n",
                long,
                7,
                None,
                "münchen",
                "0x7f000001",
                "10.0x1",
                "host\x1b[2J",
            ],
            "port": [0, -1, 99999, 65536, "80", 80.0, True, None, 10**30],
            "version": [7, None, "a\n", "\x1b[31m", "\ud800", "\u202e", long],
            "weight": [0, -1, 1001, 1.5, "1", True, None],
            "tags": ["a", {}, [""], [7], ["a\n"], [long], ["x"] * 65, None],
            "metadata": [[], "a", {"": "x"}, {"a": 7}, {"a": "b\n"}, {"a": long}, {"a\n": "b"}, None],
            "incarnation": [7, None, "a\n", long],
        }
        for name, values in lies.items():
            for value in values:
                self.refused(with_field(name, value), name)

    def test_missing(self) -> None:
        """What must be there is named when it is not."""
        for name in ("v", "service", "id", "host", "port"):
            value = {key: value for key, value in RIGHT.items() if key != name}
            self.refused(json.dumps(value).encode(), name, "missing")

    def test_misspelt(self) -> None:
        """An unknown field is refused, with the names that are known."""
        self.refused(with_field("wieght", 3), "wieght", "weight")

    def test_not_json(self) -> None:
        """Bytes, half-written text, other values, NaN, a name twice, and depth without end."""
        cut = encode_record(a_record())[:-5]
        twice = b'{"v":1,"v":1,"service":"a","id":"b","host":"c","port":1}'
        for data in (b"", b"\xff\xfe", cut, twice, b"[" * 16000, b'{"v":NaN}', b"1" * 10000):
            self.refused(data)
        for data in (b"[]", b"null", b"7", b'"x"'):
            self.refused(data, "object")

    def test_size(self) -> None:
        """A flood is refused before it is read, in both directions."""
        self.refused(b'{"v":1,"x":"' + b"x" * 5_000_000 + b'"}', str(MAX_RECORD))
        metadata = tuple((f"k{number}", "é" * 1000) for number in range(10))
        error = self.assertRaises(RecordError, encode_record, a_record(metadata=metadata))
        self.assertIn("metadata included", str(error))

    def test_encoding_refuses_too(self) -> None:
        """Nobody writes what others would refuse to read."""
        anything: Any = ((1, "a"), ("b", "c"))
        for bad in (
            a_record(metadata=anything),
            a_record(metadata=(("a", "\x1b[2J"),)),
            a_record(weight=10**5000),
            a_record(weight=0),
            a_record(address=Address("0.0.0.0", 80)),
            a_record(address=Address("x", 99999)),
            a_record(metadata=(("a", "1"), ("a", "2"))),
            a_record(tags=("a\n",)),
        ):
            self.assertRaises(RecordError, encode_record, bad)

    def test_depth(self) -> None:
        """However deep a value is nested that a JSON reader let pass, showing it does not go down there."""
        value: Any = []
        for _ in range(5000):
            value = [value]
        for name in RIGHT:
            error = self.assertRaises(RecordError, record_from, {**RIGHT, name: value})
            self.assertIn(name, str(error))
        self.assertEqual(shown({"a": value}), "an object of 1")

    @given(st.binary(max_size=200) | _json.map(lambda value: json.dumps(value).encode()))
    @settings(max_examples=300, deadline=None)
    def test_anything(self, data: bytes) -> None:
        """Whatever stands in the store, the answer is a record or a RecordError."""
        for decode in (decode_record, decode_load):
            try:
                decode(data)
            except RecordError as error:
                self.assertTrue(str(error).isprintable() and len(str(error)) < 300)

    @given(st.sampled_from(sorted(RIGHT)), _json)
    @settings(max_examples=300, deadline=None)
    def test_any_value(self, name: str, value: Any) -> None:
        """A record that is believed can be written again, so every rule holds both ways."""
        try:
            record = decode_record(with_field(name, value))
        except RecordError:
            return
        self.assertEqual(decode_record(encode_record(record)), record)


class LoadTests(SynchronousTestCase):
    """Load samples."""

    def test_there_and_back(self) -> None:
        """What is known comes back; what is not stays unknown; nothing known is nothing at all."""
        metrics = (("a", -1.5), ("queue.depth", 3.0), ("x:y_z-1", 1.7976931348623157e308))
        for sample in (
            LoadSample(1.5, 7, 3, metrics),
            LoadSample(cpu=0.0),
            LoadSample(memory=0),
            LoadSample(in_flight=0),
            LoadSample(metrics=(("zero", 0.0),)),
        ):
            self.assertEqual(decode_load(encode_load(sample)), sample)
            check_load(sample)
        turned = LoadSample(1.5, 7, 3, metrics[::-1])
        self.assertEqual(encode_load(turned), encode_load(LoadSample(1.5, 7, 3, metrics)))
        self.assertEqual(encode_load(LoadSample()), b"")
        nan: Any = float("nan")
        for cpu in (nan, -1.0, 1e308, True, "1"):
            for memory in (nan, -1, 1.5, 2**53, True, "1"):
                self.assertEqual(encode_load(LoadSample(cpu, memory)), b"")
                self.assertEqual(encode_load(LoadSample(1.0, memory, in_flight=memory)), b'{"cpu":1.0}')

    def test_metrics_that_cannot_be(self) -> None:
        """Each is left out alone, and is an error to whoever asks; what is left is never too large to be read."""
        infinite: Any = float("inf")
        good = ("good", 1)
        for bad in (
            ("", 1.0),
            ("a b", 1.0),
            ("a\n", 1.0),
            ("é", 1.0),
            ("x" * 65, 1.0),
            (7, 1.0),
            ([], 1.0),
            ("nan", infinite - infinite),
            ("inf", -infinite),
            ("huge", 10**5000),
            ("true", True),
            ("text", "1"),
            ("none", None),
            ("three", 1.0, 2.0),
            "ab",
            7,
        ):
            metrics: Any = (bad, good)
            self.assertEqual(encode_load(LoadSample(metrics=metrics)), b'{"metrics":{"good":1.0}}')
            error = self.assertRaises(RecordError, check_load, LoadSample(metrics=metrics))
            self.assertTrue(str(error).startswith("metrics"), error)
        for other in ({"a": 1.0}, [("a", 1.0)], 7, "ab", None):
            of_another_type: Any = other
            self.assertEqual(encode_load(LoadSample(metrics=of_another_type)), b"")
            self.assertRaises(RecordError, check_load, LoadSample(metrics=of_another_type))
        self.assertRaises(RecordError, check_load, LoadSample(metrics=(("a", 1.0), ("a", 2.0))))
        many = tuple((f"{number:x>64}", -(10.0**-300) / 3) for number in range(MAX_METRICS + 1))
        data = encode_load(LoadSample(999_999_999.9, 2**53 - 1, 2**53 - 1, many))
        self.assertEqual(len(decode_load(data).metrics), MAX_METRICS)
        error = self.assertRaises(RecordError, check_load, LoadSample(metrics=many))
        self.assertIn(f"at most {MAX_METRICS}", str(error))
        whole = encode_load(LoadSample(metrics=tuple((f"{number:x>64}", 10**300) for number in range(MAX_METRICS))))
        self.assertLessEqual(len(whole), MAX_LOAD)

    def test_lies(self) -> None:
        """A sample that cannot be is refused; fields of later versions are passed over."""
        for data in (b"", b"[]", b'{"cpu":-1}', b'{"cpu":"1"}', b'{"memory":1.5}', b'{"memory":-1}', b'{"cpu":true}'):
            self.assertRaises(RecordError, decode_load, data)
        for data in (b'{"cpu":1e308}', b'{"cpu":1e999}', b'{"cpu":NaN}', b'{"memory":1e3}', b'{"cpu":1,"cpu":2}'):
            self.assertRaises(RecordError, decode_load, data)
        for inner in (b"-1", b"1.0", b"9007199254740992", b'"1"', b"true"):
            error = self.assertRaises(RecordError, decode_load, b'{"in_flight":' + inner + b"}")
            self.assertTrue(str(error).startswith("in_flight: "), error)
        numbers = (b'{"a":"1"}', b'{"a":null}', b'{"a":true}', b'{"a":{"b":1}}')
        for inner in (b"[]", b"7", b'{"":1}', b'{"a b":1}', *numbers):
            error = self.assertRaises(RecordError, decode_load, b'{"metrics":' + inner + b"}")
            self.assertTrue(str(error).startswith("metrics"), error)
        for inner in (b'{"a":1e999}', b'{"a":-1e999}', b'{"a":1%s}' % (b"0" * 400), b'{"a":1,"a":2}', b'{"a":NaN}'):
            self.assertRaises(RecordError, decode_load, b'{"metrics":' + inner + b"}")
        flood = json.dumps({"metrics": dict.fromkeys(map(str, range(MAX_METRICS + 1)), 1)}).encode()
        self.assertIn(f"at most {MAX_METRICS}", str(self.assertRaises(RecordError, decode_load, flood)))
        error = self.assertRaises(RecordError, decode_load, b'{"x":"' + b"x" * MAX_LOAD + b'"}')
        self.assertIn(f"at most {MAX_LOAD}", str(error))
        self.assertEqual(decode_load(b'{"cpu":1,"disk":3}'), LoadSample(cpu=1.0))
        self.assertEqual(decode_load(b'{"metrics":{"b":2,"a":1}}'), LoadSample(metrics=(("a", 1.0), ("b", 2.0))))

    @given(st.dictionaries(st.sampled_from(["cpu", "memory", "in_flight", "metrics", "x"]), _json, max_size=4))
    @settings(max_examples=300, deadline=None)
    def test_any_sample(self, value: Any) -> None:
        """What is believed is a number that can be."""
        try:
            sample = decode_load(json.dumps(value).encode())
        except RecordError:
            return
        self.assertTrue(sample.cpu is None or 0 <= sample.cpu < 1e9)
        self.assertTrue(sample.memory is None or 0 <= sample.memory < 2**53)
        self.assertTrue(sample.in_flight is None or 0 <= sample.in_flight < 2**53)
        check_load(sample)
        self.assertEqual(decode_load(encode_load(sample) or b"{}"), sample)


class ReasonTests(SynchronousTestCase):
    """Why an instance left, as anybody may have written it."""

    @given(st.binary(max_size=300))
    @settings(max_examples=100, deadline=None)
    def test_safe_to_show(self, data: bytes) -> None:
        """Printable, and short."""
        reason = decode_reason(data)
        self.assertTrue(reason.isprintable() and len(reason) < 2000)
        self.assertEqual(decode_reason(b"lease expired"), "lease expired")
