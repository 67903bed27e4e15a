"""Asking through the mesh, over real sockets: every ending is an Answer or a MeshError with a reason."""

from mesh_client import MAX_ANSWER, Mesh, MeshError
from rest import Api, Problem, Reply, site
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase


class MeshTests(TestCase):
    def setUp(self):
        self.api = Api("gateway")
        self.api.route("GET", "/id", lambda call: Reply({"id": call.request_id, "agent": call.header("user-agent")}))
        self.api.route("GET", "/moved", lambda call: Reply({}, 302, {"Location": "/id"}))
        self.api.route("GET", "/list", lambda call: Reply([1]))
        self.api.route("GET", "/big", lambda call: Reply({"x": "y" * MAX_ANSWER}))
        self.api.route("GET", "/slow", lambda call: Deferred())
        self.api.route("GET", "/cookie", self.cookie)
        self.api.route("GET", "/no", self.refuse)
        self.port = reactor.listenTCP(0, site(self.api), interface="127.0.0.1")
        self.mesh = self.client()

    def client(self, timeout=2.0):
        mesh = Mesh(f"http://127.0.0.1:{self.port.getHost().port}", "shop", reactor, timeout=timeout)
        self.addCleanup(lambda: mesh._agent._pool.closeCachedConnections())
        return mesh

    def tearDown(self):
        return self.port.stopListening()

    def cookie(self, call):
        return Reply({"had": call.header("cookie")}, headers={"Set-Cookie": "instance=1"})

    def refuse(self, call):
        raise Problem(503, "unavailable", "no instance can take it")

    async def reason(self, path, mesh=None):
        error = await self.assertFailure((mesh or self.mesh).get(path), MeshError)
        return error.status, error.reason

    async def test_answer(self):
        """The document comes back, and the request's name and the caller's went along."""
        answer = await self.mesh.get("/id", "r-1")
        self.assertEqual(answer.document, {"id": "r-1", "agent": "shop"})
        self.assertEqual(answer.headers.getRawHeaders("X-Served-By"), ["gateway"])

    async def test_refusals(self):
        """A status other than 200 is an error that carries it, with the reason that came in the body."""
        self.assertEqual(await self.reason("/no"), (503, "/no answered 503: no instance can take it"))
        self.assertEqual((await self.reason("/moved"))[0], 302)
        self.assertEqual((await self.reason("/nowhere"))[0], 404)

    async def test_unusable_answers(self):
        """Something else than an object, or too much of it, is an error."""
        self.assertIn("not a JSON object", (await self.reason("/list"))[1])
        self.assertIn("more than", (await self.reason("/big"))[1])
        await deferLater(reactor, 0.05)  # until the connection that was given up is gone

    async def test_no_cookies(self):
        """A cookie that the mesh sets is not sent back: it would tie all our requests to one instance."""
        await self.mesh.get("/cookie")
        self.assertEqual((await self.mesh.get("/cookie")).document, {"had": None})

    async def test_timeout(self):
        """An answer that does not come in time is given up."""
        self.assertEqual(await self.reason("/slow", self.client(timeout=0.1)), (None, "no answer within 0.1 s"))

    async def test_refused(self):
        """No gateway at all is an error with the system's words."""
        await self.port.stopListening()
        status, reason = await self.reason("/id")
        self.assertEqual(status, None)
        self.assertIn("refused", reason)
