"""The mesh under anybody's twisted.web `Site`: every request to this resource goes to an instance.

    site = Site(ProxyResource(mesh))                                   # by the mesh's routes
    root.putChild(b"prices", ProxyResource(mesh, "walmart-pricing"))   # one service, at /prices/…

The request goes the road of every request of the gateway (`wmesh.proxy.caller`): hop-by-hop fields are taken out,
X-Forwarded-* and Via put in, instances picked, tried again elsewhere, timed out, and where nobody can be had the client
reads the gateway's own replies. A client that leaves cancels it all.

What twisted.web sets bounds to: it collects a request body before it asks any resource (above 100 kB in a temporary
file), so bodies come to the instance only then, read from there piece by piece, and `bounded` is what keeps them small;
it has already told a client that waits for a 100 to go on; and it can pass on no 101, so an Upgrade field is dropped,
and no interim answer or trailer. Answers are streamed, and the instance is held back while the client is slow.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import IO, Any, cast

from twisted.internet.interfaces import IPushProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from wmesh.errors import WireError
from wmesh.mesh import Mesh
from wmesh.proxy.caller import AnswerHead, Caller, compose
from wmesh.proxy.local_reply import LocalReply, for_status
from wmesh.proxy.plan import Plan
from wmesh.wire.forwarded import Peers
from wmesh.wire.request import RequestHead

PATIENCE = 600.0
"""Seconds for which a client may take nothing at all. Only twisted.web sees single bytes leave: we see that all that it
holds, up to some 300 KiB, has left, which takes a slow client minutes."""


class ProxyResource(Resource):
    """A leaf that answers for all that is below it, with any method.

    Without `service` the routes of the mesh decide, by Host and the whole path, wherever this resource stands. With it,
    all goes to that service, and the path up to this resource is taken off, as `strip_prefix` does; `strip=False`
    leaves it on.
    """

    isLeaf = True

    def __init__(self, mesh: Mesh, service: str | None = None, *, strip: bool = True) -> None:
        """Fails with ControlError (404) if the mesh has no such service."""
        super().__init__()  # type: ignore[no-untyped-call]
        if service is not None:
            mesh.known(service)
        self._mesh = mesh
        self._service = service
        self._strip = strip
        spec = mesh.gateway.config.gateway
        self._plain = Peers(spec.trusted_proxies, b"http", spec.forwarded_header)
        self._secure = Peers(spec.trusted_proxies, b"https", spec.forwarded_header)

    def render(self, request: Any) -> int:
        plane = self._mesh.gateway.plane
        peers = self._secure if request.isSecure() else self._plain
        peer = peers(str(getattr(request.getClientAddress(), "host", "unix")))
        relay = _Relay(request)
        relay.caller = caller = Caller(plane, peer, relay, max(PATIENCE, plane.spec.body_timeout))
        request.notifyFinish().addErrback(relay.left)
        if not self._mesh.running:
            phase = self._mesh.gateway.controls.phase.value
            caller.refuse(LocalReply(503, "unavailable", f"the mesh is {phase}", retry_after=1))
            return NOT_DONE_YET
        try:
            head, body = _asked(request, caller)
        except WireError as fault:
            caller.refuse(for_status(fault.status, fault.reason))
        else:
            caller.ask(head, body, self._plan(request, head))
        return NOT_DONE_YET

    def _plan(self, request: Request, head: RequestHead) -> Plan | None:
        if self._service is None:
            return None
        prefix = ""
        mount: Any = request.prepath
        if self._strip and mount:
            # As the client spelled it, not as twisted.web decoded it.
            segments = head.target.partition(b"?")[0].split(b"/")
            prefix = b"/".join(segments[: len(mount) + 1]).decode("ascii").rstrip("/")
        return self._mesh.gateway.mounts.plan(self._service, prefix)


def _asked(request: Request, caller: Caller) -> tuple[RequestHead, IO[bytes] | None]:
    """The request as the gateway reads any. Raises WireError."""
    content = cast("IO[bytes] | None", request.content)
    size = content.seek(0, 2) if content is not None else 0
    if content is not None:
        content.seek(0)
    framed = request.requestHeaders.hasHeader(b"content-length") or request.requestHeaders.hasHeader(
        b"transfer-encoding"
    )
    fields = (
        (name, value) for name, values in request.requestHeaders.getAllRawHeaders() for value in values
    )
    minor = 0 if request.clientproto == b"HTTP/1.0" else 1
    block = compose(request.method, request.uri, minor, fields, size if framed or size else None)
    return caller.read(block), content


@implementer(IPushProducer)
class _Relay:
    """Brings one answer to a twisted.web request, and is its producer."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self.caller: Caller

    def left(self, _: object) -> None:
        """The client is gone."""
        self.caller.cancel()

    def head(self, head: AnswerHead) -> None:
        request = self._request
        request.defaultContentType = None
        request.responseHeaders.removeHeader(b"server")
        request.responseHeaders.removeHeader(b"date")
        request.setResponseCode(head.status, head.reason)
        for name, value in head.fields:
            request.responseHeaders.addRawHeader(name, value)
        request.registerProducer(self, True)
        request.write(b"")  # now, not with the first piece of a body that may take its time

    def body(self, data: bytes) -> None:
        self._request.write(data)

    def ended(self) -> None:
        self._request.unregisterProducer()
        self._request.finish()

    def broken(self, why: str) -> None:
        """A client must see a broken answer, never a short one that looks whole."""
        request = self._request
        request.unregisterProducer()
        channel = request.channel
        abort: Callable[[], None] | None = getattr(channel, "abortConnection", None)
        if abort is None and channel is not None:
            abort = getattr(channel.transport, "abortConnection", channel.loseConnection)
        if abort is not None:
            abort()

    def pauseProducing(self) -> None:
        self.caller.pause()

    def resumeProducing(self) -> None:
        self.caller.resume()

    def stopProducing(self) -> None:
        self.caller.cancel()


def bounded(limit: int) -> Callable[..., Request]:
    """A `requestFactory` for `Site` that takes request bodies of up to `limit` bytes.

        site = Site(root, requestFactory=bounded(1024 * 1024))

    A longer one is answered with 413 as soon as that is known, by its Content-Length or as it comes, and the connection
    ends.
    """

    class Bounded(Request):
        refused = False
        came = 0

        def gotLength(self, length: int | None) -> None:
            super().gotLength(length)  # type: ignore[no-untyped-call]
            if length is not None and length > limit:
                self._refuse()

        def handleContentChunk(self, data: bytes) -> None:
            self.came += len(data)
            if self.came > limit:
                self._refuse()
            if not self.refused:
                super().handleContentChunk(data)  # type: ignore[no-untyped-call]

        def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
            if not self.refused:
                super().requestReceived(command, path, version)  # type: ignore[no-untyped-call]

        def _refuse(self) -> None:
            if self.refused:
                return
            self.refused = True
            document = {"error": "body_too_long", "reason": f"a body may have {limit} bytes here", "service": None}
            body = json.dumps(document).encode() + b"\n"
            head = "HTTP/1.1 413 Content Too Large\r\nContent-Type: application/json\r\nConnection: close\r\n"
            transport: Any = self.transport
            transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (head.encode(), len(body), body))
            transport.loseConnection()

    return Bounded
