"""What stands in the registry: an instance record as JSON, and a load sample as JSON. Pure.

Strategy: the registry is shared with programs that we did not write, so nothing in it is believed. One door in each
direction, and both check the same rules: `encode_record` refuses what others should not have to read, `decode_record`
refuses what others should not have written. Every refusal is a `RecordError` that names the field and says what would
be right. Decoding never repairs: a record that is nearly right is wrong.

The format, version 1, is one JSON object of at most 16 KiB in UTF-8:

    {"v": 1, "service": "pricing", "id": "pricing-1", "host": "10.0.0.7", "port": 3007, "version": "1.0.0",
     "weight": 1, "tags": ["core"], "metadata": {"zone": "a"}, "incarnation": "d41f…"}

v, service, id, host and port must be there; the rest has the defaults of `InstanceRecord`. Unknown fields are refused
(they are misspelt known ones more often than anything else): what is free goes into metadata, what changes the format
changes v. `origin` does not travel: whatever is read from a registry has the origin "registry".
"""

from __future__ import annotations

import ipaddress
import json
import re
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from wmesh.errors import RecordError
from wmesh.model import MAX_WEIGHT, Address, InstanceRecord, LoadSample

FORMAT = 1
MAX_RECORD = 16 * 1024
MAX_LOAD = 4 * 1024
MAX_ITEMS = 64
MAX_NAME = 128
MAX_VALUE = 1024
MAX_METRICS = 32

_REQUIRED = ("v", "service", "id", "host", "port")
_FIELDS = (*_REQUIRED, "version", "weight", "tags", "metadata", "incarnation")
_FIELD_SET = frozenset(_FIELDS)
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_ID = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:@+~\[\]-]{0,127}")
# A name that ends in one of these is read as an (odd) IPv4 address by some resolvers, and as a name by others.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(rf"(?!0\.0\.0\.0$)(?!22[4-9]|23[0-9]){_OCTET}(?:\.{_OCTET}){{3}}")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_METRIC = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_METRIC_NAME = "names of 1 to 64 letters, digits and any of . _ : -"


def encode_record(record: InstanceRecord) -> bytes:
    """The record as canonical JSON: equal records give equal bytes. Fails with RecordError as `decode_record` does."""
    value = _value_of(record)
    record_from(value)
    data = _ENCODER.encode(value).encode()
    _check_size(data)
    return data


def encode_known(record: InstanceRecord) -> bytes:
    """The same, for a record that a registry gave us: that one was checked when it was read."""
    return _ENCODER.encode(_value_of(record)).encode()


def _value_of(record: InstanceRecord) -> dict[str, Any]:
    metadata = dict(record.metadata)
    if len(metadata) != len(record.metadata):
        _refuse("metadata", "a key stands there twice", "each key once")
    return {
        "v": FORMAT,
        "service": record.service,
        "id": record.id,
        "host": record.address.host,
        "port": record.address.port,
        "version": record.version,
        "weight": record.weight,
        "tags": list(record.tags),
        "metadata": metadata,
        "incarnation": record.incarnation,
    }


def _check_size(data: bytes) -> None:
    if len(data) > MAX_RECORD:
        _refuse("the record", f"{len(data)} bytes", f"at most {MAX_RECORD} bytes, metadata included")


def decode_record(data: bytes) -> InstanceRecord:
    """The record in `data`, with origin "registry". Fails with RecordError on anything that is not exactly right."""
    # Seen before it is read. How much too large it is cannot be told: the scripts hand out no more than this.
    if len(data) > MAX_RECORD:
        _refuse("the record", "too large", f"at most {MAX_RECORD} bytes, metadata included")
    return record_from(json_object(data, "the record"))


def member_name(service: str, id: str) -> str:
    """The name of an instance inside the registry: service and id, which together are unique in a namespace."""
    return f"{service}/{id}"


