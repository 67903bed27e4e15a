"""Configurations that several tests of this folder start from, and what they ask of them."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.trial.unittest import SynchronousTestCase

from wmesh.config import Loaded, parse
from wmesh.config.kinds import Kind
from wmesh.config.wording import Invalid
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


def launched(name: str, port: int, *lines: str) -> str:
    return "\n".join([f"[service:{name}]", f"port = {port}", "command = run", *lines, ""])


def refusal(kind: Kind, text: str) -> str:
    """What is said about a bad value."""
    try:
        value = kind.read(text)
    except Invalid as error:
        return f"{error.message}; {error.hint}"
    raise AssertionError(f"{text!r} was accepted as {value!r}")


class RuleTests(SynchronousTestCase):
    def only(self, text: str) -> Problem:
        found = problems(text)
        self.assertEqual(len(found), 1, found)
        return found[0]
