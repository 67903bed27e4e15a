"""Scores as a page: vectors with an acceptable outcome, by category and proxy, and what was unsafe. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from bench.conformance.verdict import Verdict
from bench.report import table

Scores = Mapping[str, Mapping[str, Verdict]]
"""Verdicts by category and vector."""


def score(found: Scores) -> str:
    """One line: acceptable of all, and how many were unsafe."""
    verdicts = [verdict for each in found.values() for verdict in each.values()]
    good = sum(not verdict.wrong for verdict in verdicts)
    return f"{good} of {len(verdicts)}, {sum(bool(verdict.unsafe) for verdict in verdicts)} unsafe"


def scores_table(results: Mapping[str, Scores]) -> str:
    categories = list(next(iter(results.values()), {}))
    sizes = {category: len(next(iter(results.values()))[category]) for category in categories}
    header = ["proxy", *(f"{category} ({sizes[category]})" for category in categories)]
    header += [f"all ({sum(sizes.values())})", "unsafe"]
    rows = []
    for name, found in results.items():
        good = [sum(not verdict.wrong for verdict in found[category].values()) for category in categories]
        unsafe = sum(bool(verdict.unsafe) for each in found.values() for verdict in each.values())
        rows.append([name, *map(str, good), str(sum(good)), str(unsafe)])
    return table(header, rows)


def faults(found: Scores) -> list[str]:
    """A line for each vector that was not acceptable; the unsafe ones are marked."""
    return [
        f"- {'UNSAFE ' if verdict.unsafe else ''}{category} {name}: {verdict.unsafe or verdict.wrong} ({verdict.what})"
        for category, each in found.items()
        for name, verdict in each.items()
        if verdict.wrong
    ]


def page(results: Mapping[str, Scores], versions: Mapping[str, str], started: str) -> str:
    lines = [
        f"# Conformance, {started}",
        "",
        "Vectors with an acceptable outcome; *unsafe*: what two readers may read",
        "",
    ]
    lines[2] += " in two ways was passed on, or one message became two, or a broken answer looked whole."
    lines += [scores_table(results), "", "Versions: " + ", ".join(f"{name} {versions[name]}" for name in results), ""]
    for name, found in results.items():
        lines += [f"## {name}", "", *(faults(found) or ["Nothing to complain of."]), ""]
    return "\n".join(lines)
