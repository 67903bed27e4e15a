"""Holds the house to its plan: who may import whom, and what pure packages may not touch.

Imports are read from the source, also those inside functions, but not those under `if TYPE_CHECKING`, which are only
for annotations and bind nothing when the program runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "wmesh"

# What each part may import of wmesh. A part is a package below wmesh, or a module of wmesh itself.
BASE = {"errors", "model", "events", "interfaces"}
ALLOWED = {
    "__init__": set(),
    "errors": set(),
    "model": {"errors"},
    "events": {"errors", "model"},
    "interfaces": {"errors", "model", "events"},
    "wire": {"errors", "model"},
    "balance": {"model", "interfaces", "errors"},
    "cluster": BASE,
    "policy": {"model", "errors", "wire"},
    "metrics": set(),
    "config": {"model", "errors", "balance", "cluster", "policy"},
    "proxy": {"wire", "cluster", "policy", "metrics", *BASE},
    "control": {"cluster", "policy", "metrics", "__init__", *BASE},
    "admin": {"model", "interfaces", "metrics", "errors"},
    "console": set(),
    "plugins": {"balance", "config", "errors", "interfaces", "model"},
    "testing": {"cluster", "balance", "control", *BASE},
    "api": {"control", "errors", "model"},
    "cli": {"__init__", "api", "config", "console", "control", "errors", "model", "plugins"},
    "gateway": {"admin", "balance", "cluster", "control", "metrics", "policy", "proxy", "wire", *BASE},
    "tap": {"console", "errors", "gateway", "plugins"},
}

PURE = ("__init__", "config", "wire", "cluster", "balance", "policy", "metrics", *sorted(BASE))
IMPURE_MODULES = {"twisted", "socket", "time", "random", "os", "logging", "select", "subprocess", "threading"}
# `random.Random` is a type that is handed in; the module's own functions are what purity forbids. Likewise for the one
# function of config that reads a file.
TYPES_ONLY = {("random", "Random")}

MAX_LINES = 400


def sources() -> Iterator[tuple[Path, str]]:
    """(file, part) of every source file of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path, path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of every import that binds when the program runs; name is "" for `import module`."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.module or "", alias.name


class ArchitectureTests(SynchronousTestCase):
    """The import rules of the house."""

    def test_imports_follow_the_plan(self) -> None:
        """No part imports another that it must not know."""
        wrong = []
        for path, part in sources():
            for module, name in imports(path):
                if module != "wmesh" and not module.startswith("wmesh."):
                    continue
                target = (module.split(".")[1:] or [name or "__init__"])[0]
                if target == "__version__":
                    target = "__init__"
                if target != part and target not in ALLOWED[part]:
                    wrong.append(f"{path.relative_to(ROOT)} imports {module}")
        self.assertEqual(wrong, [])

    def test_every_part_is_in_the_plan(self) -> None:
        """A new part says here what it may import."""
        self.assertEqual({part for _, part in sources()} - set(ALLOWED), set())

    def test_pure_packages_are_pure(self) -> None:
        """Decisions get time and chance handed in; they import nothing that reads a clock or opens a socket."""
        wrong = [
            f"{path.relative_to(ROOT)} imports {module}"
            for path, part in sources()
            if part in PURE
            for module, name in imports(path)
            if module.split(".")[0] in IMPURE_MODULES and (module, name) not in TYPES_ONLY
        ]
        self.assertEqual(wrong, [])

    def test_nobody_imports_the_reactor_at_module_level(self) -> None:
        """The reactor is handed down; only the entry point for twistd asks for it, inside a function."""
        wrong = []
        for path, _ in sources():
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ImportFrom) and node.module == "twisted.internet":
                    wrong += [str(path) for alias in node.names if alias.name == "reactor"]
        self.assertEqual(wrong, [])

    def test_plugin_folders_are_no_packages(self) -> None:
        """An __init__.py in twisted/ or twisted/plugins/ would shadow Twisted itself."""
        self.assertEqual(list((ROOT / "twisted").rglob("__init__.py")), [])

    def test_files_are_short_or_say_why(self) -> None:
        """Files over 400 lines say in their first comment why they are not split."""
        wrong = [
            f"{path.relative_to(ROOT)}: {len(lines)} lines"
            for path, _ in sources()
            if len(lines := path.read_text().splitlines()) > MAX_LINES
            and "onger than most" not in "\n".join(lines[:30])
        ]
        self.assertEqual(wrong, [])

    def test_every_module_says_what_it_is(self) -> None:
        """Each file opens with an essay."""
        wrong = [str(path) for path, _ in sources() if not ast.get_docstring(ast.parse(path.read_text()))]
        self.assertEqual(wrong, [])
