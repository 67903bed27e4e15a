"""How this process is: its memory, its CPU, its age. Every service shows them on `/health`.

CPU is a share of one core since the last sample. Several pollers may ask `/health` at once (the mesh, a person, a
monitor); were each question a new sample, two that come a millisecond apart would make noise of it. So a sample lasts
a second: whoever asks sooner gets the same answer again.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable

SAMPLE_SECONDS = 1.0


def memory_bytes() -> int:
    """The resident set of this process; where there is no /proc, its peak, which is the next best thing to know."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


class Vitals:
    """`clock` is monotonic seconds, `cpu_clock` the seconds of CPU that this process has used."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, cpu_clock: Callable[[], float] = time.process_time
    ) -> None:
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._started = self._sampled = clock()
        self._cpu = cpu_clock()
        self._percent = 0.0

    def cpu_percent(self) -> float:
        """100 is one whole core, over the latest sample."""
        now = self._clock()
        elapsed = now - self._sampled
        if elapsed >= SAMPLE_SECONDS:
            cpu = self._cpu_clock()
            self._percent = round(100.0 * (cpu - self._cpu) / elapsed, 2)
            self._sampled, self._cpu = now, cpu
        return self._percent

    def document(self) -> dict[str, object]:
        """What `/health` shows beside the names."""
        return {
            "pid": os.getpid(),
            "uptime_seconds": round(self._clock() - self._started, 3),
            "cpu_percent": self.cpu_percent(),
            "memory_bytes": memory_bytes(),
        }
