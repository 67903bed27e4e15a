"""Cache-Status (RFC 9211): what the cache did with a request, on every answer, for whoever looks for the reason."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*")


def cache_name(name: str) -> bytes:
    """The gateway's name as a structured field has it."""
    return (name if _TOKEN.fullmatch(name) else f'"{name}"').encode("ascii", "replace")


def hit_line(name: bytes, ttl: float, detail: bytes = b"") -> bytes:
    """It came out of the cache; `ttl` is how long it is still fresh, negative when it is not."""
    more = b"; detail=" + detail if detail else b""
    return b"Cache-Status: %b; hit; ttl=%d%b\r\n" % (name, ttl, more)


def forward_line(
    name: bytes, fwd: str, status: int = 0, *, stored: bool = False, collapsed: bool = False, detail: str = ""
) -> bytes:
    """The instance was asked, because of `fwd`. `status` is what it answered, 0 if it did not; `detail` is a token."""
    return b"Cache-Status: %b; fwd=%b%b%b%b%b\r\n" % (
        name,
        fwd.encode("ascii"),
        b"; fwd-status=%d" % status if status else b"",
        b"; stored" if stored else b"",
        b"; collapsed" if collapsed else b"",
        b"; detail=" + detail.encode("ascii") if detail else b"",
    )
