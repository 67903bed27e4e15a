"""The Lua scripts that make every operation on the store atomic, as text with its SHA-1. Read once, at import.

The scripts are files of their own so that an editor colours them; `wmesh scripts` hands them, each with the prelude in
front, to `redis-cli` and other languages. What stands here is only how they are loaded.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """One script: its name (for messages), its whole text, and the name by which the server remembers it."""

    name: str
    text: bytes
    sha: bytes


def _load(name: str) -> Script:
    folder = files(__package__)
    text = folder.joinpath("prelude.lua").read_bytes() + b"\n" + folder.joinpath(f"{name}.lua").read_bytes()
    # The server's name for a script is its SHA-1; this is no matter of security.
    return Script(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


REGISTER = _load("register")
DEREGISTER = _load("deregister")
RENEW = _load("renew")
EXPIRE = _load("expire")
SNAPSHOT = _load("snapshot")
LOADS = _load("loads")
DIRECT = _load("direct")

ALL = (REGISTER, DEREGISTER, RENEW, EXPIRE, SNAPSHOT, LOADS, DIRECT)


def keys(namespace: str) -> tuple[bytes, ...]:
    """The keys of a namespace in the order of the prelude. The braces keep them in one slot of a cluster."""
    names = ("records", "leases", "version", "changes", "loads", "wills")
    return tuple(f"{{{namespace}}}:{name}".encode() for name in names)
