"""Outcomes as a page: one table for each group of faults, a row for each fault, a column for each proxy. Pure."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.answers.play import LIMIT, Outcome
from bench.report import table

READING = f"""\
Two instances, one of which answers as the fault says, the other well; requests go to them in turn, eight at once, each
on a connection of its own. Breakers, ejection and checks are off: each single request counts. Cells say

- *GET n %*: of GETs that got what the good instance says, where that is not all of them;
- *POST n %*: the same of POSTs. That a POST fails which an instance may have seen is right: whoever sends it again may
  buy twice;
- **twice**: POSTs that reached instances more than once;
- **hidden**: a whole answer with a good status that is not what the good instance says: truncated, or nonsense, and
  nobody can see it. (What can be read leniently as a whole answer may be passed on: line feeds for line breaks,
  HTTP/2.0 in the status line, chunks beside a length, a bad trailer, bytes too many in a chunk.)
- **hang**: requests that had not ended after {LIMIT:g} s, though no timeout is longer than 300 ms.
"""

TITLES = {
    "before": "Before the first byte of an answer: another instance can be asked",
    "after": "In the answer: it cannot be mended, and must look broken (about half of all requests get it)",
    "early": "Early answers of both instances, to POSTs whose body does not come",
}


@dataclass(slots=True)
class Results:
    """`outcomes` by group, fault and proxy."""

    started: str
    versions: dict[str, str]
    settings: str
    outcomes: dict[str, dict[str, dict[str, Outcome]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def as_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"


def share(good: int, asked: int) -> str:
    # Never 100 % where it is not all of them.
    return f"{int(100 * good / asked)} %"


def cell(group: str, outcome: Outcome | None) -> str:
    if outcome is None:
        return "–"
    gets, posts = outcome.gets, outcome.posts
    words = []
    if group == "before":
        if gets.good < gets.asked:
            words.append(f"GET {share(gets.good, gets.asked)}")
        if posts.good < posts.asked:
            words.append(f"POST {share(posts.good, posts.asked)}")
    elif group == "early":
        words.append(f"{posts.good} of {posts.asked} told")
    elif gets.visible + posts.visible:
        words.append("visible")
    elif gets.good == gets.asked and posts.good == posts.asked:
        words.append("read leniently")
    for word, count in (
        ("twice", outcome.twice),
        ("hidden", gets.hidden + posts.hidden),
        ("hang", gets.hangs + posts.hangs),
    ):
        if count:
            words.append(f"**{count} {word}**")
    return ", ".join(words) or "all well"


def group_table(group: str, found: Mapping[str, Mapping[str, Outcome]], names: list[str]) -> str:
    rows = [[fault, *(cell(group, by_proxy.get(name)) for name in names)] for fault, by_proxy in found.items()]
    return table(["fault", *names], rows)


def summary_table(results: Results) -> str:
    rows = []
    for name in results.versions:
        of = {
            group: [by_proxy[name] for by_proxy in found.values() if name in by_proxy]
            for group, found in results.outcomes.items()
        }
        all_of = [outcome for each in of.values() for outcome in each]
        before = of.get("before", [])
        good = sum(outcome.gets.good for outcome in before)
        asked = sum(outcome.gets.asked for outcome in before)
        rows.append(
            [
                name,
                f"{100 * good / asked:.1f} %" if asked else "–",
                f"{sum(outcome.gets.good == outcome.gets.asked for outcome in before)} of {len(before)}",
                str(sum(outcome.twice for outcome in all_of)),
                str(sum(bool(outcome.gets.hidden + outcome.posts.hidden) for outcome in all_of)),
                str(sum(bool(outcome.gets.hangs + outcome.posts.hangs) for outcome in all_of)),
            ]
        )
    header = ["proxy", "GETs well, before an answer", "faults with every GET well", "POSTs sent twice"]
    return table([*header, "faults hidden", "faults that hang"], rows)


def page(results: Results) -> str:
    names = list(results.versions)
    parts = [
        f"# Bad answers, {results.started}",
        READING,
        results.settings.strip(),
        table(["proxy", "version"], list(results.versions.items())),
    ]
    if results.failures:
        parts.append("**Beware:**\n\n" + "\n".join(f"- {failure}" for failure in results.failures))
    parts += ["## All", summary_table(results)]
    for group, found in results.outcomes.items():
        parts += [f"## {TITLES[group]}", group_table(group, found, names)]
    return "\n\n".join(parts) + "\n"
