"""The load generator: `wrk` with one thread, a Lua script for realistic headers, and its summary as one JSON line.

The script (scripts/browser.lua) sends what a browser sends (the usual one-header request flatters slow parsers) and
prints the figures itself, so that nothing is lost in wrk's rounded, human output. wrk counts a request when its answer
is complete; latency is from sending the request to its end, without correction for coordinated omission.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("scripts") / "browser.lua"
MARK = "bench-summary "


class LoadError(Exception):
    """wrk is missing, failed, or printed no summary."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk saw in `seconds`. Latencies are microseconds; `wrong` are answers of status 400 and up."""

    requests: int
    seconds: float
    bytes: int
    p50: float
    p99: float
    worst: float
    connect_errors: int
    read_errors: int
    write_errors: int
    timeouts: int
    wrong: int

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def errors(self) -> int:
        return self.connect_errors + self.read_errors + self.write_errors + self.timeouts + self.wrong

    def describe_errors(self) -> str:
        """Only the kinds that happened, e.g. "3 read, 1 timeout"."""
        kinds = {
            "connect": self.connect_errors,
            "read": self.read_errors,
            "write": self.write_errors,
            "timeout": self.timeouts,
            "status": self.wrong,
        }
        return ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)


def parse(output: str) -> Load:
    """The summary line in wrk's output."""
    for line in output.splitlines():
        if line.startswith(MARK):
            found = json.loads(line.removeprefix(MARK))
            return Load(
                requests=int(found["requests"]),
                seconds=found["duration"] / 1e6,
                bytes=int(found["bytes"]),
                p50=float(found["p50"]),
                p99=float(found["p99"]),
                worst=float(found["max"]),
                connect_errors=int(found["connect"]),
                read_errors=int(found["read"]),
                write_errors=int(found["write"]),
                timeouts=int(found["timeout"]),
                wrong=int(found["status"]),
            )
    raise LoadError(f"wrk printed no summary: {output.strip() or 'nothing'}")


def wrk_version() -> str:
    """As wrk tells it; raises where there is none."""
    binary = shutil.which("wrk")
    if binary is None:
        raise LoadError("the load generator wrk is missing; install it from your system (Debian: apt install wrk)")
    told = subprocess.run([binary, "-v"], capture_output=True, text=True, check=False).stdout.split()
    return told[1] if len(told) > 1 else "unknown"


def drive(url: str, connections: int, seconds: float, how: Sequence[str] = ()) -> Load:
    """Load `url` for so many seconds. `how` are words for the script: see `bench.records.Case`."""
    binary = shutil.which("wrk") or "wrk"
    argv = [binary, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "-s", str(SCRIPT)]
    argv += [url, "--", *how]
    # A wrk that hangs must not hang the run. It sits in the caller's process group: Ctrl-C reaches it by itself.
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 30, check=False, cwd=os.sep)
    if done.returncode:
        raise LoadError(f"wrk ended with {done.returncode}: {done.stderr.strip()}")
    return parse(done.stdout)
