"""Cache directives: Cache-Control of answers and requests (RFC 9111 section 5.2), and the fields that only some heed.

A directive that is malformed counts as what is safest: one that forbids is obeyed whole, one that grants a time grants
none. A time given twice with two values grants none either (RFC 9111 section 4.2.1 lets a cache call such an answer
stale). Targeted fields (RFC 9213) are structured fields: one that does not parse is as if it were not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

NEVER_ENDING = 1 << 31
"""What a time that is larger counts as (RFC 9111 section 1.2.2)."""

Values = dict[bytes, list[bytes | None]]
"""By name in lower case, each value in order: None where there is none."""

_MALFORMED = b"?"

_PART = re.compile(rb'[^,"]*(?:"(?:[^"\\]|\\.)*(?:"|$)[^,"]*)*')
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_DIRECTIVE = re.compile(rb"(%b)(?:=(%b|\"(?:[^\"\\]|\\.)*\"))?" % (_TOKEN, _TOKEN))
_NAME = re.compile(_TOKEN)


def directives_of(values: Iterable[bytes]) -> Values:
    """The directives in the values of all Cache-Control fields of a head."""
    found: Values = {}
    for value in values:
        for part in _PART.findall(value):
            text = part.strip(b" \t")
            if not text:
                continue
            match = _DIRECTIVE.fullmatch(text)
            if match is not None:
                name, argument = match.groups()
                if argument is not None and argument[:1] == b'"':
                    argument = re.sub(rb"\\(.)", rb"\1", argument[1:-1])
                found.setdefault(name.lower(), []).append(argument)
            else:
                start = _NAME.match(text)
                if start is not None:
                    found.setdefault(start[0].lower(), []).append(_MALFORMED)
    return found


def seconds_of(values: list[bytes | None] | None) -> int | None:
    """A delta-seconds directive: None where it is absent, 0 where it is malformed or says two things."""
    if values is None:
        return None
    first = values[0]
    if first is None or not first.isdigit() or any(value != first for value in values):
        return 0
    return min(int(first[:20]), NEVER_ENDING)


def _fields_of(values: list[bytes | None] | None) -> frozenset[bytes] | None:
    """The fields that `no-cache` or `private` names; empty: it means all of the answer; None: it is absent."""
    if values is None:
        return None
    names: set[bytes] = set()
    for value in values:
        listed = [name.strip(b" \t").lower() for name in (value or b"").split(b",")]
        if not all(_NAME.fullmatch(name) for name in listed):
            return frozenset()
        names.update(listed)
    return frozenset(names)


class ResponseDirectives:
    """What an answer says. Times are seconds, None where nothing is said.

    `no_cache` and `private` are None, or the fields that they name (empty: all of the answer). `targeted`: it was said
    to caches like this one only, so Expires does not count.
    """

    __slots__ = (
        "immutable",
        "max_age",
        "must_revalidate",
        "must_understand",
        "no_cache",
        "no_store",
        "private",
        "proxy_revalidate",
        "public",
        "s_maxage",
        "stale_if_error",
        "stale_while_revalidate",
        "targeted",
    )

    def __init__(self, found: Values, targeted: bool = False) -> None:
        self.targeted = targeted
        self.no_store = b"no-store" in found
        self.no_cache = _fields_of(found.get(b"no-cache"))
        self.private = _fields_of(found.get(b"private"))
        self.public = b"public" in found
        self.must_revalidate = b"must-revalidate" in found
        self.proxy_revalidate = b"proxy-revalidate" in found
        self.must_understand = b"must-understand" in found
        self.immutable = b"immutable" in found
        self.max_age = seconds_of(found.get(b"max-age"))
        self.s_maxage = seconds_of(found.get(b"s-maxage"))
        self.stale_while_revalidate = seconds_of(found.get(b"stale-while-revalidate"))
        self.stale_if_error = seconds_of(found.get(b"stale-if-error"))


def response_directives(
    cache_control: list[bytes], targeted: list[bytes] | None = None, surrogate: list[bytes] | None = None
) -> ResponseDirectives:
    """Of the values of Cache-Control, CDN-Cache-Control and Surrogate-Control; the most special one decides alone."""
    if targeted:
        found = read_targeted(b", ".join(targeted))
        if found:
            return ResponseDirectives(found, targeted=True)
    if surrogate:
        found = directives_of(surrogate)
        if b"max-age" in found or b"no-store" in found:
            _split_surrogate_age(found)
            return ResponseDirectives(found, targeted=True)
    return ResponseDirectives(directives_of(cache_control))


def _split_surrogate_age(found: Values) -> None:
    """`max-age=3600+60`: so long fresh, and so long usable while it is asked for again."""
    values = found.get(b"max-age")
    if values is not None and len(values) == 1 and values[0] is not None:
        age, plus, more = values[0].partition(b"+")
        if plus:
            found[b"max-age"] = [age]
            found[b"stale-while-revalidate"] = [more]


class RequestDirectives:
    """What a request says. `max_stale` is infinite where it has no value. Times are seconds, None: nothing is said."""

    __slots__ = ("max_age", "max_stale", "min_fresh", "no_cache", "no_store", "only_if_cached", "stale_if_error")

    def __init__(self, found: Values) -> None:
        self.no_store = b"no-store" in found
        self.no_cache = b"no-cache" in found
        self.only_if_cached = b"only-if-cached" in found
        self.max_age = seconds_of(found.get(b"max-age"))
        self.min_fresh = seconds_of(found.get(b"min-fresh"))
        self.stale_if_error = seconds_of(found.get(b"stale-if-error"))
        stale = found.get(b"max-stale")
        self.max_stale: float | None = None
        if stale is not None:
            self.max_stale = float("inf") if stale == [None] else seconds_of(stale)


# RFC 9651: a dictionary. What stands behind a key is not kept beyond what directives can be.
_KEY = rb"[a-z*][a-z0-9_.*-]*"
_BARE = (
    rb'(?:-?\d{1,12}\.\d{1,3}|-?\d{1,15}|"(?:[ !#-\[\]-~]|\\["\\])*"|[A-Za-z*][!#$%%&\'*+.^_`|~0-9A-Za-z:/-]*'
    rb"|:[A-Za-z0-9+/=]*:|\?[01]|@-?\d{1,15})"
)
_PARAMETERS = rb"(?:; *%b(?:=%b)?)*" % (_KEY, _BARE)
_INNER = rb"\( *(?:%b%b(?: +%b%b)*)? *\)" % (_BARE, _PARAMETERS, _BARE, _PARAMETERS)
_MEMBER = re.compile(rb"(%b)(?:=(%b|%b))?%b" % (_KEY, _BARE, _INNER, _PARAMETERS))
_COMMA = re.compile(rb"[ \t]*,[ \t]*")

_TIMES = (b"max-age", b"s-maxage", b"stale-while-revalidate", b"stale-if-error")
_LISTS = (b"no-cache", b"private")


def read_targeted(text: bytes) -> Values:
    """A targeted field's directives. Empty if it is no dictionary, or nothing in it has the type it should have."""
    text = text.strip(b" ")
    found: Values = {}
    position = 0
    while position < len(text):
        match = _MEMBER.match(text, position)
        if match is None:
            return {}
        name, value = match.groups()
        found.pop(name, None)
        if _well_typed(name, value):
            kept = value[1:-1] if value is not None and value[:1] == b'"' else value
            found[name] = [None if kept == b"?1" else kept]
        position = match.end()
        if position == len(text):
            break
        comma = _COMMA.match(text, position)
        if comma is None or comma.end() == len(text):
            return {}
        position = comma.end()
    return found


def _well_typed(name: bytes, value: bytes | None) -> bool:
    if name in _TIMES:
        return value is not None and value.isdigit()
    if name in _LISTS:
        return value is None or value == b"?1" or value[:1] == b'"'
    return value != b"?0"
