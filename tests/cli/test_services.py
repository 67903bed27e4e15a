"""`wmesh services` against an admin side of its own, as people and programs use it."""

from __future__ import annotations

import json

from tests.cli.admin_side import CommandCase


class ServicesTests(CommandCase):
    def test_table(self) -> None:
        """One line a service; a name that nobody declares is there, too."""
        status, out, err = self.wmesh("services")
        head, pricing, prizing = out.splitlines()
        self.assertEqual((status, err, head.split()[:3]), (0, "", ["SERVICE", "STATUS", "HEALTHY"]))
        self.assertEqual(pricing.split()[:4], ["pricing", "starting", "0", "1"])
        self.assertEqual(prizing.split()[:2], ["prizing", "undeclared"])

    def test_json(self) -> None:
        """Programs get what the admin side says."""
        status, out, _ = self.wmesh("services", "--json")
        self.assertEqual((status, json.loads(out)["services"]), (0, self.documents["/services"]["services"]))

    def test_called_wrongly(self) -> None:
        """2, as of every command."""
        self.assertEqual(self.wmesh("services", "--loud")[0], 2)
        self.assertEqual(self.wmesh("instances")[0], 2)
