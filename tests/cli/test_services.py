"""`wmesh services` and `wmesh instances` against an admin side of their own, as people and programs use them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import FirstUntried, a_record, a_spec
from wmesh.cli import instances, main
from wmesh.cli.admin import AdminError, complain, url_of
from wmesh.cluster.directory import Directory
from wmesh.cluster.report import directory_report
from wmesh.events import InstanceAdded, LoadReported
from wmesh.model import LoadSample


def documents() -> dict[str, Any]:
    """What an admin side answers, by path: one service with one instance, and one that nobody declares."""
    directory = Directory([a_spec()], lambda spec: FirstUntried(), lambda: 0.0)
    directory.apply(InstanceAdded(a_record("p1", "pricing")))
    directory.apply(LoadReported("pricing", "p1", LoadSample(12.5, 70 * 1024 * 1024)))
    services = directory_report(directory, 100.0)
    stranger = {"id": "x-1", "host": "10.0.0.9", "port": 80, "version": "", "health": None, "reasons": None}
    return {
        "/services": {"services": services},
        "/services/pricing": services["pricing"],
        "/service-mesh/registry": {"registry": {}, "services": {"pricing": [], "prizing": [stranger]}},
    }


class CommandCase(SynchronousTestCase):
    def setUp(self) -> None:
        shown = self.documents = documents()

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = shown.get(self.path)
                document = found or {"reason": "no such service"}
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.url = f"http://127.0.0.1:{server.server_port}"

    def wmesh(self, *arguments: str, admin: str = "") -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main([*arguments, "--admin", admin or self.url])
        return status, out.getvalue(), err.getvalue()


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

    def test_called_wrongly(self) -> None:
        """2, as of every command."""
        self.assertEqual(self.wmesh("services", "--loud")[0], 2)
        self.assertEqual(self.wmesh("instances")[0], 2)

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


class InstancesTests(CommandCase):
    def test_table(self) -> None:
        """One line an instance, with its load and the reason why it gets nothing."""
        status, out, _ = self.wmesh("instances", "pricing")
        self.assertEqual(status, 0)
        line = out.splitlines()[-1]
        for words in ("p1", "unknown", "no", "12.5%", "70 MiB"):
            self.assertIn(words, line)

    def test_of_no_declared_service(self) -> None:
        """What stands in the registry is shown; a name that is nowhere is 1, with the gateway's own words."""
        self.assertIn("10.0.0.9:80", self.wmesh("instances", "prizing")[1])
        self.assertEqual(self.wmesh("instances", "nope"), (1, "", "wmesh: no such service\n"))

    def test_watching(self) -> None:
        """Printed when it changes, one line of JSON each; a gateway that goes away meanwhile is said once."""
        steps = iter(["same", "changed", "away", "away", "end"])

        def sleep(seconds: float) -> None:
            step = next(steps)
            if step == "changed":
                self.documents["/services/pricing"]["status"] = "healthy"
            elif step == "away":
                self.documents.clear()
            elif step == "end":
                raise KeyboardInterrupt

        self.patch(instances.time, "sleep", sleep)
        status, out, err = self.wmesh("instances", "pricing", "--watch", "--json")
        self.assertEqual([json.loads(line)["status"] for line in out.splitlines()], ["starting", "healthy"])
        self.assertEqual((status, len(err.splitlines())), (0, 1))

    def test_nothing_steers_the_terminal(self) -> None:
        """Texts may come from anywhere."""
        self.documents["/services/pricing"]["instances"][0]["reasons"] = ["\x1b[2Jgone"]
        self.documents["/services/pricing"]["reason"] = "\x9b2Jgone"
        self.documents["/services/pricing"]["instances"][0]["version"] = "\u202e\x7f"
        for more in ((), ("--json",)):
            out = self.wmesh("instances", "pricing", *more)[1]
            self.assertTrue(all(sign.isprintable() or sign == "\n" for sign in out), out)
        with contextlib.redirect_stderr(io.StringIO()) as err:
            complain(AdminError("\x9b2J"))
        self.assertEqual(err.getvalue(), "wmesh: \\x9b2J\n")
