"""A small JSON API on twisted.web: routes, replies, and errors that say what is wrong.

Each service writes its routes as `api.route("GET", "/api/price/<sku>", self.price)`. An action gets a `Call` and gives
a `Reply`, at once or as a coroutine, or raises a `Problem`; everything that is the same for all services happens here:

- an unknown path is a JSON 404, a known path with the wrong method a JSON 405 with `Allow`; HEAD is GET without a body;
- a body is held in memory only up to `MAX_BODY`; what exceeds it is read, forgotten and answered with 413. (Twisted
  by itself would write a body of any size to a temporary file.)
- when the client goes away, the action that was working for it is cancelled;
- every reply names who made it in `X-Served-By`, so that balancing can be watched with curl, and may not be stored by
  a cache unless the action says otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import unquote

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

MAX_BODY = 16 * 1024
MAX_REQUEST_ID = 128


@dataclass(frozen=True, slots=True)
class Reply:
    """`document` is anything JSON can say; None is no body at all (for 304 and 204)."""

    document: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        return b"" if self.document is None else json.dumps(self.document, ensure_ascii=False).encode() + b"\n"


class Problem(Exception):
    """An answer that is not what the client hoped for; `error` is for programs, `reason` for people."""

    def __init__(self, status: int, error: str, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.error = error
        self.reason = reason
        self.headers = dict(headers or {})

    def reply(self) -> Reply:
        return Reply({"error": self.error, "reason": self.reason}, self.status, self.headers)


class BoundedRequest(Request):
    """A request that keeps at most `MAX_BODY` bytes of its body and remembers that there was more.

    `gone` says that the client went away. (twisted.web is for the most part untyped, hence the Any here and below.)
    """

    oversized = False
    gone = False
    _kept = 0

    def gotLength(self, length: int | None) -> None:
        inherited: Any = super()
        inherited.gotLength(min(length or 0, MAX_BODY))

    def handleContentChunk(self, data: bytes) -> None:
        self._kept += len(data)
        if self._kept > MAX_BODY:
            self.oversized = True
        else:
            inherited: Any = super()
            inherited.handleContentChunk(data)


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


class Call:
    """One request as an action sees it: `path` holds what the `<names>` of the route matched."""

    __slots__ = ("path", "request")

    def __init__(self, request: Any, path: Mapping[str, str]) -> None:
        self.request = request
        self.path = path

    def header(self, name: str) -> str | None:
        """All the values of a field as one list, as RFC 9110 section 5.3 joins them."""
        values = self.request.requestHeaders.getRawHeaders(name)
        return None if values is None else ", ".join(values)

    def query(self, name: str) -> list[str]:
        """Every value of a query parameter, in order; an empty list when it is not there."""
        return [value.decode("utf-8", "replace") for value in (self.request.args or {}).get(name.encode(), [])]

    @property
    def request_id(self) -> str | None:
        """The name that the gateway or the client gave the request: passed on, so that logs can be joined."""
        name = self.header("x-request-id")
        return name if name and len(name) <= MAX_REQUEST_ID and name.isascii() and name.isprintable() else None

    def is_empty(self) -> bool:
        """Whether the request came without a body."""
        return not self.request.oversized and not self.request.content.getbuffer().nbytes

    def json_object(self, *known: str) -> dict[str, Any]:
        """The body, which must be a JSON object with no other members than the `known` ones."""
        if self.request.oversized:
            raise Problem(413, "too_large", f"the body may have at most {MAX_BODY} bytes")
        media_type = (self.header("content-type") or "application/json").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise Problem(415, "wrong_media_type", f"send application/json, not {media_type}")
        try:
            document = json.loads(self.request.content.read(), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise Problem(400, "not_json", f"the body is not JSON: {error}") from error
        if not isinstance(document, dict):
            raise Problem(422, "not_an_object", "the body must be a JSON object")
        for name in document:
            if name not in known:
                raise Problem(422, "unknown_field", f"unknown field {name!r}; known: {', '.join(known)}")
        return document


Action = Callable[[Call], Reply | Awaitable[Reply]]


class Api(Resource):
    """The routes of one service, and the count of the requests it is working on."""

    isLeaf = True
    log = Logger()

    def __init__(self, service: str) -> None:
        inherited: Any = super()
        inherited.__init__()
        self.service = service
        self.instance = service
        self.stopping = False
        self.running = 0
        self._routes: dict[tuple[str, ...], dict[str, Action]] = {}
        self._idle: list[Deferred[None]] = []
        self.route("GET", "/", self._index)

    def route(self, method: str, pattern: str, action: Action) -> None:
        """`pattern` is an absolute path; a segment written `<name>` matches any text that is not empty."""
        self._routes.setdefault(tuple(pattern.split("/")[1:]), {})[method] = action

    def drained(self) -> Deferred[None]:
        """Fires when no request is being worked on."""
        waiting: Deferred[None] = Deferred()
        if self.running:
            self._idle.append(waiting)
        else:
            waiting.callback(None)
        return waiting

    def render(self, request: BoundedRequest) -> int:
        self.running += 1
        work = Deferred.fromCoroutine(self._perform(request))
        request.notifyFinish().addErrback(lambda _: self._abandon(request, work))
        work.addErrback(self._explain)
        work.addCallback(self._send, request)
        work.addErrback(lambda failure: self.log.failure("a reply could not be sent", failure=failure))
        work.addBoth(self._finished)
        return NOT_DONE_YET

    def _abandon(self, request: BoundedRequest, work: Deferred[Any]) -> None:
        request.gone = True
        work.cancel()

    async def _perform(self, request: BoundedRequest) -> Reply:
        action, path = self._find(request)
        reply = action(Call(request, path))
        return reply if isinstance(reply, Reply) else await reply

    def _find(self, request: BoundedRequest) -> tuple[Action, dict[str, str]]:
        path = request.path.decode("ascii", "replace")
        segments = [unquote(segment) for segment in path.split("/")[1:]]
        for pattern, methods in self._routes.items():
            matched = _match(pattern, segments)
            if matched is None:
                continue
            method = request.method.decode("ascii", "replace")
            action = methods.get("GET" if method == "HEAD" else method)
            if action is None:
                allowed = ", ".join(sorted({*methods, "HEAD"} if "GET" in methods else methods))
                raise Problem(405, "method_not_allowed", f"{path} answers {allowed}", {"Allow": allowed})
            return action, matched
        raise Problem(404, "not_found", f"{self.service} has nothing at {path}")

    def _explain(self, failure: Failure) -> Reply | None:
        if isinstance(failure.value, Problem):
            return failure.value.reply()
        if isinstance(failure.value, CancelledError):
            return None
        self.log.failure("an action failed", failure=failure)
        return Problem(500, "internal", "this service has a bug; its log says more").reply()

    def _send(self, reply: Reply | None, request: Any) -> None:
        if reply is None or request.gone:
            return
        body = reply.body()
        headers = {"Cache-Control": "no-store", "X-Served-By": self.instance, **reply.headers}
        if body:
            headers["Content-Type"] = "application/json"
        if reply.status not in (204, 304):
            headers["Content-Length"] = str(len(body))
        if self.stopping:
            headers["Connection"] = "close"
            request.channel.persistent = False
        request.setResponseCode(reply.status, HTTPStatus(reply.status).phrase.encode())
        for name, value in headers.items():
            request.setHeader(name, value)
        request.write(body)
        request.finish()

    def _finished(self, _: object) -> None:
        self.running -= 1
        if not self.running:
            idle, self._idle = self._idle, []
            for waiting in idle:
                waiting.callback(None)

    def _index(self, call: Call) -> Reply:
        routes = {"/" + "/".join(pattern): sorted(methods) for pattern, methods in self._routes.items()}
        return Reply({"service": self.service, "instance": self.instance, "routes": routes})


def _match(pattern: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    found = {}
    for expected, segment in zip(pattern, segments, strict=True):
        if expected.startswith("<"):
            if not segment:
                return None
            found[expected[1:-1]] = segment
        elif expected != segment:
            return None
    return found


def site(root: IResource, make: Any = Site) -> Any:
    """A Site that bounds bodies and never shows a traceback to a client."""
    made = make(root, requestFactory=BoundedRequest)
    made.displayTracebacks = False
    return made
