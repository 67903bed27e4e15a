"""The question that a fetch puts to an instance, and the exchange that carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wmesh.cluster.member import Member
from wmesh.policy.caching.conditions import validating
from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.question import Question
from wmesh.proxy.exchange import Exchange
from wmesh.proxy.local_reply import LocalReply
from wmesh.wire.request import RequestFields, RequestHead
from wmesh.wire.response import ResponseHead

if TYPE_CHECKING:
    from wmesh.proxy.cache.fetch import Fetch


def asked(head: RequestHead, question: Question, entry: Entry | None) -> RequestHead:
    """What the instance is asked instead of the client's request: without his conditions, with those of what is stored.

    A HEAD becomes a GET: this is for the cache.
    """
    lines = question.bare
    if entry is not None and entry.validator:
        lines = validating(entry, lines)
    old = head.fields
    fields = RequestFields(lines, old.count)
    fields.plain = old.claims is None
    fields.claims = old.claims
    fields.host, fields.host_name = old.host, old.host_name
    made = RequestHead(b"GET", head.target, head.minor, fields)
    made.host, made.host_name = head.host, head.host_name
    return made


class FetchExchange(Exchange):
    """An exchange whose answers go to a `Fetch`. It is counted by its clients' exchanges, not by itself."""

    __slots__ = ()

    down: Fetch

    def response_head(self, head: ResponseHead) -> bytes:
        self.head_sent = True
        self.status = head.status
        assert self.conn is not None
        self.conn.chunking = False
        more = self.answered(self.plan) if self.plan is not None and self.plan.extras else b""
        self.down.arrived(head, more)
        return b""

    def interim(self, head: ResponseHead) -> bytes:
        self.down.interim(head)
        return b""

    def over(self, now: float, status: int, member: Member | None) -> None:
        self.done = True

    def answer(self, reply: LocalReply) -> None:
        if not self.done:
            self.done = True
            self.settle()
            self.down.failed(reply)

    def stand_in(self, now: float) -> bool:
        if self.done or not self.down.stand_in(now):
            return False
        self.done = True
        self.settle()
        self.down.end()
        return True


def for_others(status: int, service: str) -> LocalReply:
    """What those are told who waited for an answer that is a failure: it is not theirs, so the gateway says it."""
    shown = status if status in (502, 503, 504) else 502
    reason = f"the request that this one waited for was answered {status}"
    return LocalReply(shown, "instance_failed", reason, service, retry_after=1 if shown == 503 else 0)
