"""HTTP dates (RFC 9110 section 5.6.7): read in each of their three forms, and in no other.

Whoever reads a date leniently believes an answer to be fresh that its server meant otherwise, so what does not follow
the grammar is no date. Only the case of letters is forgiven. The name of the day is not held against the date.
"""

from __future__ import annotations

import re
from datetime import date

_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), 1
    )
}
_MONTH = rb"(" + b"|".join(_MONTHS) + rb")"
_TIME = rb"(\d\d):(\d\d):(\d\d)"
_FIXED = re.compile(rb"(?i)(?:mon|tue|wed|thu|fri|sat|sun), (\d\d) " + _MONTH + rb" (\d{4}) " + _TIME + rb" gmt")
_RFC850 = re.compile(
    rb"(?i)(?:mon|tues|wednes|thurs|fri|satur|sun)day, (\d\d)-" + _MONTH + rb"-(\d\d) " + _TIME + rb" gmt"
)
_ASCTIME = re.compile(rb"(?i)(?:mon|tue|wed|thu|fri|sat|sun) " + _MONTH + rb" ([ \d]\d) " + _TIME + rb" (\d{4})")

# Most dates that come within a second are the same. WHY: each answer that may be kept has one or two to be read.
_KNOWN: dict[bytes, int] = {}
_MOST_KNOWN = 256

_EPOCH = date(1970, 1, 1).toordinal()
_DAY = 86400
_YEAR = 365.2425 * _DAY


def read_date(text: bytes, wall: float) -> int | None:
    """Seconds since 1970, or None if it is no date. `wall` decides the century of a year of two digits."""
    known = _KNOWN.get(text)
    if known is not None:
        return known
    match = _FIXED.fullmatch(text)
    if match is not None:
        day, month, year, *time = match.groups()
        found = _seconds(int(year), month, day, time)
        if found is not None:
            if len(_KNOWN) >= _MOST_KNOWN:
                _KNOWN.clear()
            _KNOWN[text] = found
        return found
    match = _RFC850.fullmatch(text)
    if match is not None:
        day, month, year, *time = match.groups()
        return _nearest(int(year), month, day, time, wall)
    match = _ASCTIME.fullmatch(text)
    if match is not None:
        month, day, *time, year = match.groups()
        return _seconds(int(year), month, day, time)
    return None


def _nearest(year: int, month: bytes, day: bytes, time: list[bytes], wall: float) -> int | None:
    """A date that looks more than 50 years away in the future is the last past year with those digits."""
    now = 1970 + int(wall / _YEAR)
    year += now - now % 100 + 100
    while year > now + 50:
        year -= 100
    return _seconds(year, month, day, time)


def _seconds(year: int, month: bytes, day: bytes, time: list[bytes]) -> int | None:
    hours, minutes, seconds = map(int, time)
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    try:
        days = date(year, _MONTHS[month.lower()], int(day)).toordinal() - _EPOCH
    except ValueError:
        return None
    return days * _DAY + hours * 3600 + minutes * 60 + seconds


def written_date(seconds: float) -> bytes:
    """The date in the form that is to be sent."""
    days, rest = divmod(int(seconds), _DAY)
    day = date.fromordinal(_EPOCH + days)
    name = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")[day.weekday()]
    month = list(_MONTHS)[day.month - 1].capitalize()
    time = (rest // 3600, rest // 60 % 60, rest % 60)
    return b"%b, %02d %b %04d %02d:%02d:%02d GMT" % (name, day.day, month, day.year, *time)
