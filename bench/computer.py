"""The computer that a run takes place on: what every page says of it, whatever was measured there."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Computer:
    """`memory` is in bytes, `load` the load average when the run began."""

    cpu: str
    cores: int
    memory: int
    kernel: str
    python: str
    load: float

    def told(self) -> str:
        return (
            f"{self.cpu}, {self.cores} cores, {self.memory / 2**30:.1f} GiB, {self.kernel}; load average"
            f" {self.load:.2f} at the start."
        )


def this_computer() -> Computer:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return Computer(
        cpu=models[0].partition(":")[2].strip() if models else platform.machine(),
        cores=os.cpu_count() or 1,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        load=os.getloadavg()[0],
    )
