"""The price feed: who hears what, and the port that speaks both HTTP and WebSocket."""

import json

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from mesh_client import MeshError
from rest import site
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from websocket import PriceFeed

from tests.examples.support import TableMesh, get

PRICES = "/walmart-pricing/api/prices"


def prices(**cents):
    return {"prices": [{"sku": sku, "price": price} for sku, price in cents.items()]}


class Ear:
    """Stands for a connected client and remembers what it was told."""

    def __init__(self, listens=True):
        self.listens = listens
        self.heard = []

    def tell(self, message):
        self.heard.append(json.loads(message))


class FeedTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.mesh = TableMesh({PRICES: prices(a=1.0, b=2.0)})
        self.service = PriceFeed(self.mesh, self.clock, 2.0)
        self.feed = self.service.feed
        self.ear = Ear()
        self.feed.enter(self.ear)

    def test_first_all_then_changes(self):
        """After the welcome come all the prices, then only what changes, with what it was before."""
        self.mesh.table[PRICES] = prices(a=1.0, b=2.5)
        self.clock.pump([2.0, 2.0])
        self.assertEqual([each["type"] for each in self.ear.heard], ["welcome", "prices", "price"])
        self.assertEqual(self.ear.heard[2], {"type": "price", "sku": "b", "price": 2.5, "previous": 2.0})

    def test_late_comer(self):
        """Who comes later is welcomed with the prices as they are."""
        late = Ear()
        self.feed.enter(late)
        self.assertEqual(late.heard[0]["prices"], {"a": 1.0, "b": 2.0})

    def test_pricing_gone(self):
        """That pricing is gone is told once, and that it is back once."""
        self.mesh.table[PRICES] = MeshError("gone")
        self.clock.pump([2.0, 2.0])
        self.mesh.table[PRICES] = prices(a=1.0, b=2.0)
        self.clock.pump([2.0, 2.0])
        told = [each["available"] for each in self.ear.heard if each["type"] == "pricing"]
        self.assertEqual(told, [False, True])

    def test_odd_answers(self):
        """An answer that is not prices is an error to tell, not one that ends the feed."""
        for odd in ({}, {"prices": [1]}, {"prices": [{"sku": []}]}):
            self.mesh.table[PRICES] = odd
            self.clock.advance(2.0)
            self.assertIsNotNone(self.feed.error)
        self.assertEqual(self.ear.heard[-1]["available"], False)

    def test_asks_only_while_somebody_listens(self):
        """Without listeners pricing is left in peace; a new one starts the questions again."""
        echo = Ear(listens=False)
        self.feed.enter(echo)
        self.feed.leave(self.ear)
        asked = len(self.mesh.asked)
        self.clock.pump([2.0, 2.0])
        self.assertEqual(len(self.mesh.asked), asked)
        self.feed.enter(self.ear)
        self.assertEqual(len(self.mesh.asked), asked + 1)


class Listener(WebSocketClientProtocol):
    """Puts what it hears into queues of its factory."""

    def onConnect(self, response):
        self.factory.headers = response.headers

    def onOpen(self):
        self.factory.opened.callback(self)

    def onMessage(self, payload, isBinary):
        self.factory.heard.put(payload if isBinary else json.loads(payload))

    def onClose(self, wasClean, code, reason):
        self.factory.closed.callback((code, reason))


class PortTests(TestCase):
    def setUp(self):
        self.service = PriceFeed(TableMesh({PRICES: prices(a=1.0)}), reactor, 60.0)
        self.service.api.instance = "feed-1"
        self.port = reactor.listenTCP(0, site(self.service.root), interface="127.0.0.1")

    async def tearDown(self):
        await self.service.stop()
        await self.port.stopListening()

    def connect(self, path):
        factory = WebSocketClientFactory(f"ws://127.0.0.1:{self.port.getHost().port}{path}")
        factory.protocol = Listener
        factory.opened, factory.closed, factory.heard = Deferred(), Deferred(), DeferredQueue()
        reactor.connectTCP("127.0.0.1", self.port.getHost().port, factory)
        return factory

    async def test_feed(self):
        """A client is welcomed, gets prices, and hears what it says, text and bytes, as it was."""
        client = self.connect("/ws")
        peer = await client.opened
        self.assertEqual(client.headers["x-served-by"], "feed-1")
        self.assertEqual((await client.heard.get())["type"], "welcome")
        self.assertEqual((await client.heard.get())["prices"], {"a": 1.0})
        peer.sendMessage(b'"hallo"')
        peer.sendMessage(b"\x00\xff", True)
        self.assertEqual([await client.heard.get(), await client.heard.get()], ["hallo", b"\x00\xff"])
        peer.sendClose(1000)
        self.assertEqual((await client.closed)[0], 1000)

    async def test_echo_only(self):
        """At /echo nothing comes but the echo."""
        client = self.connect("/echo")
        (await client.opened).sendMessage(b'"only"')
        self.assertEqual(await client.heard.get(), "only")
        self.assertEqual(get(self.service.root, "/api/feed").json["connected"], 1)

    async def test_stop(self):
        """Stopping closes with 1001 and a reason, and waits for the client's answer."""
        client = self.connect("/")
        await client.opened
        await self.service.stop()
        self.assertEqual(await client.closed, (1001, "this instance stops; connect again"))

    async def test_slow_reader(self):
        """A client that does not read is not sent to, not read from, and told the prices when it has caught up."""
        client = self.connect("/ws")
        peer = await client.opened
        await client.heard.get()
        await client.heard.get()
        (visitor,) = self.service.feed.visitors
        visitor.pauseProducing()
        visitor.tell(b'"lost"')
        visitor.resumeProducing()
        self.assertEqual((await client.heard.get())["type"], "prices")
        peer.sendMessage(b'"still"')
        self.assertEqual(await client.heard.get(), "still")

    def test_plain_http(self):
        """The same port answers health, and says what is wrong to who comes without a WebSocket."""
        self.assertEqual(get(self.service.root, "/health").json["status"], "healthy")
        self.assertEqual((get(self.service.root, "/ws").status, get(self.service.root, "/x").status), (426, 404))
        self.assertEqual(get(self.service.root, "/health", Upgrade="websocket", Connection="Upgrade").status, 200)
