"""Start order: dependencies first, priority inside a level, cycles and unknown names refused with their path."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from wmesh.errors import ConfigError
from wmesh.model import ServiceSpec
from wmesh.policy.ordering import find_cycle, levels


def spec(name: str, *dependencies: str, priority: int = 100) -> ServiceSpec:
    return ServiceSpec(name=name, dependencies=dependencies, deployment_priority=priority)


def names(specs: list[ServiceSpec]) -> list[list[str]]:
    return [[one.name for one in level] for level in levels(specs)]


@st.composite
def acyclic(draw: st.DrawFn) -> list[ServiceSpec]:
    """Services in any order, each depending on some of those that come before it in a hidden order."""
    found: list[ServiceSpec] = []
    for number in range(draw(st.integers(0, 12))):
        earlier = [one.name for one in found]
        dependencies = draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
        found.append(spec(f"s{number}", *dependencies, priority=draw(st.integers(1, 3))))
    return draw(st.permutations(found))


class OrderingTests(SynchronousTestCase):
    def test_the_grocery_mesh(self) -> None:
        """What is independent shares a level, ordered by priority; what depends stands above."""
        specs = [
            spec("pricing", "api", priority=3),
            spec("warmer", "pricing", priority=5),
            spec("monitor", priority=6),
            spec("api", priority=1),
            spec("websocket", "api", priority=2),
        ]
        self.assertEqual(names(specs), [["api", "monitor"], ["websocket", "pricing"], ["warmer"]])

    def test_names_break_ties(self) -> None:
        """Equal priorities: the order is still the same everywhere."""
        self.assertEqual(names([spec("b"), spec("a")]), [["a", "b"]])

    def test_nothing_at_all(self) -> None:
        """No services are no levels."""
        self.assertEqual(levels([]), ())

    def test_a_cycle_is_named(self) -> None:
        """The path of the cycle is in the message: that is what one needs to break it."""
        error = self.assertRaises(ConfigError, levels, [spec("a", "b"), spec("b", "c"), spec("c", "b")])
        self.assertIn("b -> c -> b", str(error))

    def test_a_service_that_waits_for_itself(self) -> None:
        """The shortest cycle."""
        self.assertEqual(find_cycle({"a": ["a"]}), ("a", "a"))

    def test_an_undeclared_dependency(self) -> None:
        """All of them are named at once."""
        error = self.assertRaises(ConfigError, levels, [spec("a", "x"), spec("b", "y")])
        self.assertEqual([problem.message for problem in error.problems], ["x is not declared", "y is not declared"])

    def test_a_long_chain(self) -> None:
        """A chain longer than Python's stack is ordered all the same."""
        specs = [spec("s0"), *(spec(f"s{n}", f"s{n - 1}") for n in range(1, 3000))]
        self.assertEqual(len(levels(reversed(specs))), 3000)

    @given(acyclic())
    def test_every_order_is_right(self, specs: list[ServiceSpec]) -> None:
        """All services once, each behind its dependencies, and no level higher than it must be."""
        found = levels(specs)
        self.assertEqual(sorted(one.name for level in found for one in level), sorted(one.name for one in specs))
        depth = {one.name: number for number, level in enumerate(found) for one in level}
        for one in specs:
            self.assertEqual(depth[one.name], 1 + max((depth[name] for name in one.dependencies), default=-1))
        for level in found:
            keys = [(one.deployment_priority, one.name) for one in level]
            self.assertEqual(keys, sorted(keys))

    @given(st.dictionaries(st.integers(0, 6).map(str), st.lists(st.integers(0, 6).map(str), max_size=3)))
    def test_cycles_are_found(self, graph: dict[str, list[str]]) -> None:
        """What is called a cycle is one; where none is found, an order exists."""
        cycle = find_cycle(graph)
        for before, after in pairwise(cycle):
            self.assertIn(after, graph[before])
        if cycle:
            self.assertEqual(cycle[0], cycle[-1])
        else:
            levels([spec(name, *(other for other in others if other in graph)) for name, others in graph.items()])
