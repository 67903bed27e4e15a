"""An admin side of their own for the tests of commands that ask one."""

from __future__ import annotations

import contextlib
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import FirstUntried, a_record, a_spec
from wmesh.cli import main
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
        self.missing = b'{"reason": "no such service"}'
        case = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = shown.get(self.path)
                document = found or case.missing
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
