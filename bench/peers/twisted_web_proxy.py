"""A reverse proxy of `twisted.web.proxy.ReverseProxyResource`: `twisted_web_proxy.py PORT INSTANCE_PORT…`.

Run as a program by the peer `twisted.web.proxy`. It takes the instances in turn. It keeps no upstream connections,
because twisted.web.proxy cannot.
"""

from __future__ import annotations

import itertools
import sys

from twisted.internet import reactor
from twisted.web.proxy import ReverseProxyResource
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site


class Rotation(Resource):
    """Gives each request to the next instance."""

    def __init__(self, ports: list[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        resources = [ReverseProxyResource("127.0.0.1", port, b"") for port in ports]  # type: ignore[no-untyped-call]
        self._turns = itertools.cycle(resources)

    def getChild(self, path: bytes, request: Request) -> IResource:
        return next(self._turns).getChild(path, request)  # type: ignore[no-any-return, no-untyped-call]


if __name__ == "__main__":
    listen, *instances = map(int, sys.argv[1:])
    site = Site(Rotation(instances), timeout=300)  # type: ignore[no-untyped-call]
    site.noisy = False
    reactor.listenTCP(listen, site, backlog=4096, interface="127.0.0.1")  # type: ignore[arg-type]
    reactor.run()
