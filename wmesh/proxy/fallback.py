"""When all instances of a service fail: another service, then a fixed answer, and only then the gateway's own error.

Each is there where it was configured, and made with the routes. The other service gets the request as the first one
would have, with instances, time-outs and retries of its own, and has no fallback of its own for it: so there is never a
circle. It is asked only for what may be done again, by the rules of `wmesh.policy.retry`; a fixed answer that looks
like a success is given to those only who wanted to read.
"""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from wmesh.errors import ConfigError, Problem
from wmesh.model import FallbackSpec, ServiceSpec
from wmesh.proxy.local_reply import LocalReply
from wmesh.wire.request import IDEMPOTENT

if TYPE_CHECKING:
    from wmesh.proxy.exchange import Exchange
    from wmesh.proxy.plan import Plan

LARGEST_FILE = 1024 * 1024

_READING = (b"GET", b"HEAD")


class FixedAnswer:
    """The configured answer. It is read once, when the gateway starts. Raises ConfigError if its file cannot be."""

    __slots__ = ("_body", "_spec")

    def __init__(self, section: str, spec: FallbackSpec) -> None:
        self._spec = spec
        self._body = _read(section, spec.file) if spec.file else spec.body.encode()

    def suits(self, method: bytes) -> bool:
        return self._spec.status >= 400 or method in _READING

    def instead_of(self, reply: LocalReply) -> LocalReply:
        """The same for the client who would have got `reply`."""
        status = self._spec.status
        after = reply.retry_after or 1 if status == HTTPStatus.SERVICE_UNAVAILABLE else 0
        return FixedReply(status, reply, after, self._body, self._spec.type)


class FixedReply(LocalReply):
    """A reply whose body somebody else has written."""

    __slots__ = ("_body",)

    def __init__(self, status: int, instead: LocalReply, retry_after: int, body: bytes, type: str) -> None:
        super().__init__(status, instead.error, instead.reason, instead.service, retry_after)
        self.type = type
        self._body = body

    def body(self, request_id: bytes) -> bytes:
        return self._body


def _read(section: str, path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            body = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise _problem(section, path, f"cannot be read: {why}") from error
    if len(body) > LARGEST_FILE:
        raise _problem(section, path, f"is larger than {LARGEST_FILE // 1024} KiB")
    return body


def _problem(section: str, path: str, message: str) -> ConfigError:
    return ConfigError([Problem(path, 0, section, "fallback_file", message)])


def fixed_answer(spec: ServiceSpec, section: str = "") -> FixedAnswer | None:
    """The service's, if there is one. `section` is who asked for it, if not the service. Raises ConfigError."""
    return FixedAnswer(section or f"service:{spec.name}", spec.fallback) if spec.fallback.status else None


class Fallback:
    """What one route has: `plan` is its way to the other service (None: there is none), `answer` the fixed answer."""

    __slots__ = ("answer", "plan")

    def __init__(self, plan: Plan | None, answer: FixedAnswer | None) -> None:
        self.plan = plan
        self.answer = answer

    def hides(self, exchange: Exchange) -> bool:
        """May an instance's answer be thrown away for what is here? Not if it tells what became of a POST."""
        method = exchange.head.method
        return method in IDEMPOTENT and (
            self.next_plan(exchange, True) is not None or (self.answer is not None and self.answer.suits(method))
        )

    def next_plan(self, exchange: Exchange, sent: bool) -> Plan | None:
        """The way to the other service, if the request may go there. `sent`: an instance may have seen it."""
        if self.plan is None or exchange.switching or (sent and exchange.head.method not in IDEMPOTENT):
            return None
        return self.plan if exchange.body is None or exchange.body.repeatable else None

    def reply(self, exchange: Exchange, reply: LocalReply) -> LocalReply:
        """What the client is told instead of `reply`; if nothing suits it, the reply itself."""
        if self.answer is None or not self.answer.suits(exchange.head.method):
            return reply
        return self.answer.instead_of(reply)


def fall_back(exchange: Exchange, reply: LocalReply, now: float) -> None:
    """All instances failed: what is stored, or another service, or a fixed answer, or `reply`."""
    if exchange.stand_in(now):
        return
    plan = exchange.plan
    assert plan is not None
    fallback = plan.fallback
    if fallback is None or exchange.done:
        exchange.answer(reply)
        return
    away = fallback.next_plan(exchange, exchange.retrying is not None and exchange.retrying.sent)
    if away is None or (exchange.limit is not None and now >= exchange.limit.ends):
        instead = fallback.reply(exchange, reply)
        if instead is not reply:
            plan.traffic.fallbacks += 1
            exchange.note(now, f"the fixed answer stands in: {reply.error}: {reply.reason}")
        exchange.answer(instead)
        return
    plan.traffic.fallbacks += 1
    exchange.note(now, f"{away.service} stands in: {reply.error}: {reply.reason}")
    exchange.reply = reply
    exchange.plan = away
    exchange.tried = ()
    exchange.attempts = 0
    exchange.bound = ""
    if exchange.retrying is not None:
        exchange.retrying.end()
        exchange.retrying.sorry = ()
    if exchange.hedge is not None:
        exchange.hedge.end()
        exchange.hedge = None
    if away.extras:
        exchange.prepare(away, now)
    exchange.attempt(now)
