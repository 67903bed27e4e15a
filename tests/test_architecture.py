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
    "registry_url": {"errors"},
    "certificates": {"errors", "model"},
    "wire": {"errors", "model"},
    "balance": {"model", "interfaces", "errors"},
    "cluster": BASE,
    "policy": {"model", "errors", "wire"},
    "metrics": set(),
    "config": {"model", "errors", "registry_url", "balance", "cluster", "policy"},
    "proxy": {"certificates", "wire", "cluster", "policy", "metrics", *BASE},
    "control": {"__init__", "certificates", "cluster", "policy", "metrics", "registry_url", *BASE},
    "admin": {"model", "interfaces", "metrics", "errors"},
    "console": set(),
    "plugins": {"balance", "config", "errors", "interfaces", "model"},
    "testing": {"cluster", "balance", "control", *BASE},
    "api": {"control", "errors", "mesh", "model", "registry_url", "resource", "response"},
    "cli": {
        *("__init__", "api", "certificates", "config", "console"),
        *("control", "errors", "model", "plugins", "proxy", "registry_url"),
    },
    "whereabouts": {"model", "proxy"},
    "gateway": {
        *("admin", "balance", "cluster", "config", "control"),
        *("metrics", "policy", "proxy", "whereabouts", "wire"),
        *BASE,
    },
    "response": {"errors", "proxy"},
    "mesh": {"control", "errors", "gateway", "plugins", "proxy", "response", "wire"},
    "resource": {"errors", "mesh", "proxy", "wire"},
    "tap": {"certificates", "console", "errors", "gateway", "plugins"},
}

PURE = ("__init__", "config", "wire", "cluster", "balance", "policy", "metrics", "registry_url", *sorted(BASE))
IMPURE_MODULES = {"twisted", "socket", "time", "random", "os", "logging", "select", "subprocess", "threading"}
# `random.Random` is a type that is handed in; the module's own functions are what purity forbids. Likewise for the one
# function of config that reads a file.
TYPES_ONLY = {("random", "Random")}

MAX_LINES = 400

# Longer modules have a test file of their own: wmesh/a/b.py is tested by tests/a/test_b.py, a package's own module
# wmesh/a/__init__.py by tests/a/test_a.py. These are tested by others, for a reason.
UNTESTED_LINES = 30
TESTED_ELSEWHERE = {
    "config/traffic_options.py": "rows of the schema, whose tests hold every row of it",
    "config/health_options.py": "rows of the schema, whose tests hold every row of it",
    "config/tls_options.py": "rows of the schema, whose tests hold every row of it",
    "config/retry_options.py": "rows of the schema, whose tests hold every row of it",
    "config/cache_options.py": "rows of the schema, whose tests hold every row of it",
    "config/option.py": "what those rows are made of",
    "proxy/side.py": "a protocol, held by mypy",
    "control/probes/connection.py": "the part that all probes share; each of their test files holds it",
}


def sources() -> Iterator[tuple[Path, str]]:
    """(file, part) of every source file of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path, path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def home_of_tests(path: Path) -> Path:
    """Where the tests of a source file belong."""
    name = path.parent.name if path.stem == "__init__" else path.stem
    return ROOT / "tests" / path.relative_to(PACKAGE).parent / f"test_{name}.py"


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

    def test_merges_are_finished(self) -> None:
        """No text holds the marks of a merge that somebody forgot to resolve."""
        folders = ("wmesh", "tests", "bench", "docs", "changes", "etc", "examples", "twisted")
        texts = [path for folder in folders for path in (ROOT / folder).rglob("*")]
        wrong = [
            f"{path.relative_to(ROOT)}:{number}"
            for path in texts
            if path.suffix in {".py", ".rst", ".md", ".ini", ".lua", ".toml", ".cfg"} and path.is_file()
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
            if line.startswith(("<" * 7 + " ", ">" * 7 + " "))
        ]
        self.assertEqual(wrong, [])

    def test_tests_mirror_the_package(self) -> None:
        """Whoever changes a module knows which tests to run, and where to write the next one."""
        missing = {
            str(path.relative_to(PACKAGE)): str(home_of_tests(path).relative_to(ROOT))
            for path, _ in sources()
            if len(path.read_text().splitlines()) > UNTESTED_LINES and not home_of_tests(path).exists()
        }
        self.assertEqual({name: test for name, test in missing.items() if name not in TESTED_ELSEWHERE}, {})
        self.assertEqual(set(TESTED_ELSEWHERE) - set(missing), set(), "no exceptions any more")

    def test_every_module_says_what_it_is(self) -> None:
        """Each file opens with an essay."""
        wrong = [str(path) for path, _ in sources() if not ast.get_docstring(ast.parse(path.read_text()))]
        self.assertEqual(wrong, [])
