"""Keeping a client with the instance that it was first given, by a signed cookie.

Strategy: the cookie holds no name and no address, only a token: HMAC-SHA256 over service and instance id with a secret
that stays the same over restarts (and is the same for all gateways that share it). So nothing is kept for any client,
nobody can make up a token, and an id that a client should not see is not in it. Tokens of the instances that there are
now are remembered, which makes finding one a dictionary read.

A token whose instance may not take the request binds to nobody: the strategy picks, and the answer carries a new one.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Collection

from wmesh.model import StickySpec
from wmesh.wire.fields import value_of

TOKEN_BYTES = 18
SLACK = 64
"""Tokens of so many instances that are gone are kept, and of as many as there are now."""


class Stickiness:
    """That of one service. `secret` is at least 16 bytes."""

    __slots__ = ("_cookie", "_ids", "_secret", "_service", "_spec", "_suffix", "_tokens")

    def __init__(self, spec: StickySpec, service: str, secret: bytes) -> None:
        self._spec = spec
        self._service = service
        self._secret = secret
        self._ids: dict[bytes, str] = {}
        self._tokens: dict[str, bytes] = {}
        parts = ["", "Path=/"]
        if spec.lifetime:
            parts.append(f"Max-Age={round(spec.lifetime)}")
        if spec.http_only:
            parts.append("HttpOnly")
        parts.append(f"SameSite={spec.same_site.title()}")
        self._cookie = (spec.cookie or f"wmesh-{service}").encode("ascii")
        self._suffix = "; ".join(parts).encode("ascii")

    def token(self, id: str) -> bytes:
        """What stands in the cookie for the instance of this id."""
        token = self._tokens.get(id)
        if token is None:
            digest = hmac.digest(self._secret, f"{self._service}\0{id}".encode(), "sha256")
            token = urlsafe_b64encode(digest[:TOKEN_BYTES])
            self._tokens[id] = token
            self._ids[token] = id
        return token

    def bound(self, lines: bytes, ids: Collection[str]) -> str:
        """The id that the client's cookie binds it to, out of `ids`; empty if there is none. `lines`: its head's."""
        token = cookie_of(lines, self._cookie)
        if not token:
            return ""
        instance = self._ids.get(token)
        if instance is None and len(token) == TOKEN_BYTES // 3 * 4:
            self._learn(ids)
            instance = self._ids.get(token)
        return instance if instance is not None and instance in ids else ""

    def _learn(self, ids: Collection[str]) -> None:
        """Make the tokens of all `ids`, and forget those of instances that are long gone."""
        if len(self._tokens) > 2 * len(ids) + SLACK:
            self._tokens.clear()
            self._ids.clear()
        for instance in ids:
            if instance not in self._tokens:
                self.token(instance)

    def line(self, id: str, secure: bool) -> bytes:
        """The Set-Cookie line that binds to this id, with its CRLF. `secure`: the client came over TLS."""
        marked = self._spec.secure == "yes" or (self._spec.secure == "auto" and secure)
        ending = b"; Secure\r\n" if marked else b"\r\n"
        return b"Set-Cookie: %b=%b%b%b" % (self._cookie, self.token(id), self._suffix, ending)


def cookie_of(lines: bytes, name: bytes) -> bytes:
    """The value of one cookie (RFC 6265 section 5.4), or nothing. `lines` are whole field lines of a request."""
    header = value_of(lines, b"cookie")
    if header is None or name not in header:
        return b""
    for pair in header.split(b";"):
        found, equals, value = pair.strip(b" \t").partition(b"=")
        if equals and found == name:
            return value.strip(b'"')
    return b""
