"""Tables for a terminal, and the words in them. Pure: rows of text in, lines out.

Columns are as wide as their widest cell; numbers stand to the right, everything else to the left; the last column may
be as long as it likes. What comes from elsewhere may hold anything: control characters are shown, never sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

GAP = "  "


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> Iterator[str]:
    """The lines of a table; `right` names the columns of numbers."""
    lines = [list(head), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        cells = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(head, line, widths, strict=True)
        ]
        yield GAP.join(cells).rstrip()


def size(bytes_: int | None) -> str:
    """Bytes for people."""
    if bytes_ is None:
        return "-"
    value = float(bytes_)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def span(seconds: float | None) -> str:
    """A duration for people: 12s, 3m, 5h, 2d."""
    if seconds is None:
        return "-"
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s"


def clean(text: str) -> str:
    """`text` for a terminal: whatever is no printable character is written out."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
