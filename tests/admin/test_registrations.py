"""Registering over HTTP: paths, methods, statuses, and who may. What it means: tests/control/test_guests.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.admin.asking import REMOTE, AdminTestCase, Answer
from wmesh.admin.site import make_site
from wmesh.errors import ControlError, RegistryError

PATH = "/service-mesh/registry/pricing/p-1"
PLACE = {"host": "10.0.0.7", "port": 3007}
JSON = {"Content-Type": "application/json"}


class KnownRegistrations:
    """Remembers what it was asked; `new` and `registered` are what it answers, `trouble` what it fails with."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.new = self.registered = True
        self.trouble: Exception | None = None

    def registrations(self) -> Mapping[str, Any]:
        return {"registry": {"kind": "memory"}, "services": {"pricing": []}}

    async def register(self, service: str, id: str, document: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
        self._note("register", service, id, document)
        return {"id": id, "registered": self.registered}, self.new

    async def deregister(self, service: str, id: str) -> Mapping[str, Any]:
        self._note("deregister", service, id)
        return {"id": id, "registered": False}

    def beat(self, service: str, id: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        self._note("beat", service, id, document)
        return {"id": id, "ttl": 15.0}

    def _note(self, *asked: object) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.asked.append(asked)


class RegistrationTests(AdminTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.known = KnownRegistrations()
        self.site = make_site(self.controls, self.known, reactor=self.clock)

    def put(self, body: object = PLACE, **more: Any) -> Answer:
        text = body if isinstance(body, str) else json.dumps(body)
        return self.ask("PUT", more.pop("path", PATH), more.pop("fields", JSON), text.encode(), **more)

    def test_put(self) -> None:
        """201 for what is new, 200 for what was there, 202 where the registry has yet to be told."""
        self.assertEqual((self.put().status, self.known.asked), (201, [("register", "pricing", "p-1", PLACE)]))
        self.known.new = False
        self.assertEqual(self.put().status, 200)
        self.known.registered = False
        self.assertEqual(self.put().status, 202)

    def test_names_are_decoded(self) -> None:
        """An id such as host:port may be percent-encoded, as libraries do."""
        self.put(path="/service-mesh/registry/pricing/10.0.0.7%3A3007")
        self.assertEqual(self.known.asked, [("register", "pricing", "10.0.0.7:3007", PLACE)])

    def test_heartbeat_and_delete(self) -> None:
        """A heartbeat may say nothing at all; a DELETE has no body."""
        self.assertEqual(self.ask("POST", f"{PATH}/heartbeat", JSON).status, 200)
        self.assertEqual(self.ask("POST", f"{PATH}/heartbeat", JSON, b'{"cpu": 1}').status, 200)
        self.assertEqual(self.ask("DELETE", PATH).status, 200)
        beats = [("beat", "pricing", "p-1", {}), ("beat", "pricing", "p-1", {"cpu": 1})]
        self.assertEqual(self.known.asked, [*beats, ("deregister", "pricing", "p-1")])

    def test_looking(self) -> None:
        """Anybody may look, as at everything else."""
        answer = self.ask("GET", "/service-mesh/registry", peer=REMOTE)
        self.assertEqual((answer.status, answer.document), (200, self.known.registrations()))

    def test_who_may(self) -> None:
        """The same gates as for scaling: a network that may operate, no web page, and JSON said to be JSON."""
        for method, path in (("PUT", PATH), ("DELETE", PATH), ("POST", f"{PATH}/heartbeat")):
            body = b"" if method == "DELETE" else b'{"port": 1}'
            self.assertEqual(self.ask(method, path, JSON, body, REMOTE).status, 403)
            self.assertEqual(self.ask(method, path, {**JSON, "Origin": "http://x"}, body).status, 403)
            if body:
                self.assertEqual(self.ask(method, path, {"Content-Type": "text/plain"}, body).status, 415)
        self.assertEqual(self.ask("POST", f"{PATH}/heartbeat").status, 415)
        self.assertEqual(self.known.asked, [])

    def test_wrong_bodies(self) -> None:
        """What is no JSON object, or says something twice, is 400; what the registry refuses keeps its own status."""
        for body in ("", "{", "[]", '{"port": 1, "port": 2}'):
            self.assertEqual(self.put(body).status, 400, body)
        self.known.trouble = ControlError("port: 99999; should be less", 422)
        answer = self.put()
        self.assertEqual((answer.status, answer.document["reason"]), (422, "port: 99999; should be less"))

    def test_the_registry_is_away(self) -> None:
        """What cannot be taken out now is 503, for the client to try again."""
        self.known.trouble = RegistryError("no answer within 3 s")
        self.assertEqual(self.ask("DELETE", PATH).status, 503)

    def test_other_methods_and_paths(self) -> None:
        """405 says what there is, 404 lists the paths; without registrations there is nothing."""
        self.assertEqual(self.ask("POST", PATH).fields["allow"], "DELETE, PUT")
        for path in ("/service-mesh/registry/pricing", f"{PATH}/x"):
            self.assertEqual(self.ask("GET", path).status, 404)
        self.site = make_site(self.controls, reactor=self.clock)
        self.assertEqual(self.ask("GET", "/service-mesh/registry").status, 404)
