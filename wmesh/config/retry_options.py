"""The options of what happens when attempts fail or a request takes too long. Rows of `[service:NAME]` (see
`wmesh.config.schema`, which says how they work); the page on retries tells how they play together.
"""

from __future__ import annotations

import re

from wmesh.config import kinds
from wmesh.config.kinds import Kind
from wmesh.config.option import HOUR, Option
from wmesh.config.wording import Invalid, common_hint, quoted

REPEATED = ("connect_failed", "reset", "timeout", "invalid")
LONGEST_BODY = 65536


def _service() -> Kind:
    def read(text: str) -> str:
        match = re.fullmatch(r"service:\s*([a-z0-9-]{1,63})", text)
        if match is None:
            raise Invalid(f"{quoted(text)} is no fallback", common_hint(text) or "write service:NAME")
        return match[1]

    return Kind("service:NAME", read, lambda name: f"service:{name}" if name else "")


def _body() -> Kind:
    one = kinds.text(LONGEST_BODY)
    return Kind("TEXT, of one or more lines", lambda text: one.read(text.strip("\n")), many=True, empty="")

RETRIES = (
    Option(
        "retry_attempts",
        kinds.whole(0, 20, "retries", zero="never"),
        "How often a request whose attempt failed is tried again, each time at another instance while there is one."
        " Requests that must not be made twice (POST, PATCH) are tried again only if nothing of them was sent.",
        "retry_attempts = 1",
        field="retry.attempts",
        notes=("More than 64 KiB of a request body that was sent is not kept, so such a request is not repeated.",),
        on_route=True,
    ),
    Option(
        "retry_on",
        kinds.each_of(REPEATED, "failure"),
        "After which failures: no connection, a connection lost before the answer began, no answer within"
        " ``timeout_first_byte``, an answer that is not HTTP. Statuses are in ``retry_statuses``.",
        "retry_on = connect_failed, reset",
        field="retry.on",
        notes=("What failed after the answer began is never repeated.",),
        on_route=True,
    ),
    Option(
        "retry_statuses",
        kinds.statuses(),
        "With which statuses an answer is thrown away and the request sent to another instance, as long as there is"
        " one: requests that may be made twice only (GET, HEAD, PUT, DELETE, OPTIONS, TRACE).",
        "retry_statuses = 500-599",
        notes=("The last answer reaches the client as it is.",),
        on_route=True,
    ),
    Option(
        "retry_budget",
        kinds.percent(100),
        "The largest share of the requests in flight that may be retries. A retry that finds no room waits a little;"
        " then the client is told of the failure.",
        "retry_budget = 10",
        field="retry.budget",
        notes=("Retries of requests of which nothing was sent do not count.",),
        shared="all requests to the service share one budget",
    ),
    Option(
        "retry_budget_min",
        kinds.whole(0, 10_000, "retries", zero="only the share"),
        "So many retries may be in flight in any case.",
        "retry_budget_min = 10",
        field="retry.budget_least",
        shared="all requests to the service share one budget",
    ),
    Option(
        "retry_backoff",
        kinds.duration(0, 60),
        "The longest pause before a first retry that finds no other instance, and half of the longest before a second"
        " one; it doubles with each. Each pause is a random part of that. A first retry at another instance waits for"
        " nothing.",
        "retry_backoff = 100ms",
        field="retry.backoff",
        on_route=True,
    ),
    Option(
        "retry_max_backoff",
        kinds.duration(0, 60),
        "What it grows to.",
        "retry_max_backoff = 1s",
        field="retry.max_backoff",
        on_route=True,
    ),
)

HEDGES = (
    Option(
        "hedge_delay",
        kinds.duration(0, 60),
        "After how long without a byte of an answer another instance is asked as well: the first answer counts, the"
        " other attempt is cancelled. With ``hedge_quantile`` it is never sooner than this. 0: only by"
        " ``hedge_quantile``.",
        "hedge_delay = 200ms",
        field="hedge.delay",
        notes=(
            "Only for requests that may be made twice: GET, HEAD, PUT, DELETE, OPTIONS, TRACE. Never for clients that a"
            " cookie binds to an instance, nor for WebSockets.",
            "It takes room in ``retry_budget`` as a retry does.",
        ),
        on_route=True,
    ),
    Option(
        "hedge_quantile",
        kinds.whole(0, 99, "percent of the answers", zero="only by hedge_delay"),
        "Another instance is asked as well after the time in which this share of the route's answers began lately (in"
        " the last minute).",
        "hedge_quantile = 95",
        field="hedge.quantile",
        notes=(
            "With less than 100 answers in that time ``hedge_delay`` holds alone.",
            "Where one instance of five may be slow, 95 is too much: a fifth of all answers is slow then, and the time"
            " of 95 percent is a slow one. Take 75.",
        ),
        on_route=True,
    ),
)

DEADLINES = (
    Option(
        "timeout_request",
        kinds.duration(0, 24 * HOUR),
        "How long a request may take in all, from its head to the last byte of its answer: waiting in the queue, every"
        " attempt, and the time that the client takes. Then it is answered 504; an answer that has begun is broken off."
        " 0: as long as it likes.",
        "timeout_request = 10s",
        notes=("Open WebSockets are not counted.",),
        on_route=True,
    ),
    Option(
        "deadline_header",
        kinds.field_name(),
        "The header in which an instance is told how many milliseconds are left for the request, where it has a limit;"
        " and in which a trusted proxy (``[gateway] trusted_proxies``) may say that it waits no longer than that. From"
        " anybody else it is taken out. Empty: none is sent, and none is read.",
        "deadline_header = X-Request-Deadline-Ms",
        notes=("The default is what Envoy sends.",),
        shared="it is a matter between the gateway and the instances",
    ),
)

FALLBACKS = (
    Option(
        "fallback",
        _service(),
        "Which other service is asked when all instances of this one fail, or there are none. It gets the request with"
        " the path that an instance of this one would have seen.",
        "fallback = service:shop-readonly",
        field="fallback.service",
        default="none",
        notes=(
            "Only for requests that may be made again: GET, HEAD, PUT, DELETE, OPTIONS, TRACE, and others of which"
            " nothing was sent. WebSockets have no fallback.",
            "The fallback of the other service is not asked in its turn.",
        ),
        on_route=True,
    ),
    Option(
        "fallback_status",
        kinds.whole(0, 599, zero="there is no fixed answer"),
        "The status of a fixed answer, given when all instances fail (and the other service, if there is one). A status"
        " below 400 answers GET and HEAD only.",
        "fallback_status = 200",
        field="fallback.status",
        notes=("A 503 says when to come again (Retry-After).",),
        on_route=True,
    ),
    Option(
        "fallback_body",
        _body(),
        "Its body.",
        'fallback_body = {"items": [], "stale": true}',
        field="fallback.body",
        default="empty",
        notes=("Lines that begin with # or ; are comments, and indentation is lost; else take ``fallback_file``.",),
        on_route=True,
    ),
    Option(
        "fallback_file",
        kinds.file(),
        "A file that holds its body, up to 1 MiB. It is read when the gateway starts.",
        "fallback_file = etc/sorry.html",
        field="fallback.file",
        default="none",
        notes=("Relative paths start at the working directory of the gateway.",),
        on_route=True,
    ),
    Option(
        "fallback_type",
        kinds.word("TYPE/SUBTYPE", r"[!-~]+/[!-~]+(?: [!-~]+)*", "write a media type, text/html for example"),
        "The Content-Type of that body.",
        "fallback_type = text/html; charset=utf-8",
        field="fallback.type",
        on_route=True,
    ),
)
