"""Strategies of other packages: found, refused with a reason, and held to their promises."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import SPEC, FirstUntried, a_member, members, picked
from tests.plugs import install, install_tutorial
from wmesh.balance import STRATEGIES
from wmesh.errors import ConfigError
from wmesh.plugins import Watched, configure, fault, installed, known, watched

MESH = "[registry]\nurl = memory:\n[service:shop]\ninstances = h:1\nload_balancing_strategy = {}\n"


class Installed(SynchronousTestCase):
    """A folder on the path, as site-packages is, and a configuration beside it."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.patch(sys, "path", [*sys.path, str(self.folder)])
        before = set(sys.modules)
        self.addCleanup(lambda: [sys.modules.pop(name) for name in set(sys.modules) - before if "plugged" in name])

    def problems(self, strategy: str = "plugged", environ: dict[str, str] | None = None) -> list[str]:
        path = self.folder / "mesh.ini"
        path.write_text(MESH.format(strategy))
        try:
            configure(str(path), environ or {})
        except ConfigError as error:
            return [str(problem).removeprefix(f"{self.folder}/") for problem in error.problems]
        return []

    def one_problem(self, code: str, value: str = "plugged:Made") -> str:
        install(self.folder, "acme-balance", f"plugged = {value}", {"plugged": code})
        (problem,) = self.problems()
        begin = f'mesh.ini:5: [service:shop] load_balancing_strategy: "plugged" ({value}, of acme-balance 1.0) '
        self.assertTrue(problem.startswith(begin), problem)
        return problem.removeprefix(begin)


class FindingTests(Installed):
    def test_the_tutorial(self) -> None:
        """The package of the tutorial, as printed, can be named, and does what the tutorial says."""
        install_tutorial(self.folder)
        self.assertEqual(self.problems("near_first"), [])
        _, strategies = configure(str(self.folder / "mesh.ini"), {})
        strategy = strategies["near_first"](SPEC, Random(1))
        fleet = members([1, 1, 1])
        object.__setattr__(fleet[0].record.address, "host", "192.0.2.1")
        strategy.rebuild(fleet)
        self.assertEqual({picked(strategy) for _ in range(20)}, set(fleet[1:]))
        self.assertIs(picked(strategy, fleet[1:]), fleet[0])
        self.assertIsNone(strategy.pick(b"", fleet, 0.0))
        self.assertEqual(len(strategy.scores(b"", 0.0)), 3)
        sys.modules.pop("near_first")

    def test_a_text(self) -> None:
        """Who has the text needs no file; messages call it as they are told to."""
        loaded, strategies = configure("here", {}, MESH.format("random"))
        self.assertEqual(loaded.config.services[0].strategy, "random")
        self.assertEqual(set(strategies), set(STRATEGIES))
        error = self.assertRaises(ConfigError, configure, "here", {}, MESH.format("randomly"))
        self.assertTrue(str(error).startswith("here:5: [service:shop] load_balancing_strategy: "), error)

    def test_only_what_is_named_is_loaded(self) -> None:
        """A package that nobody names runs no code, and does no harm if it is broken."""
        install(self.folder, "acme-balance", "plugged = plugged:Made", {"plugged": "raise SystemExit(3)"})
        self.assertEqual(self.problems("random"), [])
        self.assertEqual(known(), (*STRATEGIES, "plugged"))
        self.assertNotIn("plugged", sys.modules)

    def test_unknown_names_hint_at_installed_ones(self) -> None:
        """A slip in the name of an installed strategy is told like any other."""
        install(self.folder, "acme-balance", "sunniest_side = plugged:Made", {})
        (problem,) = self.problems("suniest_side")
        self.assertIn("did you mean sunniest_side?", problem)

    def test_names_that_clash(self) -> None:
        """Who could mean two things means neither: the packages are named, whoever uses the name."""
        install(self.folder, "acme-balance", "round_robin = plugged:A\nplugged = plugged:B", {})
        install(self.folder, "other-balance", "plugged = plugged:C\nSunny Side = plugged:D", {})
        problems = self.problems("random")
        self.assertEqual(len(problems), 3)
        text = "\n".join(problems)
        for words in (
            'package acme-balance 1.0: entry point wmesh.strategies: "round_robin" is the name of a built-in strategy',
            'package other-balance 1.0: entry point wmesh.strategies: "plugged" is also the name of a strategy of acme',
            '"Sunny Side" is no name for a strategy',
        ):
            self.assertIn(words, text)

    def test_the_same_package_twice_on_the_path(self) -> None:
        """A package that is found in two folders of the path is one package."""
        install(self.folder, "acme-balance", "plugged = plugged:Made", {})
        install(self.folder, "acme-balance", "plugged = plugged:Made", {}, version="2.0")
        self.assertEqual(list(installed()), ["plugged"])


