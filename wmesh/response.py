"""The answer to a request that a program sent through the mesh, as the program sees it.

It is there as soon as its head is. Its body is read when the program asks for it: whole (`content`, `text`, `json`,
with a bound), or piece by piece (`deliver`). Until then the instance is held back, but for what came with the head. A
program that wants nothing of it says `close()`; one that forgets finds the connection closed after `body_timeout`.

An answer that breaks off is an error wherever its body is read, never a short body.
"""

from __future__ import annotations

import json
from email.message import Message
from typing import Any, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from zope.interface import implementer

from wmesh.errors import ResponseError
from wmesh.proxy.caller import AnswerHead, Caller

MOST = 16 * 1024 * 1024
"""Bytes that `content` collects unless it is told otherwise."""


@implementer(IPushProducer)
class Response:
    """`status` and `reason` are the status line's, `headers` the end-to-end fields, `request_id` what logs call it.

    `instance` is the id of the instance that answered; None where the mesh itself did (503: nobody could be had; the
    body is JSON with `error` and `reason`).
    """

    def __init__(self, caller: Caller, head: AnswerHead) -> None:
        self.status = head.status
        self.reason = head.reason.decode("latin-1")
        self.headers = Headers()
        for name, value in head.fields:
            self.headers.addRawHeader(name, value)
        self.instance = head.instance
        self.request_id = head.request_id.decode("latin-1")
        self._caller = caller
        self._early: list[bytes] = []
        self._over = False
        self._told = False
        self._failure: Failure | None = None
        self._protocol: IProtocol | None = None
        self._collected: _Collected | None = None

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason} from {self.instance or 'the mesh'}>"

    def header(self, name: str) -> str | None:
        """The value of this field, several joined with commas; None if it is not there."""
        values = self.headers.getRawHeaders(name)
        return None if values is None else ", ".join(values)

    # --- reading the body

    def deliver(self, protocol: IProtocol) -> None:
        """Hand the body to `protocol.dataReceived` as it comes; its transport can pause, resume and abort it.

        `connectionLost` tells the end: the reason is `twisted.web.client.ResponseDone` where the body is whole, else
        `ResponseError`. Fails with ResponseError if the body was asked for before.
        """
        if self._protocol is not None:
            raise ResponseError("the body of this response was asked for before; it comes once")
        self._protocol = protocol
        protocol.makeConnection(self)  # type: ignore[arg-type]
        early, self._early = self._early, []
        for data in early:
            protocol.dataReceived(data)
        if self._over:
            self._finish()
        else:
            self._caller.resume()

    def content(self, limit: int = MOST) -> Deferred[bytes]:
        """The whole body. Fails with ResponseError if it breaks off or has more than `limit` bytes, or if `deliver`
        took it. Asked for again, it is the same; cancelled, the body is given up.
        """
        if self._collected is None:
            collected = _Collected(limit)
            try:
                self.deliver(collected)
            except ResponseError as error:
                return fail(error)
            self._collected = collected
        return self._collected.ask()

    async def text(self, limit: int = MOST) -> str:
        """The body by the charset that Content-Type names, or as UTF-8. What cannot be decoded is replaced."""
        body = await self.content(limit)
        described = Message()
        described["content-type"] = self.header("content-type") or "text/plain"
        try:
            return body.decode(described.get_content_charset("utf-8"), "replace")
        except LookupError:
            return body.decode("utf-8", "replace")

    async def json(self, limit: int = MOST) -> Any:
        """The body as JSON. Fails with ResponseError where it is none."""
        body = await self.content(limit)
        try:
            return json.loads(body)
        except ValueError as error:
            kind = self.header("content-type") or "no Content-Type"
            raise ResponseError(f"the body of {self!r} ({kind}) is not JSON: {error}") from None

    def close(self) -> None:
        """No more of the body is wanted: the instance's connection is cut, if it is still sending."""
        if not self._over:
            self._caller.cancel()
            self.broken("it was closed")

    # --- as the transport of who reads the body

    disconnecting = False

    def pauseProducing(self) -> None:
        self._caller.pause()

    def resumeProducing(self) -> None:
        self._caller.resume()

    def stopProducing(self) -> None:
        self.close()

    loseConnection = abortConnection = stopProducing

    # --- told by `Asked`, who receives the answer

    def body(self, data: bytes) -> None:
        if self._protocol is None:
            self._early.append(data)
        else:
            self._protocol.dataReceived(data)

    def ended(self) -> None:
        self._over = True
        self._finish()

    def broken(self, why: str) -> None:
        self._over = True
        self._early.clear()
        self._failure = _failure(ResponseError(f"the body of {self!r} breaks off: {why}"))
        self._finish()

    def _finish(self) -> None:
        """Tell the reader once, when there is one and nothing more will come."""
        protocol = self._protocol
        if protocol is not None and not self._told:
            self._told = True
            protocol.connectionLost(self._failure or _failure(ResponseDone()))


class Asked:
    """Waits for the head of one answer, makes the `Response` of it, and hands it what follows."""

    def __init__(self) -> None:
        self.answer: Deferred[Response] = Deferred(lambda _: self.caller.cancel())
        self.caller: Caller
        self._response: Response | None = None

    def head(self, head: AnswerHead) -> None:
        self._response = response = Response(self.caller, head)
        self.caller.pause()  # until somebody reads the body
        self.answer.callback(response)

    def body(self, data: bytes) -> None:
        if self._response is not None:
            self._response.body(data)

    def ended(self) -> None:
        if self._response is not None:
            self._response.ended()

    def broken(self, why: str) -> None:
        if self._response is not None:
            self._response.broken(why)
        elif not self.answer.called:
            self.answer.errback(ResponseError(f"no answer came: {why}"))


class _Collected(Protocol):
    """Reads a body whole, for any number who ask."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0
        self._outcome: bytes | Failure | None = None
        self._waiting: list[Deferred[bytes]] = []

    def ask(self) -> Deferred[bytes]:
        if self._outcome is not None:
            return fail(_failure(self._outcome.value)) if isinstance(self._outcome, Failure) else succeed(self._outcome)
        waiting: Deferred[bytes] = Deferred(self._given_up)
        self._waiting.append(waiting)
        return waiting

    def _given_up(self, waiting: Deferred[bytes]) -> None:
        self._waiting.remove(waiting)
        if not self._waiting:
            cast(Response, self.transport).close()

    def dataReceived(self, data: bytes) -> None:
        self._size += len(data)
        self._pieces.append(data)
        if self._size > self._limit and self._outcome is None:
            response = cast(Response, self.transport)
            what = f"the body of {response!r} has more than {self._limit} bytes"
            self._settle(_failure(ResponseError(f"{what}; raise `limit`, or take it in pieces with deliver()")))
            response.close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._outcome is None:
            self._settle(b"".join(self._pieces) if isinstance(reason.value, ResponseDone) else reason)

    def _settle(self, outcome: bytes | Failure) -> None:
        self._outcome = outcome
        self._pieces.clear()
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            # Of each its own: a failure is changed by those who handle it.
            one.callback(outcome) if isinstance(outcome, bytes) else one.errback(_failure(outcome.value))


def _failure(error: BaseException | None) -> Failure:
    return Failure(error)  # type: ignore[no-untyped-call]
