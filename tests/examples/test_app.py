"""The services as processes: each starts, says so, is healthy, and stops when told."""

import os
import sys
from pathlib import Path

import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.trial.unittest import TestCase

GROCERY = Path(__file__).resolve().parents[2] / "examples" / "grocery"
SERVICES = {
    "api_server.py": "walmart-api-server",
    "websocket.py": "walmart-websocket",
    "pricing.py": "walmart-pricing",
    "nlp_queue.py": "walmart-nlp-queue",
    "cache_warmer.py": "walmart-cache-warmer",
    "memory_monitor.py": "walmart-memory-monitor",
}


class Running(ProcessProtocol):
    """A service in a process of its own; `listening` fires with its first line, `ended` with its exit code."""

    def __init__(self, file, *more, **environment):
        self.listening, self.ended = Deferred(), Deferred()
        self.out = self.errors = b""
        arguments = [sys.executable, str(GROCERY / file), "--port", "0", "--gateway", "http://127.0.0.1:9", *more]
        reactor.spawnProcess(self, sys.executable, arguments, env={**os.environ, **environment})

    def outReceived(self, data):
        self.out += data
        if b"\n" in self.out and not self.listening.called:
            self.listening.callback(self.out.decode())

    def errReceived(self, data):
        self.errors += data

    def processEnded(self, reason):
        if not self.listening.called:
            self.listening.errback(RuntimeError(self.errors.decode()))
        self.ended.callback(reason.value.exitCode)


class ServiceTests(TestCase):
    async def check(self, file):
        service = Running(file, WMESH_INSTANCE_ID="one", WMESH_INCARNATION="life")
        line = await service.listening
        self.assertIn(f"{SERVICES[file]} listens on 127.0.0.1:", line)
        address = line.split()[3]
        answer = await treq.get(f"http://{address}/health", persistent=False)
        self.assertEqual(answer.headers.getRawHeaders("Wmesh-Instance"), ["one/life"])
        health = await answer.json()
        self.assertEqual((health["status"], health["service"], health["instance"]), ("healthy", SERVICES[file], "one"))
        began = reactor.seconds()
        service.transport.signalProcess("TERM")
        self.assertEqual(await service.ended, 0)
        self.assertLess(reactor.seconds() - began, 3.0)
        self.assertEqual(service.errors, b"")

    async def test_each(self):
        """Each of the six starts on any port, takes its name from the environment, and ends quietly on SIGTERM."""
        files = list(SERVICES)
        for pair in (files[:2], files[2:4], files[4:]):
            await gatherResults([Deferred.fromCoroutine(self.check(file)) for file in pair])

    test_each.timeout = 60

    async def test_port_taken(self):
        """A port that is taken is one line and exit code 1, not a traceback."""
        port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        service = Running("pricing.py", "--port", str(port.getHost().port))
        error = await self.assertFailure(service.listening, RuntimeError)
        self.assertEqual(await service.ended, 1)
        self.assertRegex(str(error), "^walmart-pricing: .*[aA]ddress already in use.*\n$")
