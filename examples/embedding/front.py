"""A web site with pages of its own and a mesh behind it: what lies below /pricing/ is answered by instances.

    python examples/embedding/front.py [path of a mesh.ini] [port]

Run it at the top of the tree, and look at http://localhost:8100/ and http://localhost:8100/pricing/api/price/12345. The
page asks the mesh, too, and shows the answer in its own words. Ctrl-C ends the site and all that it started.
"""

# Most of twisted.web is not annotated.
# mypy: allow-untyped-calls

from __future__ import annotations

import html
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from wmesh import api

log = Logger()

SERVICE = "walmart-pricing"
MEGABYTE = 1024 * 1024


class Front(Resource):
    """The page at /: one price, asked through the mesh."""

    isLeaf = True

    def __init__(self, mesh: api.Mesh) -> None:
        super().__init__()
        self._pricing = mesh.proxy(SERVICE)

    def render_GET(self, request: Request) -> int:
        page = Deferred.fromCoroutine(self._page())
        request.notifyFinish().addErrback(lambda _: page.cancel())  # nobody waits for it any more
        page.addCallbacks(lambda text: self._send(request, text), self._failed, errbackArgs=(request,))
        return NOT_DONE_YET

    async def _page(self) -> str:
        response = await self._pricing.request("GET", "/api/price/12345")
        if response.status != 200:
            return f"No price now: {html.escape(await response.text())}"
        price = await response.json()
        return f"{html.escape(price['name'])} costs {price['price']} today, says {response.instance}."

    def _send(self, request: Request, text: str, status: int = 200) -> None:
        request.setResponseCode(status)
        request.setHeader("Content-Type", "text/html; charset=utf-8")
        request.write(f"<!doctype html><p>{text}</p>\n".encode())
        request.finish()

    def _failed(self, failure: Any, request: Any) -> None:
        if request.channel is not None:
            log.failure("the page could not be made", failure)
            self._send(request, "Something went wrong.", 502)


async def serve(reactor: Any, config: str, port: int) -> None:
    mesh = await api.open_mesh(reactor, config)
    print("deployed:", await mesh.deploy_all(), flush=True)
    root = Resource()
    root.putChild(b"", Front(mesh))
    root.putChild(b"pricing", api.ProxyResource(mesh, SERVICE))
    # twisted.web collects what clients send before anybody sees it: so much, and no more.
    site = Site(root, requestFactory=api.bounded(MEGABYTE))
    await TCP4ServerEndpoint(reactor, port, interface="127.0.0.1").listen(site)
    print(f"listening: http://localhost:{port}/", flush=True)
    await Deferred()  # until the reactor stops, and the mesh with it


def main(reactor: Any, config: str = "examples/embedding/mesh.ini", port: str = "8100") -> Deferred[None]:
    return Deferred.fromCoroutine(serve(reactor, config, int(port)))


if __name__ == "__main__":
    react(main, sys.argv[1:])
