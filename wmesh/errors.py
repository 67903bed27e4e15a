"""Every exception of wmesh, on one screen.

Strategy: the tree is cut by whose fault a failure is, because that decides what happens next: a bad configuration stops
the start, a bad request is answered 4xx, a bad instance is retried or answered 5xx. Expected outcomes of decisions (no
instance available, probe failed) are values, not exceptions: see `wmesh.cluster.cluster.Refusal` and
`wmesh.model.CheckResult`. Errors of libraries are turned into these at the edge, with `raise … from`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class MeshError(Exception):
    """Base of all errors that wmesh raises itself."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a configuration: where it stands, what is wrong, and what would be right.

    `line` counts from 1; 0 means that no line is to blame (an environment variable, or the file as a whole).
    """

    source: str
    line: int
    section: str
    option: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}" if self.line else self.source
        place = f"[{self.section}] {self.option}".rstrip() if self.section else self.option
        text = f"{where}: {place}: {self.message}" if place else f"{where}: {self.message}"
        return f"{text}; {self.hint}" if self.hint else text


class ConfigError(MeshError):
    """The configuration cannot be used. Carries all problems found, not just the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class WireError(MeshError):
    """The other side broke the rules of HTTP. `status` is the answer a client deserves (RFC 9110 section 15)."""

    def __init__(self, reason: str, status: int = 400) -> None:
        self.reason = reason
        self.status = status
        super().__init__(reason)


class RegistryError(MeshError):
    """The registry could not do what was asked: not reachable, refused, or answered nonsense."""


class RecordError(RegistryError):
    """An instance record is malformed, oversized or lying. The message names the field and what would be right."""


class CertificateFileError(MeshError):
    """A file of certificates or keys cannot be used. `part` is "ca", "cert" or "key"; `reason` names the file."""

    def __init__(self, part: str, reason: str) -> None:
        self.part = part
        self.reason = reason
        super().__init__(reason)


class LaunchError(MeshError):
    """An instance could not be started, or did not become healthy in time."""


class ControlError(MeshError):
    """An operation makes no sense now. `status` is the HTTP status that says so (404, 409, 422)."""

    def __init__(self, reason: str, status: int = 409) -> None:
        self.status = status
        super().__init__(reason)


class ResponseError(MeshError):
    """An answer to a request of this program did not come, broke off, is too long, or is not what it was read as."""
