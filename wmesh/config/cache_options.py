"""The options of the cache. Rows of `[service:NAME]` (see `wmesh.config.schema`, which says how they work); the page on
caching tells what is kept and why.
"""

from __future__ import annotations

from wmesh.config import kinds, places
from wmesh.config.option import HOUR, Option

_YEAR = 365 * 24 * HOUR

CACHE = (
    Option(
        "proxy_caching_enabled",
        kinds.switch(),
        "Whether answers that allow it are kept and served again, by the rules of a shared HTTP cache (RFC 9111).",
        "proxy_caching_enabled = yes",
        field="cache.enabled",
        on_route=True,
        notes=("All services share the memory of ``[gateway] cache_size``.",),
    ),
    Option(
        "proxy_cache_ttl",
        kinds.duration(0, _YEAR),
        "For how long an answer is fresh that does not say so itself (Cache-Control, Expires): one that went well, or"
        " is a permanent redirect. 0: ``proxy_cache_heuristic`` decides.",
        "proxy_cache_ttl = 300",
        field="cache.ttl",
        on_route=True,
    ),
    Option(
        "proxy_cache_negative_ttl",
        kinds.duration(0, _YEAR),
        "The same for errors that are likely to stay: 404, 405, 410, 414, 501. Others are kept only if they say so.",
        "proxy_cache_negative_ttl = 10s",
        field="cache.negative_ttl",
        on_route=True,
    ),
    Option(
        "proxy_cache_heuristic",
        kinds.whole(0, 100, "percent", zero="it is asked for again each time"),
        "An answer that says nothing of freshness, but when it was last changed, is fresh for this share of the time"
        " since then, in percent, and at most for a day.",
        "proxy_cache_heuristic = 0",
        field="cache.heuristic",
        on_route=True,
    ),
    Option(
        "proxy_cache_stale_if_error",
        kinds.duration(0, _YEAR),
        "For how long after its freshness a kept answer stands in when no instance answers, or with 500, 502, 503 or"
        " 504. What the answer says itself (stale-if-error, must-revalidate) goes before.",
        "proxy_cache_stale_if_error = 1h",
        field="cache.stale_if_error",
        on_route=True,
    ),
    Option(
        "proxy_cache_cookies",
        kinds.switch(),
        "Whether requests with a Cookie, too, share answers that do not say themselves for how long they are fresh."
        " Turn it on where cookies do not change what the service answers.",
        "proxy_cache_cookies = yes",
        field="cache.cookies",
        on_route=True,
    ),
    Option(
        "proxy_cache_set_cookie",
        kinds.switch(),
        "Whether an answer that sets a cookie is kept if it says itself for how long. Everybody gets the cookie then.",
        "proxy_cache_set_cookie = no",
        field="cache.set_cookie",
        on_route=True,
    ),
    Option(
        "proxy_cache_request_control",
        kinds.switch(),
        "Whether the Cache-Control of a request counts: with no-cache, max-age and no-store a client can ask past the"
        " cache.",
        "proxy_cache_request_control = no",
        field="cache.request_control",
        on_route=True,
    ),
    Option(
        "proxy_cache_object_limit",
        kinds.size(0, 1024**3),
        "The largest body that is kept. Larger ones pass through.",
        "proxy_cache_object_limit = 8MiB",
        field="cache.object_limit",
        on_route=True,
    ),
    Option(
        "proxy_cache_wait",
        kinds.duration(0.1, HOUR),
        "While one request for something fetches it, others for the same wait for its answer. When that takes longer"
        " than this, another one of them is sent on, and so on.",
        "proxy_cache_wait = 2s",
        field="cache.wait",
        on_route=True,
    ),
)

SIZE = Option(
    "cache_size",
    kinds.size(1024**2, 1024**4),
    "The memory that kept answers of all services may take (``proxy_caching_enabled``). When it is full, those go that"
    " nobody asks for.",
    "cache_size = 256MiB",
)

SHARED = Option(
    "cache_redis_url",
    places.redis,
    "A Redis or Valkey server in which several gateways share what they keep (``proxy_caching_enabled``): what is not"
    " in the memory of one is looked for there before an instance is asked. Written as ``[registry] url`` is, and often"
    " the same. :doc:`caching` tells what is shared, and what becomes of it when the server is away.",
    "cache_redis_url = redis://gateway:s3cret@cache.internal:6379/0",
    notes=(
        "The names of its keys begin with ``[registry] namespace``. Gateways that share must have the same services.",
    ),
)
