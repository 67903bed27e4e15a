"""The options of what live traffic decides: breakers, outliers, queues, slow start, stickiness. Rows of
`[service:NAME]` (see `wmesh.config.schema`, which says how they work).
"""

from __future__ import annotations

from wmesh.config import kinds
from wmesh.config.option import HOUR, Option

OUTCOMES = ("connect_failed", "reset", "timeout", "invalid", "server_error")

BREAKER = (
    Option(
        "circuit_breaker_enabled",
        kinds.switch(),
        "Whether an instance that keeps failing requests is left alone for a while.",
        "circuit_breaker_enabled = no",
        field="breaker.enabled",
    ),
    Option(
        "circuit_breaker_scope",
        kinds.choice(("instance", "service", "both"), "scope"),
        "What a circuit breaker guards: each instance for itself, the service as a whole, or both.",
        "circuit_breaker_scope = both",
        field="breaker.scope",
        notes=("The breaker of a service refuses requests at once (503) while most of them fail, whoever they go to.",),
    ),
    Option(
        "circuit_breaker_window",
        kinds.duration(1, HOUR),
        "The time over which calls and failures are counted.",
        "circuit_breaker_window = 30s",
        field="breaker.window",
    ),
    Option(
        "circuit_breaker_min_calls",
        kinds.whole(1, 1_000_000, "calls"),
        "With fewer calls in the window nothing is judged.",
        "circuit_breaker_min_calls = 10",
        field="breaker.min_calls",
    ),
    Option(
        "circuit_breaker_failures",
        kinds.whole(1, 1_000_000, "failures"),
        "The failure threshold: it opens after at least so many failures in the window ...",
        "circuit_breaker_failures = 3",
        field="breaker.failures",
    ),
    Option(
        "circuit_breaker_failure_rate",
        kinds.percent(100),
        "... that are at least this share of all calls.",
        "circuit_breaker_failure_rate = 30",
        field="breaker.failure_rate",
    ),
    Option(
        "circuit_breaker_slow_call",
        kinds.duration(0, HOUR),
        "A call that takes this long is a slow one. 0: slowness is no fault.",
        "circuit_breaker_slow_call = 2s",
        field="breaker.slow_call",
    ),
    Option(
        "circuit_breaker_slow_rate",
        kinds.percent(100),
        "It opens, too, when this share of all calls in the window is slow.",
        "circuit_breaker_slow_rate = 80",
        field="breaker.slow_rate",
    ),
    Option(
        "circuit_breaker_reset_timeout",
        kinds.duration(0.1, HOUR),
        "How long it stays open before it is tried again. Each time in a row takes twice as long, and up to a fifth"
        " more by chance, so that many gateways do not try at once.",
        "circuit_breaker_reset_timeout = 10s",
        field="breaker.reset_timeout",
    ),
    Option(
        "circuit_breaker_max_reset_timeout",
        kinds.duration(0.1, 24 * HOUR),
        "The longest that it stays open.",
        "circuit_breaker_max_reset_timeout = 5m",
        field="breaker.max_reset_timeout",
    ),
    Option(
        "circuit_breaker_trials",
        kinds.whole(1, 1000, "calls"),
        "How many calls try a half-open breaker. All must go well for it to close; the first failure opens it again.",
        "circuit_breaker_trials = 1",
        field="breaker.trials",
    ),
    Option(
        "circuit_breaker_trial_timeout",
        kinds.duration(0.1, HOUR),
        "How long the trials may take. When none came back by then, it opens again.",
        "circuit_breaker_trial_timeout = 5s",
        field="breaker.trial_timeout",
    ),
    Option(
        "circuit_breaker_ramp",
        kinds.duration(0, HOUR),
        "After closing, and after any other absence for what its traffic showed, an instance gets its share of the"
        " traffic back over this time.",
        "circuit_breaker_ramp = 30s",
        field="breaker.ramp",
    ),
    Option(
        "circuit_breaker_outcomes",
        kinds.each_of(OUTCOMES, "outcome"),
        "Which outcomes count as failures: no connection, a connection lost before the answer was whole, a timeout, an"
        " answer that is not HTTP, and statuses of 500 and above.",
        "circuit_breaker_outcomes = connect_failed, reset, timeout, invalid",
        field="breaker.outcomes",
        notes=("What the gateway refuses itself never counts, nor do clients that leave.",),
    ),
)

