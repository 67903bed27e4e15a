"""Tests of wmesh.admin.site: which path shows what."""

from __future__ import annotations

from twisted.logger import globalLogPublisher

from tests.admin.asking import REMOTE, AdminTestCase


class PathTests(AdminTestCase):
    def test_each_path_shows_its_part(self) -> None:
        """What the controls know arrives as JSON, for anybody who may connect."""
        table = {
            "/health": self.controls.health(),
            "/status": self.controls.status(),
            "/service-mesh/stats": self.controls.stats(),
            "/service-mesh/health": {
                "status": "degraded",
                "services": {"pricing": {"name": "pricing", "status": "unhealthy"}},
            },
            "/service-mesh/health/pricing": {"name": "pricing", "status": "unhealthy"},
            "/services": {"services": self.controls.services()},
            "/services/pricing": self.controls.service("pricing"),
        }
        for path, document in table.items():
            for written in (path, path + "/", path + "?verbose=1"):
                answer = self.ask("GET", written, peer=REMOTE)
                self.assertEqual((answer.status, answer.document), (200, document), written)
                self.assertEqual(answer.fields["content-type"], "application/json")
                self.assertEqual(answer.fields["cache-control"], "no-store")

    def test_answers_read_well_with_curl(self) -> None:
        """Indented, in plain letters, ended by a line feed."""
        self.assertEqual(
            self.ask("GET", "/status").body.decode(),
            '{\n  "name": "grocery",\n  "notes": [\n    "café"\n  ]\n}\n',
        )

    def test_the_root_tells_where_to_go(self) -> None:
        """Somebody who opens the admin port finds the paths there are."""
        self.assertIn("GET /service-mesh/stats", self.ask("GET", "/").document["paths"])

    def test_a_wrong_path_tells_the_right_ones(self) -> None:
        """A 404 is JSON, too, and lists what can be asked."""
        for path in (
            "/healthz",
            "/service-mesh",
            "/service-mesh/",
            "/services/pricing/nope",
            "/health/x",
            "//",
            "/%ff%00",
        ):
            answer = self.ask("GET", path)
            self.assertEqual((answer.status, answer.document["error"]), (404, "not_found"), path)
            self.assertIn("GET /health", answer.document["paths"])

    def test_unknown_services(self) -> None:
        """A misspelt service is answered with the names there are."""
        for path in ("/services/prizing", "/service-mesh/health/prizing", "/services/%C3%A9%2Fx"):
            answer = self.ask("GET", path)
            self.assertEqual((answer.status, answer.document["error"]), (404, "not_found"), path)
            self.assertIn("there are: pricing", answer.document["reason"])


class HealthTests(AdminTestCase):
    def test_degraded_is_still_200(self) -> None:
        """A load balancer keeps sending: this gateway serves what can be served."""
        answer = self.ask("GET", "/health")
        self.assertEqual((answer.status, answer.document["status"]), (200, "degraded"))

    def test_draining_is_503(self) -> None:
        """A load balancer takes the gateway out before its listeners close."""
        self.controls.serving = False
        answer = self.ask("GET", "/health")
        self.assertEqual((answer.status, answer.document["status"]), (503, "draining"))
        self.assertEqual(answer.fields["retry-after"], "1")

    def test_head_is_enough(self) -> None:
        """HAProxy and others ask with HEAD: the same status and length, no body."""
        got, head = self.ask("GET", "/health"), self.ask("HEAD", "/health")
        self.assertEqual(
            (head.status, head.fields["content-length"], head.body), (200, got.fields["content-length"], b"")
        )
        self.controls.serving = False
        self.assertEqual(self.ask("HEAD", "/health").status, 503)


class QuietTests(AdminTestCase):
    def test_requests_leave_no_lines_in_the_log(self) -> None:
        """Probes that come every second do not fill the log, and the site does not wake up for nothing."""
        events: list[object] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        self.site.doStart()
        self.addCleanup(self.site.doStop)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.ask("GET", "/health")
        self.ask("GET", "/nope")
        self.assertEqual(events, [])
