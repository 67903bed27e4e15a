"""The queue: bounded, one at a time, drained at the end."""

from nlp_queue import LOST_SECONDS, MAX_TEXT, NlpQueue, Worker, parsed_document
from store import Documents
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.examples.support import get, post


class NlpQueueTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.results = Documents("result")
        self.texts = []
        self.worker = Worker(self.results, self.clock, pace=1.0, limit=2, understand=self.understand)
        self.service = NlpQueue(self.worker, self.clock.seconds)
        self.api = self.service.api

    def understand(self, text):
        self.texts.append(text)
        return {"items": [text], "unparsed": []} if text != "bug" else {}["bug"]

    def put(self, text):
        answer = post(self.api, "/api/parse", {"text": text})
        self.assertEqual(answer.status, 202)
        return answer.json["id"]

    def status(self, key):
        return get(self.api, f"/api/result/{key}").json["status"]

    def test_accepted_then_done(self):
        """A text is accepted at once, with the address of its result, which is pending and then done."""
        answer = post(self.api, "/api/parse", {"text": "milk"})
        key = answer.json["id"]
        self.assertEqual(answer.header("location"), f"result/{key}".lower())
        self.assertEqual(self.status(key), "pending")
        self.assertEqual(get(self.api, f"/api/result/{key}").header("retry-after"), "1")
        self.clock.advance(1.0)
        result = get(self.api, f"/api/result/{key}").json
        self.assertEqual((result["status"], result["items"]), ("done", ["milk"]))

    def test_one_at_a_time_in_order(self):
        """The worker takes the next only after the one before."""
        first, second = self.put("a"), self.put("b")
        self.clock.advance(1.0)
        self.assertEqual((self.status(first), self.status(second)), ("done", "pending"))
        self.clock.advance(1.0)
        self.assertEqual(self.texts, ["a", "b"])
        self.put("c")
        self.clock.advance(1.0)
        self.assertEqual(self.texts, ["a", "b", "c"])

    def test_full(self):
        """A full queue says so at once and when to return, and takes again after one is done."""
        self.put("a")
        self.put("b")
        answer = post(self.api, "/api/parse", {"text": "c"})
        self.assertEqual((answer.status, answer.json["error"], answer.header("retry-after")), (503, "queue_full", "1"))
        self.clock.advance(1.0)
        self.put("c")
        self.assertEqual(get(self.api, "/api/queue").json, {"waiting": 2, "limit": 2, "done": 1, "pace": 1.0})

    def test_a_bug_does_not_stop_the_worker(self):
        """A text that breaks the parser is marked failed, and the next is parsed."""
        bad, good = self.put("bug"), self.put("milk")
        self.clock.pump([1.0, 1.0])
        self.assertEqual((self.status(bad), self.status(good)), ("failed", "done"))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_stop_parses_what_is_left(self):
        """What was accepted is parsed before the service ends, and nothing stays planned."""
        self.put("a")
        self.put("b")
        self.successResultOf(self.service.stop())
        self.assertEqual((self.texts, self.clock.getDelayedCalls()), (["a", "b"], []))

    def test_lost(self):
        """A result that its instance took with it to the grave is failed, not pending for ever."""
        self.results.add("orphan", {"id": "orphan", "status": "pending", "text": "x", "accepted": 0.0})
        self.assertEqual(self.status("orphan"), "pending")
        self.clock.advance(LOST_SECONDS + 3)
        self.assertEqual(self.status("orphan"), "failed")

    def test_validation(self):
        """A text must be there, be a text, and be of bounded length."""
        for document, error in (
            ({}, "wrong_type"),
            ({"text": 1}, "wrong_type"),
            ({"text": " "}, "wrong_type"),
            ({"text": "x" * (MAX_TEXT + 1)}, "too_long"),
        ):
            answer = post(self.api, "/api/parse", document)
            self.assertEqual((answer.status, answer.json["error"]), (422, error))
        self.assertEqual(get(self.api, "/api/result/none").json["error"], "unknown_result")

    def test_skus(self):
        """Items come with the SKU of the product they mean."""
        items = parsed_document("a dozen eggs, caviar")["items"]
        self.assertEqual([(item["name"], item["sku"]) for item in items], [("eggs", "12346"), ("caviar", None)])
