"""walmart-nlp-queue: takes a text now, parses it into grocery items a little later.

Work that is slow is not done while a client waits: `POST /api/parse` answers 202 with the address of the result, one
worker takes the texts one at a time, and `GET /api/result/<id>` tells how far it is. The rules of `grocery_nlp` need
no time to speak of; `--pace` is the time that a real language model would take, so that the queue is a queue.

The queue is bounded. When it is full the answer is 503 with Retry-After, at once: a queue without a bound would only
turn "too busy" into "too late". When the service stops, what it has accepted is parsed first, without the pace.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections import deque
from collections.abc import Callable
from math import ceil
from secrets import token_urlsafe
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

import app
from catalog import PRODUCTS
from grocery_nlp import match, parse
from rest import Call, Problem, Reply
from store import Document, Documents, Full

MAX_TEXT = 2000
RESULT_SECONDS = 3600.0
LOST_SECONDS = 60.0
_SHELF = {product.sku: product.name for product in PRODUCTS.values()}


def parsed_document(text: str) -> Document:
    """What a text says, each item with the SKU of the one product that it can mean, if there is just one."""
    parsed = parse(text)
    items = [{**item.document(), "sku": match(item.name, _SHELF)} for item in parsed.items]
    return {"items": items, "unparsed": list(parsed.unparsed)}


class Worker:
    """A bounded queue and the one who drains it; results go to the store. `pace` is seconds for each text."""

    log = Logger()

    def __init__(
        self,
        results: Documents,
        clock: IReactorTime,
        pace: float,
        limit: int,
        understand: Callable[[str], Document] = parsed_document,
    ) -> None:
        self.results = results
        self.pace = pace
        self.limit = limit
        self.done = 0
        self._clock = clock
        self._understand = understand
        self._waiting: deque[tuple[str, str]] = deque()
        self._current: Deferred[None] | None = None

    @property
    def depth(self) -> int:
        """How many texts are accepted and not yet parsed."""
        return len(self._waiting)

    def put(self, key: str, text: str) -> int:
        """How many texts are now waiting, this one included."""
        self._waiting.append((key, text))
        if self._current is None:
            self._next()
        return self.depth

    def flush(self) -> None:
        """Parse all that is left, now."""
        current, self._current = self._current, None
        if current is not None:
            current.cancel()
        while self._waiting:
            self._take()

    def _next(self) -> None:
        if not self._waiting:
            self._current = None
            return
        self._current = deferLater(self._clock, self.pace, self._take)
        self._current.addCallbacks(lambda _: self._next(), lambda _: None)

    def _take(self) -> None:
        key, text = self._waiting.popleft()
        Deferred.fromCoroutine(self._parse(key, text)).addErrback(self._failed, key)

    async def _parse(self, key: str, text: str) -> None:
        found = self._understand(text)
        self.results.change(key, lambda result: result.update(found, status="done"))
        self.done += 1

    def _failed(self, failure: Failure, key: str) -> None:
        self.log.failure("a text could not be parsed", failure=failure)
        self.results.change(key, lambda result: result.update(status="failed", reason="the parser has a bug"))


class NlpQueue(app.Program):
    """`now` is wall time, which results carry so that a lost one can be told from a slow one."""

    def __init__(self, worker: Worker, now: Callable[[], float] = time.time) -> None:
        super().__init__("walmart-nlp-queue")
        self._worker = worker
        self._now = now
        self.api.route("POST", "/api/parse", self.accept)
        self.api.route("GET", "/api/result/<id>", self.result)
        self.api.route("GET", "/api/queue", self.queue)
        self.api.route("GET", "/api/health", self.health)

    def stop(self) -> Deferred[None]:
        self._worker.flush()
        return self.api.drained().addCallback(lambda _: self._close())

    def _close(self) -> None:
        self._worker.flush()
        self._worker.results.close()

    def accept(self, call: Call) -> Reply:
        text = call.json_object("text").get("text")
        if not isinstance(text, str) or not text.strip():
            raise Problem(422, "wrong_type", "text must be a string that is not empty")
        if len(text) > MAX_TEXT:
            raise Problem(422, "too_long", f"text may have at most {MAX_TEXT} characters")
        worker = self._worker
        if worker.depth >= worker.limit:
            wait = str(max(1, ceil(worker.depth * worker.pace / 2)))
            raise Problem(503, "queue_full", f"{worker.depth} texts are waiting already", {"Retry-After": wait})
        key = token_urlsafe(12)
        pending: Document = {"id": key, "status": "pending", "text": text, "accepted": self._now()}
        try:
            worker.results.add(key, pending)
        except Full as error:
            raise Problem(503, "too_many_results", str(error), {"Retry-After": "60"}) from error
        position = worker.put(key, text)
        return Reply({"id": key, "status": "pending", "position": position}, 202, {"Location": f"result/{key}"})

    def result(self, call: Call) -> Reply:
        key = call.path["id"]
        result = self._worker.results.get(key)
        if result is None:
            raise Problem(404, "unknown_result", f"there is no result {key!r}; it may have expired")
        if result["status"] != "pending":
            return Reply(result)
        if self._now() - result["accepted"] > LOST_SECONDS + self._worker.limit * self._worker.pace:
            return Reply({**result, "status": "failed", "reason": "the instance that accepted it is gone"})
        return Reply(result, headers={"Retry-After": "1"})

    def queue(self, call: Call) -> Reply:
        worker = self._worker
        return Reply({"waiting": worker.depth, "limit": worker.limit, "done": worker.done, "pace": worker.pace})


def build(options: Namespace, reactor: Any) -> NlpQueue:
    results = Documents("result", options.state, RESULT_SECONDS)
    return NlpQueue(Worker(results, reactor, options.pace, options.queue_limit))


if __name__ == "__main__":
    parser = app.arguments("walmart-nlp-queue", 3008, __doc__)
    app.add_state(parser, "results")
    parser.add_argument("--pace", type=float, default=0.05, help="seconds of work for each text (default %(default)s)")
    parser.add_argument("--queue-limit", type=int, default=64, help="texts that may wait (default %(default)s)")
    app.run(parser, build)
