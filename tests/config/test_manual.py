"""The checked-in manual is what the schema says."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from wmesh.config.environment import REDIS_VARIABLES, VARIABLES
from wmesh.config.manual import render
from wmesh.config.schema import SECTIONS

MANUAL = Path(__file__).parents[2] / "docs" / "configuration.rst"


class ManualTests(SynchronousTestCase):
    def test_the_checked_in_manual_is_current(self) -> None:
        """If this fails: python -m wmesh.config.manual > docs/configuration.rst"""
        self.assertEqual(MANUAL.read_text(), render())

    def test_everything_is_in_it(self) -> None:
        """Every section, option and variable has its entry."""
        text = render()
        for kind in SECTIONS.values():
            self.assertIn(f"\n{kind.header}\n===", text)
            for option in kind.options.values():
                self.assertIn(f"\n{option.name}\n{'-' * len(option.name)}\n\n:Syntax: ``{option.name} = ", text)
            for name in kind.inherited:
                self.assertIn(f":ref:`{name} <service-{name.replace('_', '-')}>`", " ".join(text.split("\n")))
        for name in [*REDIS_VARIABLES, *(variable.name for variable in VARIABLES)]:
            self.assertIn(f"``{name}``", text)

    def test_it_fits_a_page(self) -> None:
        """No line is longer than the lines of the code."""
        self.assertLessEqual(max(map(len, render().splitlines())), 120)