OUTLIERS = (
    Option(
        "outlier_detection",
        kinds.switch(),
        "Whether live traffic alone takes an instance out that does worse than its peers.",
        "outlier_detection = no",
        field="outlier.enabled",
    ),
    Option(
        "outlier_consecutive",
        kinds.whole(0, 1000, "failures", zero="a row of failures ejects nobody"),
        "So many failures in a row take an instance out at once.",
        "outlier_consecutive = 3",
        field="outlier.consecutive",
    ),
    Option(
        "outlier_min_calls",
        kinds.whole(1, 1_000_000, "calls"),
        "An instance with fewer calls in ``circuit_breaker_window`` is not compared with others.",
        "outlier_min_calls = 30",
        field="outlier.min_calls",
    ),
    Option(
        "outlier_error_rate",
        kinds.percent(100),
        "An instance is taken out whose error rate is so many percentage points above that of its peers, or, where they"
        " have no traffic, above its own usual one.",
        "outlier_error_rate = 20",
        field="outlier.error_rate",
    ),
    Option(
        "outlier_latency_factor",
        kinds.whole(0, 1000, "times", zero="latency ejects nobody"),
        "An instance is taken out whose answers take so many times as long as those of its peers, and 0.25 s longer.",
        "outlier_latency_factor = 5",
        field="outlier.latency_factor",
    ),
    Option(
        "outlier_ejection_time",
        kinds.duration(0.1, HOUR),
        "How long it stays out the first time; the second time twice as long, and so on.",
        "outlier_ejection_time = 30s",
        field="outlier.ejection_time",
        notes=("Health checks that prove the opposite bring it back sooner.",),
    ),
    Option(
        "outlier_max_ejection_time",
        kinds.duration(0.1, 24 * HOUR),
        "The longest that it stays out.",
        "outlier_max_ejection_time = 10m",
        field="outlier.max_ejection_time",
    ),
    Option(
        "outlier_max_ejected",
        kinds.percent(100),
        "The largest share of a service's instances that may be out for what traffic shows. One always stays.",
        "outlier_max_ejected = 20",
        field="outlier.max_ejected",
    ),
    Option(
        "panic_threshold",
        kinds.whole(0, 100, "percent", zero="when nobody is left"),
        "When less than this share of the instances may take requests, the evidence is not believed any more.",
        "panic_threshold = 30",
    ),
    Option(
        "panic",
        kinds.choice(("any", "none"), "way to panic"),
        "What happens then. any: those that checks or traffic took out serve as well, as a last resort, but never who"
        " was not well yet, whom the operator took out, or whose circuit breaker is open. none: nobody does.",
        "panic = none",
    ),
    Option(
        "slow_start",
        kinds.duration(0, HOUR),
        "An instance that becomes healthy while others serve, or comes back from maintenance, gets its share of the"
        " traffic little by little over this time, beginning with a tenth. Its limit of requests in flight grows with"
        " it.",
        "slow_start = 1m",
    ),
    Option(
        "zone_preference",
        kinds.switch(),
        "Whether instances in the gateway's own zone (``[mesh] zone``) are preferred while at least half of them are"
        " well. An instance says its zone in its metadata.",
        "zone_preference = yes",
    ),
)

QUEUE = (
    Option(
        "queue_length",
        kinds.whole(0, 1_000_000, "requests", zero="none waits"),
        "How many requests wait for an instance when all are full, or are being started. More are answered 503.",
        "queue_length = 1000",
        field="queue.length",
    ),
    Option(
        "queue_timeout",
        kinds.duration(0.01, HOUR),
        "How long a request waits at most. Then it is answered 503 with Retry-After.",
        "queue_timeout = 10s",
        field="queue.timeout",
    ),
)

ADAPTIVE = (
    Option(
        "adaptive_concurrency",
        kinds.switch(),
        "Whether the gateway finds out by itself how many requests in flight the service bears: more while answers are"
        " as fast as usual, fewer when they take longer. The rest waits in the queue.",
        "adaptive_concurrency = yes",
        field="adaptive.enabled",
        notes=("``max_connections``, if given, bounds it as well. ``GET /services/NAME`` shows the limit.",),
    ),
    Option(
        "adaptive_min",
        kinds.whole(1, 1_000_000, "requests"),
        "The least that the limit shrinks to.",
        "adaptive_min = 5",
        field="adaptive.least",
    ),
    Option(
        "adaptive_max",
        kinds.whole(1, 1_000_000, "requests"),
        "The most that the limit grows to.",
        "adaptive_max = 200",
        field="adaptive.most",
    ),
)

STICKY = (
    Option(
        "sticky_sessions",
        kinds.switch(),
        "Whether a client stays with the instance that it was first given, by a signed cookie.",
        "sticky_sessions = yes",
        field="sticky.enabled",
        notes=("When its instance may not take the request, the client moves to another one.",),
    ),
    Option(
        "sticky_cookie",
        kinds.word("NAME", r"[A-Za-z0-9!#$%&'*+.^_`|~\-]{1,64}", "use letters, digits and the like, no spaces"),
        "The name of the cookie. Services of one site must not share one.",
        "sticky_cookie = shop-instance",
        field="sticky.cookie",
        default="wmesh-NAME",
    ),
    Option(
        "sticky_lifetime",
        kinds.duration(0, 365 * 24 * HOUR),
        "How long the cookie lasts. 0: until the browser is closed.",
        "sticky_lifetime = 1d",
        field="sticky.lifetime",
    ),
    Option(
        "sticky_secure",
        kinds.choice(("auto", "yes", "no"), "choice"),
        "Whether the cookie is marked Secure. auto: when it is set over TLS.",
        "sticky_secure = yes",
        field="sticky.secure",
    ),
    Option(
        "sticky_http_only",
        kinds.switch(),
        "Whether scripts in the page are kept from the cookie.",
        "sticky_http_only = no",
        field="sticky.http_only",
    ),
    Option(
        "sticky_same_site",
        kinds.choice(("lax", "strict", "none"), "choice"),
        "Whether the cookie comes along when other sites link here. Browsers take none only together with Secure.",
        "sticky_same_site = strict",
        field="sticky.same_site",
    ),
)