def encode_load(sample: LoadSample) -> bytes:
    """A load sample as JSON; empty when nothing is known, which tells the store to leave what it has.

    What cannot be is left out: a heartbeat must not fail for a hint.
    """
    known: dict[str, Any] = {}
    if sample.cpu is not None and _is_cpu(sample.cpu):
        known["cpu"] = sample.cpu
    if sample.memory is not None and _is_count(sample.memory):
        known["memory"] = sample.memory
    if sample.in_flight is not None and _is_count(sample.in_flight):
        known["in_flight"] = sample.in_flight
    if sample.metrics and type(sample.metrics) is tuple:
        right = [pair for pair in sample.metrics if _is_metric(pair)][:MAX_METRICS]
        if right:
            known["metrics"] = {name: float(number) for name, number in right}
    return json.dumps(known, sort_keys=True, separators=(",", ":")).encode() if known else b""


def decode_load(data: bytes) -> LoadSample:
    """The sample in `data`; fields that this version does not know are passed over, for samples are only hints."""
    if len(data) > MAX_LOAD:
        _refuse("the load", "too large", f"at most {MAX_LOAD} bytes")
    return load_from(json_object(data, "the load"))


def check_load(sample: LoadSample) -> None:
    """Fails with RecordError if `encode_load` would leave anything of the sample out."""
    metrics = sample.metrics
    if type(metrics) is not tuple or not all(type(pair) is tuple and len(pair) == 2 for pair in metrics):
        _refuse("metrics", shown(metrics), "a tuple of pairs, each a name and a number")
    for name, _ in metrics:
        if type(name) is not str:
            _refuse("metrics", shown(name), _METRIC_NAME)
    named = dict(metrics)
    if len(named) != len(metrics):
        _refuse("metrics", "a name stands there twice", "each name once")
    load_from({"cpu": sample.cpu, "memory": sample.memory, "in_flight": sample.in_flight, "metrics": named})


def load_from(value: Mapping[str, Any]) -> LoadSample:
    """The sample that a JSON object says. Fails with RecordError."""
    cpu, memory, in_flight = value.get("cpu"), value.get("memory"), value.get("in_flight")
    if cpu is not None and not _is_cpu(cpu):
        _refuse("cpu", shown(cpu), "a percentage of one core, 0 or more")
    if memory is not None and not _is_count(memory):
        _refuse("memory", shown(memory), "a whole number of bytes")
    if in_flight is not None and not _is_count(in_flight):
        _refuse("in_flight", shown(in_flight), "a whole number of requests, 0 or more")
    metrics = value.get("metrics")
    return LoadSample(
        cpu=None if cpu is None else float(cpu),
        memory=memory,
        in_flight=in_flight,
        metrics=() if metrics is None else _metrics(metrics),
    )


def decode_reason(data: bytes) -> str:
    """Why an instance was taken out, as somebody wrote it into the stream: short, and safe to show."""
    text = data[:MAX_NAME].decode(errors="backslashreplace")
    return text if text.isprintable() else ascii(text)[1:-1]


