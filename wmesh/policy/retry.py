"""May a failed attempt be tried again? Told by what was sent and what came back, never by guess.

Nothing sent: any request may go elsewhere. Something sent, nothing back: only a request that may be done twice
(RFC 9110 section 9.2.2) and whose body is still held whole. Something back: never; the client has seen it.
"""

from __future__ import annotations

MAX_ATTEMPTS = 3


def may_retry(attempts: int, request_sent: bool, response_begun: bool, idempotent: bool, replayable: bool) -> bool:
    """`attempts` are those made so far; `replayable`: every byte of the body sent so far is still held."""
    if response_begun or attempts >= MAX_ATTEMPTS:
        return False
    if not request_sent:
        return replayable
    return idempotent and replayable
