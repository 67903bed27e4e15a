"""How much of a head is too much. Peers: nginx 4 x 8 KiB, HAProxy 16 KiB and 101 fields, Envoy 60 KiB and 100."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """`head` bounds a whole head, and a trailer section, in bytes; `fields` their lines; `target` the URL, in bytes."""

    head: int = 32768
    fields: int = 100
    target: int = 8192
