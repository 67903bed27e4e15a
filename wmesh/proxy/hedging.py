"""How long is too long for an answer of one route to begin: what its requests took lately, and what follows from it.

The rule is that of `wmesh.policy.hedging`; here it meets the answers. What happens then is in `wmesh.proxy.race`. A
route without hedging has nothing of this.
"""

from __future__ import annotations

from wmesh.metrics.recent import Recent
from wmesh.model import HedgeSpec
from wmesh.policy.hedging import patience

REVIEW = 1.0
"""Seconds between two looks at the quantile."""


class Hedging:
    """That of one route: how long its answers take to begin, and how long is too long."""

    __slots__ = ("_after", "_recent", "_review_at", "spec")

    def __init__(self, spec: HedgeSpec) -> None:
        self.spec = spec
        self._recent = Recent()
        self._after = patience(spec, 0, None)
        self._review_at = 0.0

    def after(self, now: float) -> float | None:
        """Seconds after which another instance is asked; None: none is, for too little is known."""
        if self.spec.quantile and now >= self._review_at:
            self._review_at = now + REVIEW
            self._after = patience(self.spec, *self._recent.quantile(self.spec.quantile / 100.0, now))
        return self._after

    def samples(self, now: float) -> int:
        """Of how many answers the quantile is."""
        return self._recent.quantile(0.5, now)[0]

    def observe(self, seconds: float, now: float) -> None:
        """One request's first attempt began to be answered after so long, or was outrun then."""
        if self.spec.quantile:
            self._recent.observe(seconds, now)
