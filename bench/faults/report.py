"""The results of a run: what they hold, as JSON, and as the page that is printed and saved. Pure."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field

from bench.faults.figures import Figures
from bench.faults.play import AFTER
from bench.faults.scenarios import INSTANCES, SCENARIOS
from bench.faults.verdicts import compare
from bench.goals import OURS
from bench.report import number, table

LATE = 50.0
"""Milliseconds by which the crowd may be late before the page says so."""


@dataclass(slots=True)
class Results:
    """`figures` by scenario, then by proxy; `failures` tells of plays that could not be made. `repeated` are scenarios
    whose figures are of a later run, and when that was."""

    started: str
    seconds: float
    settings: str
    versions: dict[str, str]
    figures: dict[str, dict[str, Figures]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    repeated: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Results:
        """The opposite of `as_json`. KeyError, ValueError or TypeError: it is something else."""
        told = json.loads(text)
        told["figures"] = {
            scenario: {name: Figures(**figures) for name, figures in found.items()}
            for scenario, found in told["figures"].items()
        }
        return cls(**told)

    def within(self, earlier: Results) -> Results:
        """`earlier` with what was played now in the place of what was played then.

        Raises ValueError where both cannot stand in one table: other proxies, versions, settings or lengths.
        """
        for name in ("versions", "settings", "seconds"):
            if getattr(self, name) != getattr(earlier, name):
                raise ValueError(f"{name} were {getattr(earlier, name)} then, and are {getattr(self, name)} now")
        kept = [line for line in earlier.failures if not any(f" in {name}:" in line for name in self.figures)]
        return dataclasses.replace(
            earlier,
            figures=earlier.figures | self.figures,
            failures=kept + self.failures,
            repeated=earlier.repeated | dict.fromkeys(self.figures, self.started),
        )


def kinds(figures: Figures) -> str:
    """As in 12 (7 × 503, 5 × cut)."""
    if not figures.failed:
        return "0"
    return f"{figures.failures} ({', '.join(f'{count} × {kind}' for kind, count in figures.failed.items())})"


def share(figures: Figures) -> str:
    return "–" if not figures.fair or figures.share is None else f"{figures.share:.1%}"


def back(figures: Figures) -> str:
    if not figures.fair:
        return "–"
    return f"> {AFTER:.0f}" if figures.back is None else f"{figures.back:.1f}"


def scenario_table(found: dict[str, Figures]) -> str:
    header = ["proxy", "asked", "failed", "slow", "p50 ms", "p99 ms", "share of bad"]
    header += ["troubled s", "aftermath s", "back s", "wmesh is"]
    rows = []
    for name, figures in found.items():
        rows.append(
            [
                f"**{name}**" if name == OURS else name,
                str(figures.asked),
                kinds(figures),
                str(figures.slow),
                number(figures.p50),
                number(figures.p99),
                share(figures),
                f"{figures.troubled:.1f}",
                f"{figures.aftermath:.1f}",
                back(figures),
                _verdict(found, name),
            ]
        )
    return table(header, rows)


def _verdict(found: dict[str, Figures], name: str) -> str:
    if name == OURS or OURS not in found:
        return "–"
    verdict = compare(found[OURS], found[name])
    return f"{verdict.word}: {verdict.why}" if verdict.why else verdict.word


def summary_table(results: Results) -> str:
    others = [name for name in results.versions if name != OURS]
    rows = [
        [scenario, *(_verdict(found, name).partition(":")[0] if name in found else "–" for name in others)]
        for scenario, found in results.figures.items()
    ]
    return table(["scenario", *(f"wmesh to {name}" for name in others)], rows)


def progress(figures: Figures) -> str:
    text = f"    failed {kinds(figures)}, slow {figures.slow}, p99 {number(figures.p99)} ms"
    return f"{text}, share of bad {share(figures)}, back after {back(figures)} s"


def warnings(results: Results) -> list[str]:
    late = [
        f"{name} in {scenario}: the crowd was up to {figures.lag:.0f} ms late: the machine was not quiet"
        for scenario, found in results.figures.items()
        for name, figures in found.items()
        if figures.lag > LATE
    ]
    again: dict[str, list[str]] = {}
    for scenario, started in results.repeated.items():
        again.setdefault(started, []).append(scenario)
    repeated = [f"{', '.join(names)}: played again at {started}, all proxies" for started, names in again.items()]
    return results.failures + late + repeated


def page(results: Results) -> str:
    """The whole run as a Markdown page."""
    parts = [
        f"# Faults, {results.started}",
        f"{INSTANCES} fake instances of which something happens to one (or all): some seconds of usual traffic, the"
        f" fault for {results.seconds:g} s (flapping: twice that), {AFTER:g} s of usual traffic. An open loop of 200"
        " GETs a second where nothing else is said. See bench/README.rst.",
        results.settings,
        table(["proxy", "version"], list(results.versions.items())),
    ]
    notes = warnings(results)
    if notes:
        parts.append("**Beware:**\n\n" + "\n".join(f"- {note}" for note in notes))
    if OURS in results.versions:
        parts += ["## Verdicts", summary_table(results)]
    for scenario, found in results.figures.items():
        parts += [f"## {scenario}: {SCENARIOS[scenario].title}", scenario_table(found)]
    return "\n\n".join(parts) + "\n"
