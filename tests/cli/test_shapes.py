"""Shapes of documents, and that those of the admin side have the shapes that commands expect."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.admin_side import documents
from wmesh.cli.shapes import NUMBER, REGISTRATIONS, SERVICE, SERVICES, fits


class FitsTests(SynchronousTestCase):
    def test_each_kind_of_shape(self) -> None:
        """What fits, and what does not."""
        table: list[tuple[Any, list[Any], list[Any]]] = [
            (str, ["", "a"], [None, 1, [], {}]),
            (int, [0, -1], [True, 1.0, "1", None]),
            (bool, [True, False], [0, "true", None]),
            (NUMBER, [1, 1.5], [True, "1", None]),
            ([str], [[], ["a", "b"]], [["a", 1], "ab", {"a": "b"}, None]),
            ({str: int}, [{}, {"a": 1}], [{"a": "1"}, {"a": 1, "b": None}, [], "a", None]),
            ({"a": int}, [{"a": 1}, {"a": 1, "c": 7}], [{}, {"a": None}, {"a": "1"}, ["a"], "a", 1, None]),
            ({"b?": str}, [{}, {"b": None}, {"b": "x"}], [{"b": 2}, {"b": False}, [], None]),
            ({str: [{"a": int}]}, [{"x": [{"a": 1}], "y": []}], [{"x": {"a": 1}}, {"x": [1]}]),
        ]
        for shape, right, wrong in table:
            for value in right:
                self.assertTrue(fits(value, shape), (value, shape))
            for value in wrong:
                self.assertFalse(fits(value, shape), (value, shape))

    def test_the_admin_side(self) -> None:
        """What it says has these shapes, each its own."""
        shown = documents()
        shapes = {"/services": SERVICES, "/services/pricing": SERVICE, "/service-mesh/registry": REGISTRATIONS}
        for path, document in shown.items():
            for other, shape in shapes.items():
                self.assertEqual(fits(document, shape), path == other, (path, other))
