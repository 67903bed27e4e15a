"""A shared HTTP cache, as decisions: what may be kept, for how long, for whom, and what to ask the instance again.

RFC 9111 (caching), 9110 sections 8.8, 13 and 14 (validators, conditions, ranges), 5861 (stale answers), 8246
(immutable), 9211 (Cache-Status), 9213 (targeted Cache-Control). Heads come in as lines of bytes, times as numbers:
`wall` is seconds since 1970, needed only where a date is read; `now` is monotonic and tells ages. Storing, fetching and
waiting are the business of `wmesh.proxy.cache`.
"""
