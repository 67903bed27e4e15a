"""The client of the admin side: where it is, and every failure in words."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import tempfile
import threading
from pathlib import Path

from tests.cli.admin_side import CommandCase
from wmesh.cli import main
from wmesh.cli.admin import Admin, AdminError, url_of
from wmesh.cli.shapes import SERVICE, SERVICES


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

    def test_what_is_asked_for(self) -> None:
        """Names are quoted, so that none is a path of its own; a path of the URL stays in front."""
        self.documents["/x/services/a%2Fb%3F"] = {"found": True}
        for url in (f"{self.url}/x", f"{self.url}/x/", f"{self.url}/x".removeprefix("http://")):
            self.assertEqual(Admin(url).get("services", "a/b?", shape={"found": bool}), {"found": True})

    def test_a_refusal(self) -> None:
        """The gateway's own reason and status."""
        with self.assertRaisesRegex(AdminError, "^no such service$") as caught:
            Admin(self.url).get("services", "nope", shape=SERVICE)
        self.assertEqual(caught.exception.status, 404)
        with self.assertRaises(AdminError) as caught:
            Admin("127.0.0.1:1").get("services", shape=SERVICES)
        self.assertEqual(caught.exception.status, 0)

    def test_json_of_another_program(self) -> None:
        """Whatever it says and with whatever status: one line that says what is wrong and where, and 1."""
        anything = b'[1] 7 null "x" {} {"services":[]} {"services":{"a":{}}} {"services":{"a":1}} {"name":1}'.split()
        for path, arguments in (
            ("/services", ("services",)),
            ("/service-mesh/registry", ("services",)),
            ("/services/pricing", ("instances", "pricing")),
            ("/service-mesh/registry", ("instances", "prizing")),
        ):
            good = self.documents[path]
            for body in (*anything, b"[" * 100_000):
                self.documents[path] = body
                for more in ((), ("--json",)):
                    status, out, err = self.wmesh(*arguments, *more)
                    self.assertEqual((status, out, err.count("\n")), (1, "", 1), body)
                    self.assertIn(f"what answers at {self.url} is not the admin side of wmesh: ", err)
            self.documents[path] = good

    def test_refusals_of_another_program(self) -> None:
        """A status without a reason of the kind that the admin side gives."""
        for body in (b"{}", b'{"reason":7}', b"[]"):
            self.missing = body
            for arguments in (("services",), ("instances", "pricing")):
                self.documents.clear()
                status, out, err = self.wmesh(*arguments)
                self.assertEqual((status, out, err.count("\n")), (1, "", 1))
                self.assertIn("is not the admin side of wmesh: it answers 404, without a reason", err)

    def test_no_http_at_all(self) -> None:
        """Something else listens there: said as what it is, without a traceback."""
        with socket.create_server(("127.0.0.1", 0)) as sock:

            def greet() -> None:
                connection, _ = sock.accept()
                with connection:
                    connection.sendall(b"220 mail.example ESMTP\r\n")

            threading.Thread(target=greet, daemon=True).start()
            status, out, err = self.wmesh("services", admin=f"http://127.0.0.1:{sock.getsockname()[1]}")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("no gateway answers at", err)
        self.assertNotIn("Traceback", err)

    def test_a_configuration_without_an_admin_side(self) -> None:
        """Turned off, or the file is wrong: each problem a line."""
        self.patch(os, "environ", {})
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mesh.ini"
            table = {
                "[gateway]\nadmin_listen =\n[registry]\nurl = memory:\n": ["admin_listen is empty"],
                "[gateway]\nlisten = tcp:x\ndrain_timeout = soon\n": ["listen", "drain_timeout"],
            }
            for text, words in table.items():
                path.write_text(text)
                with contextlib.redirect_stderr(io.StringIO()) as err:
                    self.assertEqual(main(["services", "--config", str(path)]), 1)
                lines = err.getvalue().splitlines()
                self.assertEqual(len(lines), len(words), lines)
                for line, word in zip(lines, words, strict=True):
                    self.assertTrue(line.startswith("wmesh: ") and word in line, line)
