"""Packages that bring strategies, as an installer leaves them: a module and a dist-info folder, in a folder of ours."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

from wmesh.plugins import GROUP

TUTORIAL = Path(__file__).parents[1] / "docs" / "strategies.rst"


def install(folder: Path, name: str, entries: str, modules: dict[str, str], version: str = "1.0") -> None:
    """Put a package into a folder that is, or will be, on the path. `entries` are lines of the group of strategies."""
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}\n")


def install_tutorial(folder: Path) -> None:
    """The package of docs/strategies.rst, as it is printed."""
    module, setup = (
        re.sub(r"(?m)^    ", "", block)
        for block in re.findall(r"\.\. code-block:: (?:python|ini)\n\n((?:    .*\n|\n)+)", TUTORIAL.read_text())
    )
    config = ConfigParser()
    config.read_string(setup)
    names = config["options"]["py_modules"].split()
    entries = config["options.entry_points"][GROUP].strip()
    install(folder, config["metadata"]["name"], entries, dict.fromkeys(names, module), config["metadata"]["version"])
