"""walmart-websocket: tells browsers when a price changes, and repeats what they say.

A client that connects to `/` or `/ws` is welcomed with the prices as they are, and gets a message for each that
changes; what it sends comes back as it was. `/echo` does only the latter. One request for all prices, through the
mesh, every two seconds while anybody listens, serves all the clients.

HTTP and WebSocket share the port: twisted.web reads the request, and one that asks for an upgrade is handed to
Autobahn. Two things to know when doing so. The HTTP channel stays registered as the producer of the transport, and
must be removed before another can be. And a client that reads slowly must not make us hoard: while its transport is
full we stop reading from it, so that echoes cannot pile up, and do not send it prices; when it catches up it gets the
prices as they are then. (One that does not catch up cannot answer our pings either, and is dropped.)
"""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.web.resource import Resource
from zope.interface import implementer

import app
from mesh_client import Mesh, MeshError
from rest import Api, BoundedRequest, Call, Problem, Reply

PATHS = ("/", "/ws", "/echo")
MAX_MESSAGE = 64 * 1024
GOING_AWAY = 1001
# Autobahn rounds its timers down to whole seconds: a timeout of one may end at once.
CLOSE_SECONDS = 2


@implementer(IPushProducer)
class Visitor(WebSocketServerProtocol):
    """One connected client. It is also its transport's producer, which is how it learns that the client is slow.

    (Autobahn has types for few of its methods, hence the Any.)
    """

    factory: Any
    transport: Any
    full = False
    listens = False

    def __init__(self) -> None:
        inherited: Any = super()
        inherited.__init__()
        self.left: Deferred[None] = Deferred()

    def onConnect(self, request: Any) -> tuple[None, dict[str, str]]:
        self.transport.unregisterProducer()
        self.transport.registerProducer(self, True)
        self.listens = request.path != "/echo"
        return None, {"X-Served-By": self.factory.feed.api.instance}

    def onOpen(self) -> None:
        self.factory.feed.enter(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._say(payload, isBinary)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.factory.feed.leave(self)
        self.left.callback(None)

    def tell(self, message: bytes) -> None:
        if self.listens and not self.full:
            self._say(message, False)

    def _say(self, message: bytes, binary: bool) -> None:
        send: Any = self.sendMessage
        if self.state == self.STATE_OPEN:  # and not closing already
            send(message, binary)

    def dismiss(self) -> None:
        """Close with 1001, which `sendClose` keeps for endpoints only: RFC 6455 section 7.4.1 means it for us too."""
        send: Any = self.sendCloseFrame
        send(GOING_AWAY, b"this instance stops; connect again")

    def pauseProducing(self) -> None:
        self.full = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self.full = False
        self.transport.resumeProducing()
        self.factory.feed.catch_up(self)

    def stopProducing(self) -> None:
        self.full = True


class Feed:
    """The prices as last seen, and who wants to hear of them."""

    log = Logger()

    def __init__(self, mesh: Mesh, api: Api, clock: IReactorTime, interval: float) -> None:
        self.api = api
        self.visitors: set[Visitor] = set()
        self.prices: dict[str, float] = {}
        self.error: str | None = None
        self._mesh = mesh
        self._interval = interval
        self._asking = LoopingCall(self.ask)
        self._asking.clock = clock

    def enter(self, visitor: Visitor) -> None:
        self.visitors.add(visitor)
        self._greet(visitor, "welcome")
        if visitor.listens and not self._asking.running:
            self._asking.start(self._interval)

    def leave(self, visitor: Visitor) -> None:
        self.visitors.discard(visitor)
        if self._asking.running and not any(each.listens for each in self.visitors):
            self._asking.stop()

    def catch_up(self, visitor: Visitor) -> None:
        if visitor in self.visitors:
            self._greet(visitor, "prices")

    def stop(self) -> Deferred[Any]:
        """Close every connection politely; fires when all are closed."""
        if self._asking.running:
            self._asking.stop()
        leaving = [visitor.left for visitor in self.visitors]
        for visitor in list(self.visitors):
            visitor.dismiss()
        return gatherResults(leaving)

    def ask(self) -> Deferred[None]:
        asked = Deferred.fromCoroutine(self._ask())
        return asked.addErrback(lambda failure: self.log.failure("prices could not be had", failure=failure))

    async def _ask(self) -> None:
        try:
            answer = await self._mesh.get("/walmart-pricing/api/prices")
            prices = {each["sku"]: each["price"] for each in answer.document["prices"]}
        except MeshError as error:
            self._pricing(error.reason)
        except (KeyError, TypeError):
            self._pricing("pricing answered something else than prices")
        else:
            self._pricing(None)
            before, self.prices = self.prices, prices
            if not before:
                self._tell_all({"type": "prices", "served_by": self.api.instance, "prices": prices})
                return
            for sku, price in prices.items():
                if before.get(sku) != price:
                    self._tell_all({"type": "price", "sku": sku, "price": price, "previous": before.get(sku)})

    def _pricing(self, error: str | None) -> None:
        """Say once when prices can no longer be had, and once when they can again."""
        if (error is None) != (self.error is None):
            self._tell_all({"type": "pricing", "available": error is None, "reason": error})
        self.error = error

    def _greet(self, visitor: Visitor, kind: str) -> None:
        message = {"type": kind, "served_by": self.api.instance, "prices": self.prices}
        visitor.tell(json.dumps(message).encode())

    def _tell_all(self, message: dict[str, object]) -> None:
        encoded = json.dumps(message).encode()
        for visitor in list(self.visitors):
            visitor.tell(encoded)


class Front(Resource):
    """Sends a request that asks for a WebSocket to Autobahn and any other to the API."""

    isLeaf = True

    def __init__(self, api: Api, sockets: Any) -> None:
        inherited: Any = super()
        inherited.__init__()
        self._api = api
        self._sockets = sockets

    def render(self, request: BoundedRequest) -> int:
        upgrade = Call(request, {}).header("upgrade") or ""
        if upgrade.lower() == "websocket" and request.path.decode("ascii", "replace") in PATHS:
            taken: int = self._sockets.render(request)
            return taken
        return self._api.render(request)


class PriceFeed(app.Program):
    def __init__(
        self,
        mesh: Mesh,
        reactor: Any,
        interval: float,
        make: Any = WebSocketServerFactory,
        make_resource: Any = WebSocketResource,
    ) -> None:
        super().__init__("walmart-websocket")
        self.feed = Feed(mesh, self.api, reactor, interval)
        factory = make(reactor=reactor)
        factory.protocol = Visitor
        factory.feed = self.feed
        factory.setProtocolOptions(
            maxFramePayloadSize=MAX_MESSAGE,
            maxMessagePayloadSize=MAX_MESSAGE,
            autoPingInterval=20,
            autoPingTimeout=10,
            closeHandshakeTimeout=CLOSE_SECONDS,
            webStatus=False,
        )
        self.root = Front(self.api, make_resource(factory))
        self.api.route("GET", "/ws", self.only_sockets)
        self.api.route("GET", "/echo", self.only_sockets)
        self.api.route("GET", "/api/feed", self.state)
        self.api.route("GET", "/api/health", self.health)

    def stop(self) -> Deferred[None]:
        return self.feed.stop().addCallback(lambda _: None)

    def only_sockets(self, call: Call) -> Reply:
        headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
        raise Problem(426, "upgrade_required", "connect here with a WebSocket", headers)

    def state(self, call: Call) -> Reply:
        listening = sum(visitor.listens for visitor in self.feed.visitors)
        return Reply(
            {
                "connected": len(self.feed.visitors),
                "listening": listening,
                "pricing_error": self.feed.error,
                "prices": self.feed.prices,
            }
        )


def build(options: Namespace, reactor: Any) -> PriceFeed:
    return PriceFeed(Mesh(options.gateway, "walmart-websocket", reactor), reactor, options.interval)


if __name__ == "__main__":
    parser = app.arguments("walmart-websocket", 8080, __doc__)
    parser.add_argument("--interval", type=float, default=2.0, help="seconds between questions (default %(default)s)")
    app.run(parser, build)