class RefusingTests(Installed):
    def test_a_module_that_cannot_be_imported(self) -> None:
        self.assertEqual(
            self.one_problem("import plugged_missing"),
            "cannot be loaded: ModuleNotFoundError: No module named 'plugged_missing'",
        )

    def test_what_it_says_cannot_disturb_the_terminal(self) -> None:
        self.assertEqual(
            self.one_problem(r"raise ValueError('red \x1b[31m\nand\nlong')"),
            r"cannot be loaded: ValueError: red \x1b[31m and long",
        )

    def test_a_module_that_ends_the_process(self) -> None:
        self.assertEqual(self.one_problem("raise SystemExit(3)"), "cannot be loaded: SystemExit: 3")

    def test_a_name_that_is_not_in_the_module(self) -> None:
        self.assertIn("no attribute 'Made'", self.one_problem("", "plugged:Made"))

    def test_nothing_that_makes_strategies(self) -> None:
        self.assertEqual(
            self.one_problem("Made = 'text'"), "is a str; should be a class or function that takes (spec, random)"
        )

    def test_a_variable_is_blamed_where_it_named_it(self) -> None:
        """Where the name came from the environment, that is what has to change."""
        install(self.folder, "acme-balance", "plugged = plugged:Made", {"plugged": "Made = 1"})
        (self.folder / "mesh.ini").write_text(MESH.replace("load_balancing_strategy = {}\n", ""))
        error = self.assertRaises(
            ConfigError,
            configure,
            str(self.folder / "mesh.ini"),
            {"DEFAULT_LOAD_BALANCING_STRATEGY": "plugged"},
        )
        self.assertIn("environment: DEFAULT_LOAD_BALANCING_STRATEGY: ", str(error))

    def test_what_a_strategy_must_be(self) -> None:
        """Whatever is wrong is said in one line."""

        class Half:
            def __init__(self, spec: Any, random: Any) -> None:
                pass

            def pick(self, key: bytes, tried: Any, now: float) -> Any:
                return a_member()

        class Wrong(Half):
            def rebuild(self, members: Any) -> None:
                pass

            def scores(self, key: bytes, now: float) -> Any:
                return []

        class Failing(Wrong):
            def pick(self, key: bytes) -> Any:  # type: ignore[override]
                return None

        self.assertIn("no strategy: it has no rebuild and no scores", fault(Half, SPEC))
        self.assertIn("of an empty fleet; should be None", fault(Wrong, SPEC))
        self.assertIn("fails with an empty fleet: TypeError", fault(Failing, SPEC))
        self.assertIn("cannot be made: TypeError", fault(lambda: None, SPEC))
        for make in STRATEGIES.values():
            self.assertEqual(fault(make, SPEC), "")


class Broken(FirstUntried):
    """Does what it is told to do wrong."""

    def __init__(self, wrong: Any) -> None:
        super().__init__()
        self.wrong = wrong

    def pick(self, key: bytes, tried: Any, now: float) -> Any:
        if isinstance(self.wrong, Exception):
            raise self.wrong
        return self.wrong(self.members, tried)

    def scores(self, key: bytes, now: float) -> Any:
        raise KeyError("no")


class WatchedTests(SynchronousTestCase):
    def test_wrong_picks_cost_no_request(self) -> None:
        """An exception, a stranger, one that was tried, nothing at all: the request is served, and it is told once."""
        fleet = members([1, 1])
        for wrong in (
            ValueError("boom"),
            lambda members, tried: a_member("stranger"),
            lambda members, tried: tried[0],
            lambda members, tried: None,
            lambda members, tried: ["not", "hashable"],
        ):
            told: list[str] = []
            strategy = Watched(Broken(wrong), FirstUntried(), told.append)
            strategy.rebuild(fleet)
            for _ in range(5):
                self.assertIs(picked(strategy, fleet[:1]), fleet[1])
            self.assertEqual(len(told), 1, told)
            self.assertEqual([member for member, _, _ in strategy.scores(b"", 0.0)], fleet)
            self.assertEqual(len(told), 2, told)

    def test_right_picks_are_left_alone(self) -> None:
        """A strategy that keeps its promises is not meddled with."""
        fleet = members([1, 1])
        told: list[str] = []
        strategy = Watched(FirstUntried(), Broken(ValueError("not to be asked")), told.append)
        strategy.rebuild(fleet)
        self.assertIs(picked(strategy), fleet[0])
        self.assertIs(picked(strategy, fleet[:1]), fleet[1])
        self.assertIsNone(strategy.pick(b"", fleet, 0.0))
        self.assertEqual(strategy.scores(b"", 0.0)[1], (fleet[1], 1.0, "number 1"))
        self.assertEqual(told, [])

    def test_a_rebuild_that_fails(self) -> None:
        """A fleet that it cannot take is told, and served all the same."""
        told: list[str] = []

        class Picky(FirstUntried):
            def rebuild(self, members: Any) -> None:
                raise ValueError(f"{len(members)} are too many")

        makers = watched({"picky": lambda spec, random: Picky(), **STRATEGIES}, told.append)
        self.assertEqual({name: makers[name] for name in STRATEGIES}, dict(STRATEGIES))
        strategy = makers["picky"](SPEC, Random(1))
        fleet = members([1, 1])
        strategy.rebuild(fleet)
        self.assertIn(picked(strategy), fleet)
        self.assertTrue(told[0].startswith("pricing: strategy picky: rebuild went wrong"), told)
        self.assertIn("ValueError: 2 are too many", told[0])
