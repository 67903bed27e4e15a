"""Results as text: lines while the run goes on, and the Markdown page that is printed and saved. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bench.goals import OURS, judge
from bench.records import IDLE, Case, IdleSample, LoadSample, Results, middle

NOISY = 0.05
"""Others' share of the proxy's core from which on a sample is pointed out."""

MIB = 1024 * 1024


def number(value: float | None) -> str:
    """Three digits that count, thousands separated; a dash for None."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(figures: Sequence[float]) -> str:
    """As in 24.1–25.0; one figure alone has no spread."""
    return f"{number(min(figures))}–{number(max(figures))}" if len(figures) > 1 else "–"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, padded so that it reads well as plain text; the first column left, the others right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = []
    for row in (header, *rows):
        first, *rest = row
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        lines.append(f"| {' | '.join(cells)} |")
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines.insert(1, f"| {' | '.join(rule)} |")
    return "\n".join(lines)


def progress_load(sample: LoadSample) -> str:
    text = f"    {number(sample.cpu)} µs CPU/request, {number(sample.rate)} requests/s"
    text += f", p99 {number(sample.p99 / 1000)} ms, core {sample.busy:.0%} busy"
    if sample.others > NOISY:
        text += f", OTHERS TOOK {sample.others:.0%}"
    return text + (f", ERRORS: {sample.errors}" if sample.errors else "")


def progress_idle(sample: IdleSample) -> str:
    text = f"    {number(sample.rss_each)} bytes RSS/connection, {number(sample.pss_each)} PSS"
    return text + (f", ERRORS: {sample.errors}" if sample.errors else "")


def load_table(results: Results, case: Case) -> str:
    header = ["proxy", "CPU µs/request", "min–max", "to nginx", "to Envoy", "requests/s", "p99 ms", "core busy"]
    header += ["RSS MiB", "PSS MiB", "errors"]
    rows = []
    for peer in results.versions:
        samples = results.of(peer, case.name)
        if not samples:
            continue
        rows.append(
            [
                f"**{peer}**" if peer == OURS else peer,
                number(results.cpu(peer, case.name)),
                spread([sample.cpu for sample in samples]),
                number(results.ratio(peer, "nginx", case.name)),
                number(results.ratio(peer, "envoy", case.name)),
                number(middle(samples, lambda sample: sample.rate)),
                number(middle(samples, lambda sample: sample.p99 / 1000)),
                f"{middle(samples, lambda sample: sample.busy) or 0:.0%}",
                number(middle(samples, lambda sample: sample.rss / MIB)),
                number(middle(samples, lambda sample: sample.pss / MIB)),
                "; ".join(sample.errors for sample in samples if sample.errors) or "none",
            ]
        )
    return table(header, rows)


def idle_table(results: Results) -> str:
    header = ["proxy", "RSS bytes/connection", "min–max", "PSS bytes/connection", "connections"]
    header += ["RSS MiB before", "RSS MiB with them", "errors"]
    rows = []
    for peer in results.versions:
        samples = results.idle_of(peer)
        if not samples:
            continue
        rows.append(
            [
                f"**{peer}**" if peer == OURS else peer,
                number(middle(samples, lambda sample: sample.rss_each)),
                spread([sample.rss_each for sample in samples]),
                number(middle(samples, lambda sample: sample.pss_each)),
                number(samples[0].connections),
                number(middle(samples, lambda sample: sample.rss_before / MIB)),
                number(middle(samples, lambda sample: sample.rss_after / MIB)),
                "; ".join(sample.errors for sample in samples if sample.errors) or "none",
            ]
        )
    return table(header, rows)


def goals_table(results: Results) -> str:
    words = {True: "met", False: "MISSED", None: "not measured"}
    rows = [
        [verdict.text, f"{verdict.limit:g}", number(verdict.reached), words[verdict.met]] for verdict in judge(results)
    ]
    return table(["goal", "at most", "reached", ""], rows)


def warnings(results: Results) -> list[str]:
    """What a reader must know before believing the figures."""
    found = [
        f"{failure.peer}, {failure.case}, round {failure.turn}: FAILED: {failure.reason.splitlines()[0]}"
        for failure in results.failures
    ]
    noisy = [sample for sample in results.loads if sample.others > NOISY]
    if noisy:
        worst = max(noisy, key=lambda sample: sample.others)
        found.append(
            f"in {len(noisy)} of {len(results.loads)} samples somebody else took more than {NOISY:.0%} of the proxy's"
            f" core (at worst {worst.others:.0%}: {worst.peer}, {worst.case}): the machine was not quiet"
        )
    wrong = sum(bool(sample.errors) for sample in results.loads) + sum(bool(sample.errors) for sample in results.idles)
    if wrong:
        found.append(f"{wrong} samples saw errors: see the last column")
    return found


def _versions(results: Results) -> str:
    rows = [(peer, version, results.remarks.get(peer, "")) for peer, version in results.versions.items()]
    return table(["proxy", "version", "remark"], rows)


def page(results: Results) -> str:
    """The whole run as a Markdown page."""
    machine = results.machine
    cores = ", ".join(map(str, machine.load_cores))
    parts = [
        f"# Benchmark of {results.started}",
        f"{machine.told()}\n"
        f"Proxy on core {machine.proxy_core}; wrk {machine.wrk} and three instances ({machine.backend}) on core"
        f" {cores}.\n"
        f"Pace of the machine, round by round (nanoseconds for a turn of an empty Python loop):"
        f" {', '.join(map(number, results.paces))}.\n"
        f"{results.rounds} rounds of {results.duration} s each, medians; CPU is the proxy's own, all its threads,"
        " user and system. See bench/README.rst.",
        _versions(results),
    ]
    notes = warnings(results)
    if notes:
        parts.append("**Beware:**\n\n" + "\n".join(f"- {note}" for note in notes))
    if OURS in results.versions:
        parts += ["## Goals", goals_table(results)]
    for case in results.cases():
        parts.append(f"## {case.name}: {case.title}")
        parts.append(idle_table(results) if case is IDLE else load_table(results, case))
    return "\n\n".join(parts) + "\n"
