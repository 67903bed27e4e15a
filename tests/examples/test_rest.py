"""The JSON API under all services: routing, errors, bounded bodies, clients that leave."""

from rest import MAX_BODY, Api, Problem, Reply
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.examples.support import Exchange, get, post


class ApiTests(SynchronousTestCase):
    def setUp(self):
        self.api = Api("shop")
        self.api.instance = "shop-1"
        self.api.route("GET", "/things/<name>", lambda call: Reply(call.path))
        self.api.route("POST", "/things", lambda call: Reply(call.json_object("a", "b"), 201))
        self.waiting = Deferred()
        self.api.route("GET", "/slow", lambda call: self.waiting)
        self.api.route("GET", "/id", lambda call: Reply({"id": call.request_id}))

    def test_names_are_unquoted(self):
        """What a `<name>` matches is decoded, also a quoted slash, which does not split the path."""
        self.assertEqual(get(self.api, "/things/a%20b%2Fc").json, {"name": "a b/c"})

    def test_every_reply_says_who_made_it(self):
        """The instance is named on success and on failure, so that balancing can be seen."""
        for path in ("/", "/nowhere"):
            self.assertEqual(get(self.api, path).header("x-served-by"), "shop-1")

    def test_not_found(self):
        """Unknown paths, empty names and longer paths are JSON 404s."""
        for path in ("/nowhere", "/things/", "/things/a/b", "/%00"):
            answer = get(self.api, path)
            self.assertEqual((answer.status, answer.json["error"]), (404, "not_found"), path)

    def test_method_not_allowed(self):
        """A known path with the wrong method is a JSON 405 that tells the right ones."""
        answer = Exchange(self.api, "DELETE", "/things/x")
        self.assertEqual((answer.status, answer.header("allow")), (405, "get, head"))
        self.assertEqual(answer.json["error"], "method_not_allowed")

    def test_index(self):
        """`/` lists the routes, for people with curl."""
        self.assertEqual(get(self.api, "/").json["routes"]["/things"], ["POST"])

    def test_bodies_that_are_wrong(self):
        """Each way in which a body can be wrong has its own status and a reason."""
        wrong = [
            (b"{", 400, "not_json"),
            (b'{"a": NaN}', 400, "not_json"),
            (b"\xff", 400, "not_json"),
            (b"[" * 15000, 400, "not_json"),
            (b"[]", 422, "not_an_object"),
            (b'{"c": 1}', 422, "unknown_field"),
        ]
        for body, status, error in wrong:
            answer = Exchange(self.api, "POST", "/things", body, Content_Type="application/json")
            self.assertEqual((answer.status, answer.json["error"]), (status, error), body[:20])
        answer = Exchange(self.api, "POST", "/things", b"a=1", Content_Type="application/x-www-form-urlencoded")
        self.assertEqual(answer.status, 415)
        self.assertEqual(post(self.api, "/things", {"a": 1}).status, 201)

    def test_oversized(self):
        """A body over the bound is answered with 413 and was never kept, with a length or chunked."""
        big = b"x" * (10 * MAX_BODY)
        declared = Exchange(self.api, "POST", "/things", big)
        chunked = Exchange(
            self.api, "POST", "/things", b"%x\r\n%b\r\n0\r\n\r\n" % (len(big), big), Transfer_Encoding="chunked"
        )
        for answer in (declared, chunked):
            self.assertEqual((answer.status, answer.json["error"]), (413, "too_large"))
        self.assertEqual(get(self.api, "/").status, 200)

    def test_bug(self):
        """An action that raises is a 500 without details for the client, and a line in the log for us."""
        self.api.route("GET", "/bug", lambda call: {}["secret"])
        answer = get(self.api, "/bug")
        self.assertEqual((answer.status, answer.json["error"]), (500, "internal"))
        self.assertNotIn(b"secret", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_client_leaves(self):
        """When the client goes, the action that worked for it is cancelled, and counts no longer as running."""
        cancelled = []
        self.waiting = Deferred(cancelled.append)
        answer = get(self.api, "/slow")
        self.assertEqual((answer.answered, self.api.running), (False, 1))
        answer.channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual((len(cancelled), self.api.running), (1, 0))

    def test_drained(self):
        """Draining waits for the running request; its answer then closes the connection."""
        self.successResultOf(self.api.drained())
        answer = get(self.api, "/slow")
        drained = self.api.drained()
        self.api.stopping = True
        self.assertNoResult(drained)
        self.waiting.callback(Reply({"late": True}))
        self.successResultOf(drained)
        self.assertEqual((answer.json, answer.header("connection")), ({"late": True}, "close"))
        self.assertTrue(answer.transport.disconnecting)

    def test_problem_from_a_deferred(self):
        """A Problem is an answer also when it comes late."""
        answer = get(self.api, "/slow")
        self.waiting.errback(Problem(503, "busy", "come back", {"Retry-After": "3"}))
        self.assertEqual((answer.status, answer.header("retry-after")), (503, "3"))

    def test_request_id(self):
        """A request's name is taken over if it is printable and short, and dropped otherwise."""
        self.assertEqual(get(self.api, "/id", X_Request_Id="abc-1").json, {"id": "abc-1"})
        self.assertEqual(get(self.api, "/id", X_Request_Id="x" * 200).json, {"id": None})
        self.assertEqual(get(self.api, "/id").json, {"id": None})
