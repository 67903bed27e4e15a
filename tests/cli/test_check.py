"""`wmesh check`, as an operator uses it."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from wmesh.cli import main

ROOT = Path(__file__).parents[2]
STATIC = "[gateway]\nlisten = tcp:9000\n[registry]\nurl = memory:\n[service:x]\ninstances = h:1\nroutes = /\n"


class CheckTests(SynchronousTestCase):
    def setUp(self) -> None:
        # The variables that override the file are those of whoever runs the tests: none of them may count here.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.patch(os, "environ", {"PATH": os.environ.get("PATH", "")})

    def wmesh(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(arguments)
        return status, out.getvalue(), err.getvalue()

    def file(self, text: str) -> str:
        path = Path(self.folder) / "mesh.ini"
        path.write_text(text)
        return str(path)

    def test_a_good_file(self) -> None:
        """A good file is summed up: services, routes, listeners, notes."""
        status, out, err = self.wmesh("check", str(ROOT / "etc" / "mesh.ini"))
        self.assertEqual((status, err), (0, ""))
        for words in ("good", "tcp:8000", "embedded:", "walmart-pricing", "/walmart-pricing/", "1 to 3", "note: "):
            self.assertIn(words, out)

    def test_names(self) -> None:
        """What is looked up is counted apart from what is fixed."""
        text = STATIC.replace("h:1", "h:1, dns:web.test:80, srv:web.test")
        status, out, _ = self.wmesh("check", self.file(text))
        self.assertEqual(status, 0)
        self.assertIn("1 fixed, 2 by DNS", out)

    def test_all_problems_one_a_line(self) -> None:
        """Each problem is one line that an editor can jump to; nothing goes to standard output."""
        path = self.file("[mesh]\nlog_level = loud\n[service:x]\nstrategey = y\nport = \x1b\n")
        status, out, err = self.wmesh("check", path)
        self.assertEqual((status, out), (1, ""))
        lines = err.splitlines()
        self.assertEqual([line.removeprefix(path).split(":")[1] for line in lines], ["2", "3", "4", "5"])

    def test_the_environment_counts(self) -> None:
        """What a start would take from the environment is checked and told, without a password."""
        os.environ.update(LOG_LEVEL="debug", REDIS_HOST="redis.internal", REDIS_PASSWORD="hunter2")
        status, out, _ = self.wmesh("check", self.file(STATIC))
        self.assertEqual(status, 0)
        self.assertIn("LOG_LEVEL in the environment", out)
        self.assertIn("redis://redis.internal:6379", out)
        self.assertNotIn("hunter2", out)
        os.environ["LOG_LEVEL"] = "loud"
        status, _, err = self.wmesh("check", self.file(STATIC))
        self.assertEqual(status, 1)
        self.assertTrue(err.startswith("environment: LOG_LEVEL: "))

    def test_certificates(self) -> None:
        """Files that the registry's URL names and that are not there stop the start, so the check tells of them."""
        text = STATIC.replace("memory:", "rediss://me:hunter2@h?ca=/nowhere/ca.pem")
        status, out, err = self.wmesh("check", self.file(text))
        self.assertEqual((status, out), (1, ""))
        self.assertIn("[registry] url: ", err)
        self.assertIn("/nowhere/ca.pem: No such file", err)
        self.assertNotIn("hunter2", err)

    def test_certificates_of_the_shared_cache(self) -> None:
        """The same for the URL of the second level."""
        url = "rediss://me:hunter2@h?ca=/nowhere/ca.pem"
        text = STATIC.replace("[gateway]\n", f"[gateway]\ncache_redis_url = {url}\n")
        status, out, err = self.wmesh("check", self.file(text))
        self.assertEqual((status, out), (1, ""))
        self.assertIn("[gateway] cache_redis_url: ", err)
        self.assertNotIn("hunter2", err)

    def test_certificates_of_services(self) -> None:
        """The same for those that instances are spoken to with: one line for each, where it stands."""
        text = STATIC + "protocol = https\ntls_ca = /nowhere/ca.pem\n"
        path = self.file(text)
        status, out, err = self.wmesh("check", path)
        self.assertEqual((status, out), (1, ""))
        where = f"{path}:{text.count(chr(10))}"
        self.assertEqual(err, f"{where}: [service:x] tls_ca: /nowhere/ca.pem: No such file or directory\n")

    def test_fixed_answers(self) -> None:
        """A file of a fixed answer that is not there stops the start, too."""
        text = STATIC + "fallback_status = 503\nfallback_file = /nowhere/sorry.html\n"
        status, out, err = self.wmesh("check", self.file(text))
        self.assertEqual((status, out), (1, ""))
        self.assertIn("/nowhere/sorry.html: [service:x] fallback_file: cannot be read: No such file", err)

    def test_sections_of_routes(self) -> None:
        """They are summed up below their service, and their files are looked for."""
        text = STATIC + "[route:pay]\nservice = x\nmatch = /pay/\nretry_attempts = 0\ntimeout_request = 3s\n"
        status, out, _ = self.wmesh("check", self.file(text))
        self.assertEqual(status, 0)
        self.assertIn("     [route:pay] /pay/: retry_attempts = 0, timeout_request = 3s\n", out)
        _, out, _ = self.wmesh("check", self.file(STATIC + "[route:pay]\nservice = x\nmatch = /pay/\n"))
        self.assertIn("     [route:pay] /pay/: as the service\n", out)
        status, _, err = self.wmesh("check", self.file(text + "fallback_status = 503\nfallback_file = /nowhere/x\n"))
        self.assertEqual(status, 1)
        self.assertIn("/nowhere/x: [route:pay] fallback_file: cannot be read: No such file", err)

    def test_sentinels(self) -> None:
        """The summary shows where the Sentinels are, and none of the passwords."""
        text = STATIC.replace("memory:", "redis+sentinel://me:hunter2@a,b/m?sentinel_password=hunter3")
        status, out, _ = self.wmesh("check", self.file(text))
        self.assertEqual(status, 0)
        self.assertIn("redis+sentinel://me@a:26379,b:26379/m", out)
        self.assertNotIn("hunter", out)

    def test_a_missing_file(self) -> None:
        """A wrong path is a problem like any other."""
        status, _, err = self.wmesh("check", "/nowhere/mesh.ini")
        self.assertEqual((status, err), (1, "/nowhere/mesh.ini: cannot be read: No such file or directory\n"))

    def test_sources_of_instances(self) -> None:
        """The summary says where each service's instances come from, and that the admin side is off."""
        text = "[gateway]\nadmin_listen =\n[registry]\nurl = redis://h\n[service:a]\nport = 1\ncommand = x\n"
        status, out, _ = self.wmesh("check", self.file(text + "[service:b]\nproxy_enabled = no\n"))
        self.assertEqual(status, 0)
        for words in ("1 launched", "from the registry", "no route", "off"):
            self.assertIn(words, out)
