"""One request with its answer: the life of a request, from a checked head to the next one's turn.

    begin ─► route ─► acquire a ticket ─► connection from the pool, or a new one ─► head and body to the instance
                          ▲                                                            │
                          └── failed before its answer began, and may be retried ◄─────┤
                                                                                       ▼
                               turn of the next request ◄─ finished ◄─ head and body of the answer to the client

Once the first byte of an answer is out, a failure aborts both sides: a client must see a broken answer, never a short
one that looks whole. The body of the request goes its own way (`request_body`), and so does that of the answer
(`upstream`): here is what both belong to.

Longer than most files, because it is one story told in order. What only some requests meet is elsewhere, and costs the
others nothing: the queue (`queueing`), failed attempts (`retrying`, `fallback`), a second one beside a slow one
(`race`), the end of the time that it may take (`time_limit`). Requests that come again take a short cut (`flow`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wmesh.cluster.explain import explain, summary
from wmesh.cluster.member import Member
from wmesh.cluster.outcome import Outcome, Refusal
from wmesh.cluster.selection import Waiter
from wmesh.cluster.ticket import Ticket
from wmesh.proxy.decisions import Note, told
from wmesh.proxy.local_reply import LocalReply, for_gateway
from wmesh.proxy.plan import Plan
from wmesh.proxy.plane import DataPlane
from wmesh.proxy.pool import Pool, pool_of
from wmesh.proxy.queueing import Queueing
from wmesh.proxy.race import Hedge, watch
from wmesh.proxy.request_body import RequestBody
from wmesh.proxy.retrying import Retrying, attempt_failed, wants_another
from wmesh.proxy.side import HOLD_CONNECTING
from wmesh.proxy.time_limit import TimeLimit, bounded, out_of_time
from wmesh.wire.fields import value_of
from wmesh.wire.forwarded import client_scheme, forwarded_lines, names_prefix
from wmesh.wire.request import NO_FIELDS, RequestHead, upgrade_request, write_request
from wmesh.wire.response import CHUNKED, ResponseHead, write_interim, write_response, write_switch

if TYPE_CHECKING:
    from wmesh.proxy.cache.reader import Reader
    from wmesh.proxy.flow import Flow
    from wmesh.proxy.side import ClientSide
    from wmesh.proxy.upstream import Upstream

DEBUG_FIELD = b"x-wmesh-debug"
"""A trusted client that sends this field is told who was picked and why, in X-Wmesh-Decision."""

# WHY: see `wmesh.wire.response`; these two are read for every request.
OK = Outcome.OK
SERVER_ERROR = Outcome.SERVER_ERROR


class Exchange:
    """`conn` is the connection of the running attempt, `body` what the client sends behind its head, if anything.
    `reader` is there when the answer comes by way of the cache.
    """

    __slots__ = (
        "attempts",
        "body",
        "bound",
        "close_after",
        "conn",
        "debug",
        "dial",
        "done",
        "down",
        "head",
        "head_sent",
        "hedge",
        "key",
        "limit",
        "notes",
        "plan",
        "plane",
        "reader",
        "reply",
        "request_done",
        "request_id",
        "retrying",
        "started",
        "status",
        "switching",
        "ticket",
        "tried",
        "waiter",
        "written",
    )

    head: RequestHead

    def __init__(self, plane: DataPlane, down: ClientSide, head: RequestHead) -> None:
        self.plane = plane
        self.down = down
        self.head = head
        if head.has_body:
            self.request_done = False
            self.body: RequestBody | None = RequestBody(self)
        else:
            self.request_done = True
            self.body = None
        self.close_after = head.wants_close
        self.plan: Plan | None = None
        self.key = b""
        self.bound = ""
        self.ticket: Ticket | None = None
        self.waiter: Waiter | None = None
        self.reader: Reader | None = None
        self.conn: Upstream | None = None
        self.dial: Any = None
        self.tried: tuple[Member, ...] = ()
        self.attempts = 0
        self.started = 0.0
        self.status = 0
        self.head_sent = False
        self.done = False
        self.switching = False
        self.reply: LocalReply | None = None
        self.retrying: Retrying | None = None
        self.limit: TimeLimit | None = None
        self.hedge: Hedge | None = None
        self.request_id = b""
        self.notes: Sequence[Note] = ()
        self.debug = False

    @classmethod
    def refused(cls, plane: DataPlane, down: ClientSide, reply: LocalReply) -> Exchange:
        """An exchange whose request could not be read: in its turn it says `reply`, and the connection ends."""
        head = RequestHead(b"GET", b"", 1, NO_FIELDS)
        head.wants_close = True
        exchange = cls(plane, down, head)
        exchange.request_done = False
        exchange.reply = reply
        return exchange

    # --- the way to the instance

    def begin(self) -> None:
        """It is this request's turn."""
        plane = self.plane
        head = self.head
        self.started = now = plane.clock()
        peer = self.down.peer
        plain = head.fields.plain
        if plain or not peer.trusted:
            self.request_id = plane.next_id()
        else:
            self.request_id = head.request_id or plane.next_id()
        if peer.trusted:
            self.debug = value_of(head.lines, DEBUG_FIELD) is not None
        if self.reply is not None:
            self.answer(self.reply)
            return
        if head.target == b"*" or (not plain and head.max_forwards == 0):
            self.answer(for_gateway(head.method))
            return
        # A client in this process may have named the service itself.
        plan = self.plan or plane.router.match(head.host_name, head.target)
        if plan is None:
            path = head.target.partition(b"?")[0].decode("ascii", "replace")
            self.answer(LocalReply(404, "no_route", f"no route takes {path[:200]}"))
            return
        self.plan = plan
        if not head.host:
            head.host = plan.spec.name.encode("ascii")  # an HTTP/1.0 client may name none; HTTP/1.1 instances want one
        if plan.cache is not None and plan.cache.takes(self, plan, now):
            return
        self.forward(now)

    def forward(self, now: float) -> None:
        """Send it to an instance."""
        plan = self.plan
        assert plan is not None
        head = self.head
        peer = self.down.peer
        plain = head.fields.plain
        lines = forwarded_lines(peer, head)
        if plan.prefix_line and (plain or not (peer.trusted and head.claims and names_prefix(head.claims))):
            lines += plan.prefix_line
        if plan.timed or not (plain or head.claims is None):
            bound = bounded(self, plan, now)
            if bound is None:
                return
            lines += bound
        target = plan.target(head.target) if plan.strip else head.target
        self.written = write_request(head, target, lines, self.plane.via, self.request_id)
        if not plain and head.upgrade is not None:
            self._consider_upgrade()
        if plan.extras:
            self.prepare(plan, now)
        self.attempt(now)

    def follow(self, flow: Flow) -> None:
        """It is this request's turn, and its bytes are known."""
        plane = self.plane
        self.started = now = plane.clock()
        self.request_id = request_id = plane.next_id()
        self.plan = plan = flow.plan
        if plan.cache is not None and plan.cache.takes(self, plan, now):
            return
        if plan.timed:
            self.limit = limit = TimeLimit(plan.spec.timeout_request, now, plan.spec.deadline_header)
            plane.deadlines.watch(self, limit.seconds)
            ends = b"\r\n" + limit.line + b"\r\n"
        else:
            ends = b"\r\n\r\n"
        self.written = b"".join((flow.before, self.down.peer.lines, flow.behind, request_id, ends))
        if plan.extras:
            self.prepare(plan, now)
        self.attempt(now)

    def prepare(self, plan: Plan, now: float) -> None:
        """What only some ways want to know before the first attempt: the key of a strategy that keeps clients together,
        the instance that the client is bound to, and whether to ask another one beside one that takes long.
        """
        if plan.keyed:
            peer = self.down.peer
            key = plan.key_of(self.head) if plan.key_of is not None else b""
            self.key = key or peer.peers.client(peer, self.head)
        if plan.sticky is not None:
            self.bound = plan.sticky.bound(self.head.lines, plan.cluster.members)
        if plan.hedging is not None:
            self.hedge = watch(plan.hedging, self, now)

    def _consider_upgrade(self) -> None:
        head = self.head
        protocol = (head.upgrade or b"").strip().lower()
        if self.plan is not None and self.plan.websocket and protocol == b"websocket" and head.method == b"GET":
            if head.has_body:
                self.answer(LocalReply(400, "bad_request", "a WebSocket handshake has no body"))
                return
            self.switching = True
            self.written = upgrade_request(self.written, b"websocket")

    def attempt(self, now: float) -> None:
        """Ask the next instance."""
        if self.done:
            return
        plan = self.plan
        assert plan is not None
        if self.debug:
            self.note(now, summary(explain(plan.selection, self.key, now, self.bound, self.tried)))
        ticket = plan.selection.acquire(self.key, self.tried, now, self.bound)
        if isinstance(ticket, Refusal):
            Queueing(self).turned_down(ticket, now)
            return
        self.granted(ticket, now)

    def granted(self, ticket: Ticket, now: float) -> None:
        """An instance can take it."""
        plan = self.plan
        assert plan is not None
        self.ticket = ticket
        self.attempts += 1
        if self.limit is not None:
            self.written = self.limit.tell(self.written, now)
        pool = ticket.member.pool or pool_of(self.plane, ticket.member, plan.spec)
        # A second try gets no connection untested: an instance that restarted has closed all that were kept.
        conn = pool.take(self.attempts == 1 and self.head.method in plan.repeatable)
        if conn is not None:
            self.attach(conn, now)
        else:
            self._connect(pool)

    def _connect(self, pool: Pool) -> None:
        self.dial = pool.connect(self)
        if self.body is not None:
            self.body.wait()

    def attach(self, conn: Upstream, now: float) -> None:
        """A connection to the instance is there: everything that the client sent so far goes out on it."""
        self.dial = None
        self.conn = conn
        conn.assign(self, now)
        if self.body is None:
            conn.transport.write(self.written)
        else:
            self.body.send(self.written)

    # --- the way back

    def response_head(self, head: ResponseHead) -> bytes:
        """The head for the client; sets how the body will be framed."""
        self.head_sent = True
        if self.body is not None:
            self.body.forget()
        self.status = head.status
        chunked = False
        if head.body >= CHUNKED:
            if self.head.minor:
                chunked = True
            else:
                self.close_after = True
        assert self.conn is not None
        self.conn.chunking = chunked
        connection = self.connection_line()
        plan = self.plan
        assert plan is not None
        if plan.cache is not None:
            connection += plan.cache.passed(self, head)
        if plan.extras:
            connection += self.answered(plan)
        if self.debug:
            connection += told(self.ticket, self.attempts, self.notes)
        plane = self.plane
        return write_response(head, chunked, plane.via, self.request_id, plane.deadlines.date, connection)

    def switch_head(self, head: ResponseHead) -> bytes:
        """The same for a 101: a client of WebSockets is bound to its instance here or never."""
        plan = self.plan
        assert plan is not None
        more = self.answered(plan) if plan.extras else b""
        if self.debug:
            more += told(self.ticket, self.attempts, self.notes)
        return write_switch(head, b"websocket", self.plane.via, self.request_id, more)

    def connection_line(self) -> bytes:
        """What the client is told of its connection; decides whether it ends with this answer."""
        if not self.request_done or self.plane.draining:
            # An early answer: the rest of the request would have to be read to its end to find the next one.
            self.close_after = True
        if self.close_after:
            return b"Connection: close\r\n"
        return b"" if self.head.minor else b"Connection: keep-alive\r\n"

    def note(self, now: float, what: str) -> None:
        """Something out of the ordinary, for who asks later what became of this request."""
        self.notes = [*self.notes, (now, what)]

    def over(self, now: float, status: int, member: Member | None) -> None:
        """The end of every exchange, told once to whoever counts or remembers them. Status 0: it was broken off.
        `member` is who answered, or was asked last.
        """
        self.done = True
        self.body = None  # which knows the exchange: neither is to wait for the collector of cycles
        plan = self.plan
        # WHY not the head itself: kept back a thousand times it is memory that the next requests cannot use again while
        # the caches still hold it (bench case "varied").
        head = self.head
        self.plane.decisions.append(
            (self.request_id, self.started, now, plan, head.method, head.target, status, member, self.notes)
        )
        if plan is None:
            return
        if status:
            plan.traffic.observe(status, now - self.started)
        else:
            plan.traffic.aborted += 1

    def answered(self, plan: Plan) -> bytes:
        """What only some ways have to do when the answer begins. Answers the line that binds the client to its
        instance; nothing if it is bound there already."""
        if self.hedge is not None:
            self.hedge.answered()
        sticky = plan.sticky
        if sticky is None or self.ticket is None or self.ticket.member.record.id == self.bound:
            return b""
        return sticky.line(self.ticket.member.record.id, client_scheme(self.down.peer, self.head) == b"https")

    def stand_in(self, now: float) -> bool:
        """All instances failed: is there something stored that is given instead? Only a fetch for the cache knows."""
        return False

    def interim(self, head: ResponseHead) -> bytes:
        """A 1xx for the client; HTTP/1.0 clients know none (RFC 9110 section 15.2)."""
        return write_interim(head) if self.head.minor else b""

    def finished(self, now: float) -> None:
        """The answer is whole and written. The connection was given back by its owner."""
        if self.retrying is not None or self.limit is not None:
            self.settle()
        self.conn = self.reader = None
        status = self.status
        ticket, self.ticket = self.ticket, None
        member = None
        if ticket is not None:
            member = ticket.member
            ticket.release(OK if status < 500 else SERVER_ERROR, now)
        self.over(now, status, member)
        self.down.exchange_done(self, now)

    def answer(self, reply: LocalReply) -> None:
        """The gateway's own answer."""
        if self.done:
            return
        self.done = True
        self.switching = False
        self.settle()
        down = self.down
        down.release(HOLD_CONNECTING)
        connection = self.connection_line()
        if self.plan is not None and self.plan.cache is not None:
            connection += self.plan.cache.told(self)
            self.reader = None
        now = self.plane.clock()
        self.over(now, reply.status, self.ticket.member if self.ticket is not None else None)
        if down.transport is None:
            return
        down.transport.write(
            reply.render(self.request_id, self.plane.deadlines.date, connection, self.head.method != b"HEAD")
        )
        down.exchange_done(self, now)

    # --- other ends

    # What a connection tells whom it serves; one that runs beside another one has its own (`wmesh.proxy.race`).
    attempt_failed = attempt_failed
    wants_another = wants_another

    def sweep(self, now: float) -> None:
        if self.limit is not None and now >= self.limit.ends:
            out_of_time(self, now)
        elif self.waiter is not None and self.plan is not None and now >= self.waiter.deadline:
            self.plan.selection.serve(now)

    def settle(self) -> None:
        """What waits on behalf of this exchange has nothing to wait for any more."""
        if self.retrying is not None:
            self.retrying.end()
        if self.hedge is not None:
            self.hedge.end()
        if self.limit is not None:
            self.plane.deadlines.forget(self)

    def client_lost(self) -> None:
        """The client's connection is gone: nothing that is still running has a use."""
        if not self.done:
            now = self.plane.clock()
            self.note(now, "the client left")
            self.over(now, 0, self.ticket.member if self.ticket is not None else None)
        self.drop_attempt(Outcome.CANCELLED)

    def drop_attempt(self, outcome: Outcome) -> None:
        """Whatever is under way, or waited for, is of no use any more."""
        if self.body is not None:
            self.body.producing = False
        self.settle()
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            waiter.leave()
            self.plane.deadlines.forget(self)
        if self.reader is not None:
            self.reader.leave()
        dial, self.dial = self.dial, None
        if dial is not None:
            dial.forget()
        conn, self.conn = self.conn, None
        if conn is not None:
            conn.drop()
        ticket, self.ticket = self.ticket, None
        if ticket is not None:
            ticket.release(outcome, self.plane.clock())
