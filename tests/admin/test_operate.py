"""Tests of wmesh.admin.operate: who may change the mesh, and how it has to be asked."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import fail
from twisted.internet.interfaces import IAddress
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from tests.admin.asking import LOCAL, REMOTE, AdminTestCase, Answer
from wmesh.errors import ControlError
from wmesh.interfaces import UNSET

PATH = "/services/pricing/scale"


class OperateTestCase(AdminTestCase):
    def scale(
        self,
        body: object = '{"instances": 2}',
        media_type: str | None = "application/json",
        peer: IAddress = LOCAL,
        **fields: str,
    ) -> Answer:
        """Asks for a scaling; `fields` are named with underscores."""
        text = body if isinstance(body, str) else json.dumps(body)
        sent = {name.replace("_", "-"): value for name, value in fields.items()}
        if media_type is not None:
            sent["Content-Type"] = media_type
        return self.ask("POST", PATH, sent, text.encode(), peer)

    def logged(self) -> list[str]:
        """What the log says from now on."""
        texts: list[str] = []

        def note(event: LogEvent) -> None:
            texts.append(formatEvent(event))

        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)
        return texts


class ScaleTests(OperateTestCase):
    def test_as_in_the_manual(self) -> None:
        """A number of instances, sent as the README shows it with curl, is accepted, and before and after are told."""
        answer = self.scale()
        self.assertEqual((answer.status, answer.document), (202, {"service": "pricing", "before": 1, "target": 2}))
        self.assertEqual(self.controls.scaled, [("pricing", 2)])

    def test_the_log_says_who_did_it(self) -> None:
        """Every change can be found in the log with its author and the name of the request."""
        texts = self.logged()
        self.scale(X_Forwarded_For="127.0.0.1", X_Request_Id="abc-1")
        self.assertEqual(texts, ["pricing is scaled to 2 instances, asked for by 127.0.0.1 (abc-1)"])

    def test_a_wrong_body_is_told_what_is_right(self) -> None:
        """Each mistake has its own answer, which names the field and a good value."""
        table: list[tuple[object, str]] = [
            ("", "not JSON"),
            ("{instances: 2}", "not JSON"),
            ('{"instances": NaN}', "not JSON"),
            ("[" * 5000, "not JSON"),
            ([2], "must be a JSON object"),
            ({}, '"instances" is missing'),
            ({"instance": 2}, "unknown field 'instance'"),
            ({"instances": 2, "force": True}, "unknown field 'force'"),
            ({"instances": "2"}, 'whole number such as 2, not "2"'),
            ({"instances": True}, "whole number such as 2, not true"),
            ({"instances": 2.0}, "whole number such as 2, not 2.0"),
            ({"instances": None}, "whole number such as 2, not null"),
            ({"instances": [2]}, "whole number such as 2, not [2]"),
        ]
        for body, words in table:
            answer = self.scale(body)
            self.assertEqual((answer.status, answer.document["error"]), (400, "bad_request"), body)
            self.assertIn(words, answer.document["reason"])
        for depth in range(800, 1000):
            self.assertEqual(self.scale('{"instances": ' + "[" * depth + "]" * depth + "}").status, 400, depth)
        self.assertEqual(self.controls.scaled, [])

    def test_what_makes_no_sense_to_the_mesh(self) -> None:
        """Bounds, unknown services and wrong moments come back with the status and the words of the control plane."""
        for status, word in ((409, "not_possible"), (422, "out_of_bounds"), (503, "unavailable")):
            self.controls.answer = fail(ControlError("because", status))
            answer = self.scale()
            self.assertEqual((answer.status, answer.document["error"]), (status, word))
            self.assertEqual(answer.document["reason"], "because")
        unknown = self.ask("POST", "/services/x/scale", {"Content-Type": "application/json"}, b'{"instances": 1}')
        self.assertEqual(unknown.status, 404)


class DirectTests(OperateTestCase):
    def direct(self, body: object, path: str = "/services/pricing/instances/p-1/state", **ways: Any) -> Answer:
        text = body if isinstance(body, str) else json.dumps(body)
        return self.ask("POST", path, {"Content-Type": "application/json"}, text.encode(), **ways)

    def test_state_and_weight(self) -> None:
        """Either, or both; null takes the operator's weight back, and leaving it out leaves it alone."""
        for body, state, weight in (
            ({"state": "drain"}, "drain", UNSET),
            ({"weight": 5}, None, 5),
            ({"weight": None}, None, None),
            ({"state": "ready", "weight": 1}, "ready", 1),
        ):
            self.assertEqual(self.direct(body).status, 200, body)
            self.assertEqual(self.controls.directed.pop(), ("pricing", "p-1", state, weight))

    def test_whose_will_it_is(self) -> None:
        """Who asked is told on; and that the registry does not know yet is no plain yes."""
        self.direct({"state": "drain"})
        self.assertEqual(self.controls.by, "127.0.0.1")
        self.controls.written = False
        self.assertEqual(self.direct({"state": "drain"}).status, 202)

    def test_any_id(self) -> None:
        """Addresses are ids, too, and so is what has to be quoted."""
        for segment, meant in (("127.0.0.1:3000", "127.0.0.1:3000"), ("%5B::1%5D:80", "[::1]:80"), ("a%2Fb", "a/b")):
            self.assertEqual(self.direct({"weight": 1}, f"/services/pricing/instances/{segment}/state").status, 200)
            self.assertEqual(self.controls.directed.pop()[1], meant)

    def test_a_wrong_body_is_told_what_is_right(self) -> None:
        """Nothing is done, and the answer names the field and a good value."""
        for body, words in (
            ({}, "nothing is asked for"),
            ({"status": "drain"}, "unknown field 'status'"),
            ({"state": None}, '"state" must be "ready", "drain" or "maint"'),
            ({"state": ["drain"]}, '"state" must be'),
            ({"weight": "5"}, '"weight" must be a whole number'),
            ({"weight": True}, '"weight" must be a whole number'),
            ({"weight": 1.5}, '"weight" must be a whole number'),
            ({"state": "drain", "weight": []}, '"weight" must be a whole number'),
            ("drain", "not JSON"),
        ):
            answer = self.direct(body)
            self.assertEqual((answer.status, words in answer.document["reason"]), (400, True), (body, answer))
        self.assertEqual(self.controls.directed, [])

    def test_only_operators(self) -> None:
        """As every change."""
        self.assertEqual(self.direct({"state": "drain"}, peer=REMOTE).status, 403)
        self.assertEqual(self.ask("POST", "/services/pricing/instances/p-1/state", {}, b"{}").status, 415)
        self.assertEqual(self.direct({"state": "drain"}, "/services/nope/instances/p-1/state").status, 404)
        self.assertEqual(self.ask("GET", "/services/pricing/instances/p-1/state").status, 405)
        self.assertEqual(self.controls.directed, [])

    def test_the_log_says_who_did_it(self) -> None:
        """Who, which instance, what, and in which request."""
        texts = self.logged()
        self.direct({"state": "maint", "weight": 2})
        self.assertEqual(len(texts), 1)
        self.assertTrue(texts[0].startswith("pricing/p-1 is told by 127.0.0.1: state maint, weight 2 ("), texts)


