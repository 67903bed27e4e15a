"""Durations and sizes as people write them: "15s", "250ms", "2m", "64KiB", and back again.

Strategy: a number and at most one unit, nothing compound, so that a value has one reading. Durations become seconds,
sizes bytes. A bare number means seconds (or bytes); the environment's millisecond variables say so by `bare="ms"`.
K, M and G count in 1024, as in most servers' configurations; KB, MB and GB count in 1000, as the units do.
"""

from __future__ import annotations

import re

from wmesh.config.wording import Invalid, common_hint, quoted

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {
    "b": 1,
    "k": 1024,
    "kib": 1024,
    "m": 1024**2,
    "mib": 1024**2,
    "g": 1024**3,
    "gib": 1024**3,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
}

_amount = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)")
_bare = re.compile(r"[0-9.]+")


def duration(text: str, bare: str = "s") -> float:
    """Seconds. `bare` is the unit of a number that has none."""
    match = _amount.fullmatch(text)
    if match is None or (match[2] and match[2].lower() not in SECONDS):
        raise Invalid(
            f"{quoted(text)} is not a duration",
            common_hint(text) or "write a number and one of ms, s, m, h, d, like 250ms or 15s",
        )
    number = float(match[1])
    unit = match[2].lower() or bare
    # Dividing keeps 250ms at exactly 0.25; multiplying by 0.001 would not.
    return number / 1000 if unit == "ms" else number * SECONDS[unit]


def size(text: str) -> int:
    """Bytes."""
    match = _amount.fullmatch(text)
    if match is None or (match[2] and match[2].lower() not in BYTES):
        raise Invalid(
            f"{quoted(text)} is not a size",
            common_hint(text) or "write a number and one of B, KiB, MiB, GiB, like 64KiB",
        )
    return int(float(match[1]) * BYTES[match[2].lower() or "b"])


def is_bare(text: str) -> bool:
    """Whether the number comes without a unit: then a far too large value was probably meant in milliseconds."""
    return _bare.fullmatch(text) is not None


def show_duration(seconds: float) -> str:
    """The shortest spelling that `duration` reads back as the same number."""
    if seconds == 0:
        return "0s"
    if seconds < 1:
        return f"{_plain(seconds * 1000)}ms"
    for unit in ("d", "h", "m"):
        if seconds % SECONDS[unit] == 0:
            return f"{_plain(seconds / SECONDS[unit])}{unit}"
    return f"{_plain(seconds)}s"


def show_size(count: int) -> str:
    """The shortest spelling that `size` reads back as the same number."""
    for unit in ("GiB", "MiB", "KiB"):
        if count and count % BYTES[unit.lower()] == 0:
            return f"{count // BYTES[unit.lower()]}{unit}"
    return str(count)


def _plain(number: float) -> str:
    return f"{round(number, 6):f}".rstrip("0").rstrip(".")
