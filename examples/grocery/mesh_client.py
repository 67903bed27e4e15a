"""Asking another service through the mesh: a GET that ends in time, with an answer or with a reason.

A service knows one address, the gateway's; where the others are, how many and how well is the mesh's business. What
remains for a caller is done here: one deadline over the whole exchange (treq's own covers only the headers), no
redirects, no cookies (a sticky cookie would tie this service to one instance of the other), a bound on the body, the
request's name passed on in `X-Request-Id`, and every way in which it can go wrong told as one `MeshError`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn

from treq import collect
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

MAX_ANSWER = 1024 * 1024


class MeshError(Exception):
    """No usable answer; `status` is the HTTP status if there was one at all."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON object that came with status 200."""

    document: dict[str, Any]
    headers: Headers


class Mesh:
    """`timeout` is seconds for a whole exchange; tests hand in their own agent and clock."""

    def __init__(
        self, gateway: str, caller: str, clock: IReactorTime, agent: IAgent | None = None, timeout: float = 2.0
    ) -> None:
        self._gateway = gateway
        self._caller = caller
        self._clock = clock
        self._timeout = timeout
        self._agent = agent if agent is not None else self._own_agent(clock)

    def _own_agent(self, reactor: Any, make: Any = Agent, make_pool: Any = HTTPConnectionPool) -> Any:
        pool = make_pool(reactor)
        pool.maxPersistentPerHost = 8
        pool.cachedConnectionTimeout = 20
        return make(reactor, connectTimeout=self._timeout, pool=pool)

    def get(self, path: str, request_id: str | None = None) -> Deferred[Answer]:
        """`path` starts with the service: `/walmart-pricing/api/price/12345`. Fails with MeshError only."""
        asking = Deferred.fromCoroutine(self._ask(path, request_id))
        asking.addTimeout(self._timeout, self._clock, self._late)
        return asking.addErrback(self._explain)

    async def _ask(self, path: str, request_id: str | None) -> Answer:
        headers = Headers({"Accept": ["application/json"], "User-Agent": [self._caller]})
        if request_id:
            headers.setRawHeaders("X-Request-Id", [request_id])
        client = HTTPClient(self._agent)
        response = await client.get(self._gateway + path, headers=headers, allow_redirects=False, unbuffered=True)
        body = await self._body(response)
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if response.code != 200:
            reason = document.get("reason") if isinstance(document, dict) else None
            raise MeshError(f"{path} answered {response.code}" + (f": {reason}" if reason else ""), response.code)
        if not isinstance(document, dict):
            raise MeshError(f"{path} answered something that is not a JSON object", 200)
        return Answer(document, response.headers)

    async def _body(self, response: Any) -> bytes:
        body = bytearray()
        wanted = True

        def keep(data: bytes) -> None:
            if not wanted or len(body) + len(data) > MAX_ANSWER:
                raise MeshError(f"an answer of more than {MAX_ANSWER} bytes", response.code)
            body.extend(data)

        try:
            await collect(response, keep)
        except CancelledError:
            wanted = False  # The next piece that comes is refused, and that closes the connection.
            raise
        return bytes(body)

    def _late(self, outcome: object, seconds: float) -> NoReturn:
        raise MeshError(f"no answer within {seconds:g} s")

    def _explain(self, failure: Failure) -> NoReturn:
        error = failure.value
        if isinstance(error, MeshError | CancelledError):
            raise error
        causes = getattr(error, "reasons", None)
        raise MeshError(causes[0].getErrorMessage() if causes else failure.getErrorMessage()) from error
