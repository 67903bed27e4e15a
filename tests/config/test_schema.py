"""The table of options agrees with the records that it fills, and with itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.config.texts import good
from wmesh.balance import STRATEGIES
from wmesh.config.option import Option
from wmesh.config.parse import INNER
from wmesh.config.schema import SECTIONS, SectionKind, kind_of
from wmesh.config.wording import Invalid
from wmesh.control.registry import registry_for
from wmesh.errors import RegistryError
from wmesh.model import MeshSpec, RegistrySpec


def every_option() -> Iterator[tuple[SectionKind, Option]]:
    for kind in SECTIONS.values():
        for option in kind.options.values():
            yield kind, option


class SchemaTests(SynchronousTestCase):
    def test_every_field_has_an_option(self) -> None:
        """Nothing in the records is out of the operator's reach, and no option fills a field that is not there."""
        for kind in SECTIONS.values():
            expected = set()
            for field in dataclasses.fields(kind.defaults):  # type: ignore[arg-type]
                inner = INNER.get(field.name) if kind.name == "service" else None
                expected |= (
                    {f"{field.name}.{f.name}" for f in dataclasses.fields(inner)} if inner is not None else {field.name}
                )
            expected -= {"name"} if kind.name == "service" else set()
            self.assertEqual({option.path for option in kind.options.values()}, expected)

    def test_defaults_can_be_written(self) -> None:
        """What the manual prints as the default is accepted, and means the default."""
        for kind, option in every_option():
            shown = kind.shown_default(option)
            if shown and not option.default:
                self.assertEqual(option.kind.read(shown), kind.default(option), option.name)

    def test_examples_are_accepted(self) -> None:
        """Whoever copies an example from the manual gets no problem."""
        for _, option in every_option():
            name, _, value = option.example.partition("=")
            self.assertEqual(name.strip(), option.name)
            option.kind.read("\n".join(line.strip() for line in value.strip().split("\n")))

    def test_every_option_is_documented(self) -> None:
        """No option without a sentence about it."""
        for _, option in every_option():
            self.assertTrue(option.text.endswith(".") and option.kind.syntax, option.name)

    def test_the_known_strategies_are_those_there_are(self) -> None:
        """A strategy that is added can be named at once."""
        for name in STRATEGIES:
            spec = good(f"[service:x]\ninstances = h:1\nload_balancing_strategy = {name}\n").config.services[0]
            self.assertEqual(spec.strategy, name)

    def test_a_namespace_that_is_accepted_can_be_used(self) -> None:
        """What `wmesh check` finds good, a gateway on Redis starts with; what it would not start with is a problem."""
        option = SECTIONS["registry"].options["namespace"]
        good = ("a", "7", "Shop.eu-west_1", "x" * 64)
        for name in (*good, "", ":", "a:b", "-a", ".a", "_a", "a{b}", "a b", "a\n", "ä", "x" * 65):
            spec = RegistrySpec("redis://127.0.0.1:1", namespace=name)
            if name in good:
                self.assertEqual(option.kind.read(name), name)
                registry_for(spec, MeshSpec(), Clock())
            else:
                self.assertRaises(Invalid, option.kind.read, name)
                self.assertRaises(RegistryError, registry_for, spec, MeshSpec(), Clock())

    def test_kinds_of_sections(self) -> None:
        """Only services and routes have a name behind a colon."""
        self.assertIs(kind_of("service:x"), SECTIONS["service"])
        self.assertIs(kind_of("route:x"), SECTIONS["route"])
        self.assertIsNone(kind_of("route"))
        self.assertIs(kind_of("mesh"), SECTIONS["mesh"])
        for name in ("service", "mesh:x", "other", ""):
            self.assertIsNone(kind_of(name), name)

    def test_what_a_route_may_have(self) -> None:
        """Exactly what says so itself, and nothing says that it may and why it may not."""
        for option in SECTIONS["service"].options.values():
            self.assertEqual(option.name in SECTIONS["route"].inherited, option.on_route, option.name)
            self.assertFalse(option.on_route and option.shared, option.name)
        self.assertTrue({"retry_attempts", "timeout_request", "fallback"} <= set(SECTIONS["route"].known))