def shown(value: Any) -> str:
    """A value as it may stand in an error or a log line: no controls, no flood, and no depth."""
    if isinstance(value, list | tuple | dict):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a number without measure"
    text = ascii(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def record_from(value: Mapping[str, Any]) -> InstanceRecord:
    """The record that a JSON object says. Fails with RecordError. All rules stand here, in the order of the fields."""
    # The version comes first: a later format may be right in ways that the rules below do not know.
    if "v" in value and (type(value["v"]) is not int or value["v"] != FORMAT):
        _refuse("v", f"{shown(value['v'])} is not a format that this version reads", f"{FORMAT}")
    for field in _REQUIRED:
        if field not in value:
            _refuse(field, "missing", f"a record has at least {', '.join(_REQUIRED)}")
    if not value.keys() <= _FIELD_SET:
        field = next(field for field in value if field not in _FIELD_SET)
        _refuse(shown(field), "unknown field", f"one of {', '.join(_FIELDS)}; free things go into metadata")
    service, name = value["service"], value["id"]
    if type(service) is not str or not _SERVICE.fullmatch(service):
        _refuse("service", shown(service), "1 to 128 letters, digits, dots, dashes and underscores")
    if type(name) is not str or not _ID.fullmatch(name):
        _refuse("id", shown(name), "1 to 128 letters, digits and any of . _ : @ + ~ [ ] -")
    weight = value.get("weight", 1)
    if type(weight) is not int or not 1 <= weight <= MAX_WEIGHT:
        _refuse("weight", shown(weight), f"a whole number from 1 to {MAX_WEIGHT}")
    return InstanceRecord(
        service=service,
        id=name,
        address=Address(_host(value["host"]), _port(value["port"])),
        version=_text("version", value.get("version", ""), MAX_NAME),
        weight=weight,
        tags=_tags(value.get("tags", [])),
        metadata=_metadata(value.get("metadata", {})),
        incarnation=_text("incarnation", value.get("incarnation", ""), MAX_NAME),
    )


def _host(value: Any) -> str:
    right = "an IP address or host name by which others reach the instance"
    if type(value) is not str or not 1 <= len(value) <= 253 or not value.isascii():
        _refuse("host", shown(value), right)
    # Most hosts are such, and the general way takes six times as long.
    if _IPV4.fullmatch(value):
        return value
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        labels = value.split(".")
        if _NUMBER.fullmatch(labels[-1]) or not all(_LABEL.fullmatch(label) for label in labels):
            _refuse("host", shown(value), right)
    else:
        if address.is_unspecified or address.is_multicast or "%" in value:
            _refuse("host", shown(value), right)
    return str(value)


def _port(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= 65535:
        _refuse("port", shown(value), "a whole number from 1 to 65535")
    return int(value)


def _text(name: str, value: Any, longest: int, shortest: int = 0) -> str:
    # isprintable() refuses controls, line ends, lone surrogates and what turns the direction of writing.
    if type(value) is not str or not shortest <= len(value) <= longest or not value.isprintable():
        _refuse(name, shown(value), f"{shortest} to {longest} printable characters")
    return str(value)


def _tags(value: Any) -> tuple[str, ...]:
    if type(value) is not list or len(value) > MAX_ITEMS:
        _refuse("tags", shown(value), f"a list of at most {MAX_ITEMS} texts")
    return tuple(_text("tags", tag, MAX_NAME, 1) for tag in value)


def _metadata(value: Any) -> tuple[tuple[str, str], ...]:
    if type(value) is not dict or len(value) > MAX_ITEMS:
        _refuse("metadata", shown(value), f"an object of at most {MAX_ITEMS} texts")
    # Sorted when they are known to be texts: a program may hand in anything.
    pairs = (
        (_text("metadata", key, MAX_NAME, 1), _text(f"metadata.{key}", text, MAX_VALUE)) for key, text in value.items()
    )
    return tuple(sorted(pairs))


def _metrics(value: Any) -> tuple[tuple[str, float], ...]:
    if type(value) is not dict or len(value) > MAX_METRICS:
        _refuse("metrics", shown(value), f"an object of at most {MAX_METRICS} numbers")
    for name, number in value.items():
        if not _METRIC.fullmatch(name):
            _refuse("metrics", shown(name), _METRIC_NAME)
        if not _is_finite(number):
            _refuse(f"metrics.{name}", shown(number), "a finite number")
    return tuple(sorted((name, float(number)) for name, number in value.items()))


def json_object(data: bytes, what: str) -> dict[str, Any]:
    """The JSON object in `data`: strict JSON (no NaN), no name twice, nothing but an object."""
    try:
        value = _DECODER.decode(data.decode())
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:80]
        raise RecordError(f"{what}: not JSON ({reason}); should be one JSON object in UTF-8") from error
    if type(value) is not dict:
        _refuse(what, shown(value), "one JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _is_cpu(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e9


def _is_count(value: Any) -> bool:
    # What every reader of JSON reads exactly, Lua among them.
    return type(value) is int and 0 <= value < 2**53


def _is_finite(value: Any) -> bool:
    # No larger than what a double can hold, which a whole number of Python's may be.
    return type(value) in (int, float) and -sys.float_info.max <= value <= sys.float_info.max


def _is_metric(pair: Any) -> bool:
    """Whether this may be one of a sample's metrics, whatever a program handed in."""
    if type(pair) is not tuple or len(pair) != 2:
        return False
    name, number = pair
    return type(name) is str and _METRIC.fullmatch(name) is not None and _is_finite(number)


def _refuse(name: str, wrong: str, right: str) -> NoReturn:
    raise RecordError(f"{name}: {wrong}; should be {right}")


# json.loads and json.dumps would make these anew each time.
_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
