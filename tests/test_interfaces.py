"""Tests of wmesh.interfaces: that those who claim to implement a plug point have what it promises."""

from __future__ import annotations

from inspect import getdoc, getmembers, isfunction, signature
from typing import Any, Protocol

from twisted.trial.unittest import SynchronousTestCase

from wmesh import interfaces
from wmesh.balance import STRATEGIES
from wmesh.control.controls import MeshControls
from wmesh.control.registry.memory import MemoryRegistry
from wmesh.interfaces import Controls, Registry, Strategy


def promised(protocol: type[Any]) -> dict[str, Any]:
    return {
        name: method for name, method in getmembers(protocol, isfunction) if name in vars(protocol) and name[0] != "_"
    }


class ImplementationTests(SynchronousTestCase):
    def check(self, protocol: type[Any], implementation: Any) -> None:
        for name, method in promised(protocol).items():
            own = getattr(implementation, name, None)
            self.assertIsNotNone(own, f"{implementation} has no {name}")
            self.assertEqual(
                list(signature(own).parameters), list(signature(method).parameters), (implementation, name)
            )

    def test_strategies(self) -> None:
        """Every strategy in the table can be called as the cluster calls it, by position or by name."""
        for make in STRATEGIES.values():
            self.check(Strategy, make)

    def test_registries(self) -> None:
        """The memory registry can stand wherever a registry is asked for."""
        self.check(Registry, MemoryRegistry)

    def test_controls(self) -> None:
        """The admin side finds everything it asks for."""
        self.check(Controls, MeshControls)


class DocumentationTests(SynchronousTestCase):
    def test_every_promise_is_written_down(self) -> None:
        """Who writes another implementation reads here all that it has to do."""
        protocols = [
            thing for thing in vars(interfaces).values() if isinstance(thing, type) and Protocol in thing.__mro__
        ]
        self.assertGreater(len(protocols), 4)
        for protocol in protocols:
            for name, method in promised(protocol).items():
                self.assertTrue(getdoc(method), f"{protocol.__name__}.{name}")
