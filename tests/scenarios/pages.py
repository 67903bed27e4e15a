"""Pages of the documentation as scenarios read them, to do what they say."""

from __future__ import annotations

import re


def blocks(page: str, language: str) -> list[list[str]]:
    """The code blocks of a page in one language, as lines without their indentation."""
    found = re.findall(rf"^\.\. code-block:: {language}\n\n((?: {{4}}.*\n|\n)+)", page, re.MULTILINE)
    return [[line[4:] for line in text.rstrip("\n").split("\n")] for text in found]
