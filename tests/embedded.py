"""What the tests of the mesh inside a program share: small instances of twisted.web, and a mesh that knows them."""

from __future__ import annotations

import json
import shutil
import tempfile
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.protocols.policies import WrappingFactory
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from tests.waiting import until
from wmesh.mesh import Mesh, open_mesh
from wmesh.model import Address

BULK = 30_000_000


class Shop(Resource):
    """An instance. `/break` ends in the middle, `/wait` is answered by `answer`, `/bulk` is BULK zero bytes; every
    other path tells what reached it. `requests` are all but health checks, `gone` those whose client left, `open` knows
    its connections."""

    isLeaf = True

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.gone: list[Request] = []
        site: Any = Site(self)
        site.log = lambda request: None
        self.open: Any = WrappingFactory(site)
        self.open.noisy = False
        self.port: Any = reactor.listenTCP(0, self.open, interface="127.0.0.1")
        self.address = Address("127.0.0.1", self.port.getHost().port)

    def render(self, request: Any) -> int:
        if request.path == b"/health":
            request.finish()
            return NOT_DONE_YET
        self.requests.append(request)
        request.notifyFinish().addErrback(lambda _: self.gone.append(request))
        if request.path == b"/break":
            request.setHeader("Content-Length", "100")
            request.write(b"some")
            request.transport.loseConnection()
        elif request.path == b"/bulk":
            request.setHeader("Content-Length", str(BULK))
            request.write(bytes(BULK))
            request.finish()
        elif request.path != b"/wait":
            self.answer(request)
        return NOT_DONE_YET

    def answer(self, request: Any) -> None:
        headers = request.requestHeaders.getAllRawHeaders()
        document = {
            "instance": str(self.address),
            "method": request.method.decode(),
            "target": request.uri.decode(),
            "headers": {name.decode().lower(): b", ".join(values).decode() for name, values in headers},
            "size": len(request.content.read()),
        }
        request.setHeader("Content-Type", "application/json; charset=utf-8")
        request.responseHeaders.setRawHeaders("Set-Cookie", ["a=1", "b=2"])
        request.write(json.dumps(document).encode())
        request.finish()


class MeshCase(TestCase):
    timeout = 30

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.folder = tempfile.mkdtemp(prefix="wmt-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.mesh: Mesh

    def shop(self) -> Shop:
        shop = Shop(self.reactor)
        self.addCleanup(self.close, shop)
        return shop

    async def close(self, shop: Shop) -> None:
        await maybeDeferred(shop.port.stopListening)
        for connection in list(shop.open.protocols):
            connection.transport.abortConnection()
        await until(lambda: not shop.open.protocols, "the end of its connections")

    def text(self, *shops: Shop, service: str = "", more: str = "") -> str:
        instances = ", ".join(str(shop.address) for shop in shops)
        return (
            f"[mesh]\nstate_dir = {self.folder}/state\n{more}\n"
            f"[service:shop]\ninstances = {instances}\nroutes = /shop/\nhealth_endpoint = /health\n{service}\n"
        )

    def open(self, text: str, **more: Any) -> Deferred[Mesh]:
        return open_mesh(self.reactor, text, environ={}, **more)

    async def start(self, *shops: Shop, **more: str) -> Mesh:
        self.mesh = mesh = await self.open(self.text(*shops, **more))
        self.addCleanup(mesh.stop)
        return mesh

    async def at_rest(self) -> None:
        """No request is under way, and no ticket out."""
        clusters = self.mesh.gateway.directory.clusters
        await until(lambda: not any(cluster.in_flight for cluster in clusters.values()), "no request under way")
        self.assertEqual(self.mesh.gateway.plane.connections, set())
