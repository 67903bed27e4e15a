"""Scores as a page: what became of the vectors, by kind and by category, and each that was not handled well. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bench.conformance.verdict import FINE, Kind, Verdict
from bench.report import table

Scores = Mapping[str, Mapping[str, Verdict]]
"""Verdicts by category and vector."""

READING = """\
Each vector is a request or an answer that is unusual or wrong, sent alone on a connection of its own. *Forwarded as
meant* and *refused* are both well. The other columns are of unlike weight:

- *unsafe*: security. What was passed on can be read in two ways (two framings, a line that ends in two ways), or one
  message became two, or a body another, or a broken answer looks whole.
- *let through*: pedantry, mostly. The RFCs ask for a refusal or a change, and what was passed on has one reading. Some
  of it is a lenient reading of chunks: harmless alone, and maybe not behind another proxy that reads otherwise.
- *refused though good*, *no answer*: what was meant well was not served. No answer within two seconds, with the
  connection open; the proxy may only be waiting for more.

In doubt, a proxy is right: a refusal counts with whatever status, or without a word; so does 426 for HTTP/1.0; paths
may be spelled in another way; trailers may be passed on; chunks in HTTP/1.0 may be ignored; an answer that is no HTTP
may be passed on, for nobody can take it for one. **These vectors are wmesh's own.** It was written beside them and is
held to all of them by its tests, so that its row says only that they pass. A suite of somebody else's would find other
things in other proxies.
"""


def kinds(found: Scores) -> Counter[Kind]:
    return Counter(verdict.kind for each in found.values() for verdict in each.values())


def score(found: Scores) -> str:
    """One line: how many were handled well, and how many were unsafe."""
    counts = kinds(found)
    return f"{sum(counts[kind] for kind in FINE)} of {counts.total()}, {counts[Kind.UNSAFE]} unsafe"


def kinds_table(results: Mapping[str, Scores]) -> str:
    order = (*FINE, Kind.LENIENT, Kind.STRICT, Kind.SILENT, Kind.UNSAFE)
    rows = []
    for name, found in results.items():
        counts = kinds(found)
        rows.append([name, *(str(counts[kind]) for kind in order)])
    return table(["proxy", *map(str, order)], rows)


def scores_table(results: Mapping[str, Scores]) -> str:
    """Handled well, by category."""
    categories = list(next(iter(results.values()), {}))
    sizes = {category: len(next(iter(results.values()))[category]) for category in categories}
    header = ["proxy", *(f"{category} ({sizes[category]})" for category in categories), f"all ({sum(sizes.values())})"]
    rows = []
    for name, found in results.items():
        good = [sum(verdict.kind in FINE for verdict in found[category].values()) for category in categories]
        rows.append([name, *map(str, good), str(sum(good))])
    return table(header, rows)


def faults(found: Scores) -> list[str]:
    """A line for each vector that was not acceptable; the unsafe ones are marked."""
    return [
        f"- {'UNSAFE ' if verdict.unsafe else ''}{category} {name}: {verdict.unsafe or verdict.wrong} ({verdict.what})"
        for category, each in found.items()
        for name, verdict in each.items()
        if verdict.wrong
    ]


def by_kind(found: Scores) -> list[str]:
    """What was not handled well, the worst first."""
    lines = []
    for kind in (Kind.UNSAFE, Kind.SILENT, Kind.STRICT, Kind.LENIENT):
        of_kind = {
            category: {name: verdict for name, verdict in each.items() if verdict.kind is kind}
            for category, each in found.items()
        }
        if any(of_kind.values()):
            lines += [f"*{kind}*:", "", *faults(of_kind), ""]
    return lines


def page(results: Mapping[str, Scores], versions: Mapping[str, str], started: str, settings: str) -> str:
    size = kinds(next(iter(results.values()))).total()
    lines = [
        f"# Conformance, {started}",
        "",
        f"What became of {size} vectors (tests/vectors), proxy by proxy.",
        "",
        kinds_table(results),
        "",
        READING,
        "Handled well (forwarded as meant, or refused), by category:",
        "",
        scores_table(results),
        "",
        "Versions: " + ", ".join(f"{name} {versions[name]}" for name in results),
        "",
        settings.rstrip(),
        "",
    ]
    for name, found in results.items():
        lines += [f"## {name}", "", *(by_kind(found) or ["Nothing to complain of.", ""])]
    return "\n".join(lines)