class BrowserTests(OperateTestCase):
    def test_only_json_is_taken(self) -> None:
        """No HTML form, and no simple request of a script on a foreign page, can change the mesh."""
        for media_type in (None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
            self.assertEqual(self.scale(media_type=media_type).status, 415, media_type)
        self.assertEqual(self.controls.scaled, [])
        for media_type in ("application/json; charset=utf-8", "Application/JSON"):
            self.assertEqual(self.scale(media_type=media_type).status, 202, media_type)

    def test_pages_are_refused(self) -> None:
        """Not even a page that calls itself our own may do it: a name can be made to point at this machine."""
        for origin in ("http://evil.example", "http://localhost:8001", "null"):
            self.assertEqual(self.scale(Origin=origin).status, 403, origin)
        self.assertEqual(self.controls.scaled, [])


class WhoTests(OperateTestCase):
    def test_this_machine_may(self) -> None:
        """By IPv4, IPv6, either written as the other, or a Unix socket."""
        for peer in (
            LOCAL,
            IPv4Address("TCP", "127.8.8.8", 1),
            IPv6Address("TCP", "::1", 1),
            IPv6Address("TCP", "::ffff:127.0.0.1", 1),
            UNIXAddress(None),
        ):
            self.assertEqual(self.scale(peer=peer).status, 202, peer)

    def test_others_may_not(self) -> None:
        """Another machine is refused, with a reason, whatever it says about itself."""
        for peer in (REMOTE, IPv6Address("TCP", "2001:db8::1", 1), IPv6Address("TCP", "::ffff:203.0.113.9", 1)):
            for claim in ({}, {"X_Forwarded_For": "127.0.0.1"}):
                answer = self.scale(peer=peer, **claim)
                self.assertEqual((answer.status, answer.document["error"]), (403, "forbidden"), peer)
        self.assertIn("203.0.113.9", self.scale(peer=REMOTE).document["reason"])
        self.assertEqual(self.controls.scaled, [])

    def test_behind_our_own_gateway_the_client_counts(self) -> None:
        """Through the public port only clients on this machine may operate, as the gateway tells who they are."""
        for told in ("127.0.0.1", "::1", "[::1]", "::ffff:127.0.0.1", " 127.0.0.1 "):
            self.assertEqual(self.scale(X_Forwarded_For=told).status, 202, told)
        for told in ("203.0.113.9", "127.0.0.1, 203.0.113.9", "2001:db8::1"):
            self.assertEqual(self.scale(X_Forwarded_For=told).status, 403, told)

    def test_a_proxy_in_front_is_not_the_client(self) -> None:
        """With nginx on this machine in front of the gateway, strangers do not become locals."""
        self.assertEqual(self.scale(X_Forwarded_For="203.0.113.9, 127.0.0.1").status, 403)

    def test_what_cannot_be_read_is_refused(self) -> None:
        """When it is not clear who asks, nobody is believed."""
        for told in ("", "unknown", "localhost", "127.0.0.1:5000", "127.0.0.1,", "1.2.3", "127.0.0.1, unix"):
            self.assertEqual(self.scale(X_Forwarded_For=told).status, 403, told)

    def test_reading_is_for_everybody(self) -> None:
        """Who may connect may look; only changes are for operators."""
        self.assertEqual(self.ask("GET", "/services/pricing", peer=REMOTE).status, 200)


class OtherNetworksTests(OperateTestCase):
    operate_from = (ipaddress.ip_network("203.0.113.0/24"), ipaddress.ip_network("2001:db8::/32"))

    def test_the_networks_can_be_chosen(self) -> None:
        """An operator's network can be let in; this machine then only relays, unless it is listed, too."""
        self.assertEqual(self.scale(peer=REMOTE).status, 202)
        self.assertEqual(self.scale(X_Forwarded_For="203.0.113.9").status, 202)
        self.assertEqual(self.scale(peer=IPv6Address("TCP", "2001:db8::1", 1)).status, 202)
        self.assertEqual(self.scale(peer=IPv4Address("TCP", "198.51.100.1", 1)).status, 403)
        self.assertEqual(self.scale(X_Forwarded_For="127.0.0.1").status, 403)
        self.assertEqual(self.scale().status, 403)


class PurgeTests(AdminTestCase):
    def purge(self, body: object, peer: IAddress = LOCAL) -> Answer:
        sent = {"Content-Type": "application/json"}
        return self.ask("POST", "/services/pricing/purge", sent, json.dumps(body).encode(), peer)

    def test_as_in_the_manual(self) -> None:
        """One of the four ways to say what goes; the answer tells how many went."""
        for body, asked in (
            ({"url": "/list"}, ("/list", "", "")),
            ({"prefix": "/img/"}, ("", "/img/", "")),
            ({"tag": "menu"}, ("", "", "menu")),
            ({"all": True}, ("", "", "")),
        ):
            answer = self.purge(body)
            self.assertEqual((answer.status, answer.document), (200, {"service": "pricing", "purged": 3}))
            self.assertEqual(self.controls.purged[-1], ("pricing", *asked))

    def test_mistakes(self) -> None:
        """A mistake must not throw away everything."""
        for body in ({}, {"url": ""}, {"url": 5}, {"all": False}, {"all": 1}, {"url": "/a", "tag": "b"}, {"path": "/"}):
            answer = self.purge(body)
            self.assertEqual(answer.status, 400, body)
        self.assertEqual(self.purge({"all": True}, REMOTE).status, 403)
        self.assertEqual(self.controls.purged, [])
