"""The client of the admin side: where it is, and every failure in words."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from pathlib import Path

from tests.cli.admin_side import CommandCase
from wmesh.cli import main
from wmesh.cli.admin import AdminError, url_of


class AdminTests(CommandCase):
    def test_nobody_there(self) -> None:
        """1, and a message that says where and what to do; a server that is no gateway is told apart."""
        for url, words in (
            ("http://127.0.0.1:1", "no gateway answers at http://127.0.0.1:1: Connection refused"),
            ("unix:/nowhere/admin.sock", "No such file"),
            ("http://[::1", "not a URL"),
            ("ftp://x", "not a URL"),
        ):
            status, out, err = self.wmesh("services", admin=url)
            self.assertEqual((status, out), (1, ""))
            self.assertIn(words, err)
        self.documents["/services"] = b"<html>"
        self.assertIn("not the admin side", self.wmesh("services")[2])

    def test_where_a_configuration_says(self) -> None:
        """--config asks where that gateway listens."""
        table = {
            "tcp:8001:interface=127.0.0.1": "http://127.0.0.1:8001",
            "tcp:8001": "http://127.0.0.1:8001",
            r"tcp6:8001:interface=\:\:": "http://[::1]:8001",
            "ssl:8443:privateKey=/k.pem": "https://127.0.0.1:8443",
            "unix:/run/admin.sock:mode=600": "unix:/run/admin.sock",
        }
        self.assertEqual({endpoint: url_of(endpoint) for endpoint in table}, table)
        self.assertRaises(AdminError, url_of, "systemd:domain=INET:index=0")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mesh.ini"
            port = self.url.rpartition(":")[2]
            path.write_text(f"[gateway]\nadmin_listen = tcp:{port}:interface=127.0.0.1\n[registry]\nurl = memory:\n")
            self.patch(os, "environ", {})
            with contextlib.redirect_stdout(io.StringIO()) as out:
                self.assertEqual(main(["services", "--config", str(path)]), 0)
            self.assertIn("pricing", out.getvalue())
