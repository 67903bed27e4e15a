"""The options of what happens when an attempt fails or a request takes too long. Rows of `[service:NAME]` (see
`wmesh.config.schema`, which says how they work); the page on retries tells how they play together.
"""

from __future__ import annotations

from wmesh.config import kinds
from wmesh.config.option import HOUR, Option

REPEATED = ("connect_failed", "reset", "timeout", "invalid")

RETRIES = (
    Option(
        "retry_attempts",
        kinds.whole(0, 20, "retries", zero="never"),
        "How often a request whose attempt failed is tried again, each time at another instance while there is one."
        " Requests that must not be made twice (POST, PATCH) are tried again only if nothing of them was sent.",
        "retry_attempts = 1",
        field="retry.attempts",
        notes=("More than 64 KiB of a request body that was sent is not kept, so such a request is not repeated.",),
    ),
    Option(
        "retry_on",
        kinds.each_of(REPEATED, "failure"),
        "After which failures: no connection, a connection lost before the answer began, no answer within"
        " ``timeout_first_byte``, an answer that is not HTTP. Statuses are in ``retry_statuses``.",
        "retry_on = connect_failed, reset",
        field="retry.on",
        notes=("What failed after the answer began is never repeated.",),
    ),
    Option(
        "retry_statuses",
        kinds.statuses(),
        "With which statuses an answer is thrown away and the request sent to another instance, as long as there is"
        " one: requests that may be made twice only (GET, HEAD, PUT, DELETE, OPTIONS, TRACE).",
        "retry_statuses = 500-599",
        notes=("The last answer reaches the client as it is.",),
    ),
    Option(
        "retry_budget",
        kinds.percent(100),
        "The largest share of the requests in flight that may be retries. A retry that finds no room waits a little;"
        " then the client is told of the failure.",
        "retry_budget = 10",
        field="retry.budget",
        notes=("Retries of requests of which nothing was sent do not count.",),
    ),
    Option(
        "retry_budget_min",
        kinds.whole(0, 10_000, "retries", zero="only the share"),
        "So many retries may be in flight in any case.",
        "retry_budget_min = 10",
        field="retry.budget_least",
    ),
    Option(
        "retry_backoff",
        kinds.duration(0, 60),
        "The longest pause before a first retry that finds no other instance, and half of the longest before a second"
        " one; it doubles with each. Each pause is a random part of that. A first retry at another instance waits for"
        " nothing.",
        "retry_backoff = 100ms",
        field="retry.backoff",
    ),
    Option(
        "retry_max_backoff",
        kinds.duration(0, 60),
        "What it grows to.",
        "retry_max_backoff = 1s",
        field="retry.max_backoff",
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
    ),
    Option(
        "deadline_header",
        kinds.field_name(),
        "The header in which an instance is told how many milliseconds are left for the request, where it has a limit;"
        " and in which a trusted proxy (``[gateway] trusted_proxies``) may say that it waits no longer than that. From"
        " anybody else it is taken out. Empty: none is sent, and none is read.",
        "deadline_header = X-Request-Deadline-Ms",
        notes=("The default is what Envoy sends.",),
    ),
)
