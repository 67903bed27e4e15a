"""One request to the admin side, with bounds, a name, and an answer to "who asks?".

twisted.web keeps whole bodies, large ones in temporary files on the reactor's time; here nothing beyond `MAX_BODY` is
kept at all. Answers are written in one go: they are small.

Who asks is the TCP peer, unless the peer is this machine: then our own gateway may have relayed the request, and the
client is whom it names in X-Forwarded-For. All the addresses of that list have to be trusted by whoever decides, not
only the last one that our gateway vouches for: with another proxy in front on the same machine the last one is only
that proxy. What a client adds to the list can therefore cost it rights, never win it any.
"""

from __future__ import annotations

import io
import ipaddress
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.web.server import Request

MAX_BODY = 64 * 1024
MAX_REQUEST_ID = 128

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Reply:
    """`document` is anything that JSON can say."""

    document: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """Indented, because people read it with curl."""
        return json.dumps(self.document, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


class AdminRequest(Request):
    """`oversized` tells that the body was longer than `MAX_BODY` (it was read and forgotten), `gone` that the client
    went away. (twisted.web is for the most part untyped, hence the Any here and elsewhere in this package.)"""

    oversized = False
    gone = False
    _kept = 0
    _id = ""

    def gotLength(self, length: int | None) -> None:
        self.content = io.BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        self._kept += len(data)
        if self._kept > MAX_BODY:
            self.oversized = True
        else:
            inherited: Any = super()
            inherited.handleContentChunk(data)

    def body(self) -> bytes:
        """What was kept of it."""
        return self.content.read() if self.content is not None else b""

    def field(self, name: str) -> str | None:
        """All the values of a field as one list, as RFC 9110 section 5.3 joins them; None when it is absent."""
        # As bytes: twisted.web would decode them as UTF-8, and fail where they are not.
        values = self.requestHeaders.getRawHeaders(name.encode("ascii"))
        return None if values is None else b", ".join(values).decode("latin-1")

    @property
    def request_id(self) -> str:
        """The name that the gateway or the client gave this request, so that logs can be joined; else a new one."""
        if not self._id:
            given = self.field("x-request-id") or ""
            sound = len(given) <= MAX_REQUEST_ID and given.isascii() and given.isprintable()
            self._id = given if given and sound else secrets.token_hex(8)
        return self._id

    def clients(self) -> list[IPAddress] | None:
        """Everybody on the way to us, as far as it is told; None if it is not clear.

        Empty for a peer on a Unix socket that relays for nobody: the permissions of the socket have been asked already.
        """
        peer: object = self.client
        direct: list[IPAddress] = []
        if isinstance(peer, IPv4Address | IPv6Address):
            address = _parse(peer.host)
            if address is None:
                return None
            direct = [address]
            if not address.is_loopback:
                return direct
        forwarded = self.field("x-forwarded-for")
        if forwarded is None:
            return direct
        hops = [_parse(hop) for hop in forwarded.split(",")]
        return None if None in hops else [hop for hop in hops if hop is not None]

    def answer(self, reply: Reply) -> None:
        """Send it, unless nobody is there any more, or an answer is on its way already."""
        if self.gone or self.startedWriting:
            return
        body = reply.body()
        headers = {
            "Server": "wmesh",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Request-Id": self.request_id,
            **reply.headers,
        }
        request: Any = self
        request.setResponseCode(reply.status)
        for name, value in headers.items():
            request.setHeader(name, value)
        # To HEAD, twisted.web itself sends the head alone.
        request.write(body)
        request.finish()


def _parse(text: str) -> IPAddress | None:
    try:
        address = ipaddress.ip_address(text.strip().removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
