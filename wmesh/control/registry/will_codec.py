"""What stands in the registry of an operator's will: JSON, as strict as that of the records (`codec`). Pure.

The format, version 1, is one JSON object of at most 4 KiB in UTF-8; whose will it is, its key says:

    {"v": 1, "until": 1795626909943, "state": {"is": "drain", "since": 1795022109943, "by": "10.0.0.7 at gw-1"},
     "weight": {"is": 5, "since": 1795022109943, "by": "10.0.0.7 at gw-1"}}

v and until must be there; state and weight are there if anybody ever said something of them, and by may be missing.
Nothing at all is what is left of a will that was forgotten; that stands in the stream only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from wmesh.control.registry.codec import json_object, member_name, shown
from wmesh.errors import RecordError
from wmesh.model import MAX_WEIGHT, AdminState, Said, Will
from wmesh.policy.wills import LATEST, says_nothing

FORMAT = 1
MAX_WILL = 4 * 1024
MAX_BY = 128
MAX_MEMBER = 257

_FIELDS = ("v", "until", "state", "weight")
_SAID = ("is", "since", "by")
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# More than a record may be called: fixed instances are called by host and port.
_ID = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9._:@+~\[\]-]*")
_STATES = {state.name.lower(): state for state in AdminState}


def encode_will(will: Will) -> bytes:
    """The will as JSON. Fails with RecordError as `decode_will` does."""
    value: dict[str, Any] = {"v": FORMAT, "until": will.until}
    if will.state is not None:
        value["state"] = _value_of(will.state, will.state.value.name.lower())
    if will.weight is not None:
        value["weight"] = _value_of(will.weight, will.weight.value)
    will_from(will.service, will.id, value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def decode_will(service: str, id: str, data: bytes) -> Will:
    """The will in `data`. Fails with RecordError on anything that is not exactly right."""
    if not data:
        _check_member(service, id)
        return Will(service, id)
    if len(data) > MAX_WILL:
        _refuse("the will", "too large", f"at most {MAX_WILL} bytes")
    return will_from(service, id, json_object(data, "the will"))


def will_from(service: str, id: str, value: Mapping[str, Any]) -> Will:
    """The will that a JSON object says. Fails with RecordError."""
    _check_member(service, id)
    if type(value.get("v")) is not int or value["v"] != FORMAT:
        _refuse("v", shown(value.get("v")), f"{FORMAT}")
    for field in value:
        if field not in _FIELDS:
            _refuse(shown(field), "unknown field", f"one of {', '.join(_FIELDS)}")
    state = _said("state", value["state"]) if "state" in value else None
    weight = _said("weight", value["weight"]) if "weight" in value else None
    will = Will(
        service,
        id,
        _moment("until", value.get("until")),
        None if state is None else Said(_state(state["is"]), state["since"], state.get("by", "")),
        None if weight is None else Said(_weight(weight["is"]), weight["since"], weight.get("by", "")),
    )
    if says_nothing(will):
        _refuse("state, weight", "missing", "one of them, or both")
    return will


def _check_member(service: Any, id: Any) -> None:
    """Whether an instance can be called that."""
    if type(service) is not str or not _SERVICE.fullmatch(service):
        _refuse("service", shown(service), "1 to 128 letters, digits, dots, dashes and underscores")
    if type(id) is not str or not _ID.fullmatch(id) or len(member_name(service, id)) > MAX_MEMBER:
        right = f"letters, digits and any of . _ : @ + ~ [ ] -, with service and slash at most {MAX_MEMBER}"
        _refuse("id", shown(id), right)


def _value_of(said: Said[Any], value: object) -> dict[str, Any]:
    return {"is": value, "since": said.since, "by": said.by}


def _said(name: str, value: Any) -> dict[str, Any]:
    if type(value) is not dict or not {"is", "since"} <= value.keys() <= set(_SAID):
        _refuse(name, shown(value), f"an object of {', '.join(_SAID)}")
    _moment(f"{name}.since", value["since"])
    by = value.get("by", "")
    if type(by) is not str or len(by) > MAX_BY or not by.isprintable():
        _refuse(f"{name}.by", shown(by), f"0 to {MAX_BY} printable characters")
    return value


def _state(value: Any) -> AdminState:
    if type(value) is not str or value not in _STATES:
        _refuse("state.is", shown(value), "ready, drain or maint")
    return _STATES[value]


def _weight(value: Any) -> int | None:
    if value is not None and (type(value) is not int or not 1 <= value <= MAX_WEIGHT):
        _refuse("weight.is", shown(value), f"a whole number from 1 to {MAX_WEIGHT}, or null")
    return None if value is None else int(value)


def _moment(name: str, value: Any) -> int:
    if type(value) is not int or not 1 <= value <= LATEST:
        _refuse(name, shown(value), "milliseconds since 1970")
    return int(value)


def _refuse(name: str, wrong: str, right: str) -> NoReturn:
    raise RecordError(f"{name}: {wrong}; should be {right}")
