"""Configurations that several tests of this folder start from."""

from __future__ import annotations

from collections.abc import Mapping

from wmesh.config import Loaded, parse
from wmesh.errors import ConfigError, Problem

STATIC = """\
[gateway]
listen = tcp:8000

[registry]
url = memory:

[service:shop]
instances = 10.0.0.5:3000
routes = /
strip_prefix = no
"""


def good(text: str, environ: Mapping[str, str] | None = None) -> Loaded:
    """Parse a text that must be accepted."""
    return parse(text, "mesh.ini", environ or {})


def problems(text: str, environ: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    """The problems of a text; none where it is good."""
    try:
        parse(text, "mesh.ini", environ or {})
    except ConfigError as error:
        return error.problems
    return ()


def service(*lines: str, name: str = "shop") -> str:
    """One service with a fixed instance, and these lines."""
    return "\n".join([f"[service:{name}]", "instances = 10.0.0.5:3000", *lines, ""])
