"""The one kind of resource of the admin side: methods to answers, and everything that goes wrong to JSON.

An answer takes the request and gives a `Reply`, at once or as an awaitable, or raises: `ControlError` (its text is for
people) becomes its status, anything else a 500 that shows nothing of the inside, with the traceback in the log. A path
without answers is a 404 that lists what there is; a method without an answer is a 405 with Allow; HEAD is GET without
a body. An operation that has begun goes on when its client goes away.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from wmesh.admin.request import AdminRequest, Reply
from wmesh.errors import ControlError

Answer = Callable[[AdminRequest], Reply | Awaitable[Reply]]

PATHS = (
    "GET /health",
    "GET /status",
    "GET /service-mesh/stats",
    "GET /service-mesh/health",
    "GET /service-mesh/health/NAME",
    "GET /services",
    "GET /services/NAME",
    "POST /services/NAME/scale",
    "POST /services/NAME/purge",
    "POST /services/NAME/instances/ID/state",
    "GET /service-mesh/explain?path=PATH&method=GET&host=&client=&header=NAME:VALUE",
    "GET /service-mesh/explain?service=NAME&client=",
    "GET /service-mesh/decisions?count=20",
    "GET /service-mesh/decisions/REQUEST_ID",
    "GET /service-mesh/registry",
    "PUT /service-mesh/registry/NAME/ID",
    "DELETE /service-mesh/registry/NAME/ID",
    "POST /service-mesh/registry/NAME/ID/heartbeat",
)

_WORDS = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "not_possible",
    413: "body_too_large",
    415: "wrong_media_type",
    422: "out_of_bounds",
    503: "unavailable",
}


class JsonResource(Resource):
    """`answers` by method. `named` makes the resource below this one from a path segment that is not fixed."""

    log = Logger()

    def __init__(
        self,
        answers: Mapping[str, Answer] | None = None,
        named: Callable[[str], JsonResource] | None = None,
    ) -> None:
        inherited: Any = super()
        inherited.__init__()
        self._answers = dict(answers or {})
        if "GET" in self._answers:
            self._answers["HEAD"] = self._answers["GET"]
        self._named = named

    def getChild(self, path: bytes, request: AdminRequest) -> Resource:
        if not path and not request.postpath:
            return self
        if path and self._named is not None:
            return self._named(path.decode("utf-8", "backslashreplace"))
        return JsonResource()

    def render(self, request: AdminRequest) -> int:
        request.notifyFinish().addErrback(lambda _: setattr(request, "gone", True))
        work = Deferred.fromCoroutine(self._reply(request))
        work.addCallback(request.answer)
        work.addErrback(lambda failure: request.answer(self._explain(failure, request)))
        work.addErrback(lambda failure: self.log.failure("An answer could not be sent", failure))
        return NOT_DONE_YET

    async def _reply(self, request: AdminRequest) -> Reply:
        path = request.path.decode("ascii", "backslashreplace")
        if not self._answers:
            return refusal(request, 404, f"there is nothing at {path}", {"paths": list(PATHS)})
        answer = self._answers.get(request.method.decode("ascii", "backslashreplace"))
        if answer is None:
            allowed = ", ".join(sorted(self._answers))
            return refusal(request, 405, f"{path} answers only {allowed}", headers={"Allow": allowed})
        reply = answer(request)
        return reply if isinstance(reply, Reply) else await reply

    def _explain(self, failure: Failure, request: AdminRequest) -> Reply:
        error = failure.value
        if isinstance(error, ControlError):
            return refusal(request, error.status, str(error))
        self.log.failure("The admin side failed to answer request {id}", failure, id=request.request_id)
        return refusal(request, 500, "the gateway failed to answer; its log says more under this request_id")


def refusal(
    request: AdminRequest,
    status: int,
    reason: str,
    more: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """An answer that is not what the client hoped for, in the shape of the gateway's own errors."""
    document = {
        "error": _WORDS.get(status, "internal"),
        "reason": reason,
        "service": None,
        "request_id": request.request_id,
        **(more or {}),
    }
    return Reply(document, status, headers or {})
