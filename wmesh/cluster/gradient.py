"""A limit of requests in flight that finds itself: what a service can bear, told by its latency alone.

Strategy: the gradient of Netflix's concurrency-limits (Gradient2). Answers of the last moment are compared with a long
average. While they are as fast as usual, the limit grows by the square root of itself, which is room for a short queue;
when they take longer, requests are queueing somewhere behind us, and the limit shrinks in proportion. So requests wait
here, where they can be dropped, ordered and counted, and not inside the instances. Envoy's gradient controller instead
measures an ideal latency every minute by strangling all traffic; nothing of that kind is needed here.

A limit that is not used proves nothing, and is left as it is. Failures are not measured: failing fast is no speed.
"""

from __future__ import annotations

from math import sqrt

from wmesh.model import AdaptiveSpec

PERIOD = 0.25
"""Seconds between two looks."""
SAMPLES = 10
"""So many answers at least are looked at."""
LONG = 30.0
"""Seconds over which the usual latency is averaged."""
TOLERANCE = 1.5
"""How much longer than usual is still taken for usual."""
SMOOTHING = 0.2


class Gradient:
    """`limit` is as it should be now. `usual` is the long average in seconds, 0 before there is one."""

    __slots__ = ("_count", "_due", "_most", "_seconds", "_spec", "_stamp", "_value", "limit", "usual")

    def __init__(self, spec: AdaptiveSpec, now: float) -> None:
        self._spec = spec
        self._value = float(min(max(spec.least, 20), spec.most))
        self.limit = int(self._value)
        self.usual = 0.0
        self._begin(now)
        self._stamp = now

    def _begin(self, now: float) -> None:
        self._count = 0
        self._seconds = 0.0
        self._most = 0
        self._due = now + PERIOD

    def observe(self, seconds: float, in_flight: int, now: float) -> bool:
        """A good answer took `seconds`, with so many requests in flight. True if the limit changed."""
        self._count += 1
        self._seconds += seconds
        if in_flight > self._most:
            self._most = in_flight
        if now < self._due or self._count < SAMPLES:
            return False
        recent = self._seconds / self._count
        used = self._most
        self._learn(recent, now)
        self._begin(now)
        # Half of the limit was never in use: latency says nothing about it.
        if 2 * used < self.limit:
            return False
        gradient = max(0.5, min(1.0, TOLERANCE * self.usual / recent)) if recent > 0.0 else 1.0
        wanted = self._value * gradient + sqrt(self._value)
        self._value += (wanted - self._value) * SMOOTHING
        self._value = min(max(self._value, self._spec.least), self._spec.most)
        old, self.limit = self.limit, int(self._value)
        return self.limit != old

    def _learn(self, recent: float, now: float) -> None:
        if not self.usual:
            self.usual = recent
        else:
            self.usual += (recent - self.usual) * min(1.0, (now - self._stamp) / LONG)
            # After an overload the average has grown with it; it comes down faster than it went up.
            if self.usual > 2.0 * recent:
                self.usual *= 0.95
        self._stamp = now
