"""HTTP over a Unix socket."""

from __future__ import annotations

import shutil
import socketserver
import tempfile
import threading
from http.server import BaseHTTPRequestHandler

from twisted.trial.unittest import SynchronousTestCase

from wmesh.cli.admin import Admin, AdminError


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"path": "%b"}' % self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


class UnixTests(SynchronousTestCase):
    def test_a_socket(self) -> None:
        """Asked as any other admin side; the path of the socket is no part of what is asked for."""
        folder = tempfile.mkdtemp(prefix="wmt-")
        self.addCleanup(shutil.rmtree, folder)
        with socketserver.UnixStreamServer(f"{folder}/s", Page) as server:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            self.assertEqual(Admin(f"unix:{folder}/s").get("services", shape={"path": str}), {"path": "/services"})
            server.shutdown()
        with self.assertRaisesRegex(AdminError, f"no gateway answers at unix:{folder}/s: Connection refused"):
            Admin(f"unix:{folder}/s").get("services", shape={})
