"""What every service of the grocery does alike: arguments, listening, `/health`, stopping.

A service file makes a parser with `arguments`, perhaps adds options of its own, and hands it to `run` with a function
that builds its `Program`. The order is chosen for a quick start: bind the port, and only then do whatever takes time,
for the gateway waits for `/health`.

SIGTERM and SIGINT stop a service within a second: the port is closed, requests that run are finished and answered
with `Connection: close`, then the reactor ends.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.logger import FilteringLogObserver, LogLevel, LogLevelFilterPredicate, globalLogBeginner
from twisted.logger import textFileLogObserver as log_to
from twisted.web.resource import IResource

from rest import Api, Call, Reply, site
from vitals import Vitals

STOP_SECONDS = 0.8


class Program:
    """One service: its API, and what it does besides answering. `root` is what the port serves, by default the API.

    `identity` is what the mesh calls this process (empty if it was started by hand): `/health` echoes it, so that
    another program that takes over this port one day is not mistaken for this one.
    """

    def __init__(self, service: str) -> None:
        self.api = Api(service)
        self.identity = ""
        self.root: IResource = self.api
        self._vitals = Vitals()
        self.api.route("GET", "/health", self.health)

    def start(self) -> None:
        """Called once the port is open and the reactor runs."""

    def stop(self) -> Deferred[None]:
        """Called first when the service ends; running requests are waited for afterwards."""
        return succeed(None)

    def health(self, call: Call) -> Reply:
        status = {"status": "healthy", "service": self.api.service, "instance": self.api.instance}
        headers = {"Wmesh-Instance": self.identity} if self.identity else {}
        return Reply({**status, **self._vitals.document()}, headers=headers)


def url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ArgumentTypeError(f"{text!r} is not an http:// or https:// address")
    return text.rstrip("/")


def arguments(service: str, port: int, essay: str | None) -> ArgumentParser:
    """The options that all services have; the parser's `prog` is the name of the service."""
    parser = ArgumentParser(service, description=essay, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=port, help="port to listen on, 0 for any (default %(default)s)")
    parser.add_argument(
        "--gateway", type=url, default="http://127.0.0.1:8000", help="where the mesh is (default %(default)s)"
    )
    return parser


def add_state(parser: ArgumentParser, what: str) -> None:
    """The option of a service that keeps documents; see `store`."""
    parser.add_argument(
        "--state",
        metavar="FILE",
        default=":memory:",
        help=f"keep {what} in this SQLite file, shared by all instances (default: in memory, each its own)",
    )


def run(parser: ArgumentParser, build: Callable[[Namespace, Any], Program]) -> None:
    """Run a service until a signal ends it. `build` gets the parsed options and the reactor."""
    from twisted.internet import reactor as chosen

    reactor: Any = chosen
    options = parser.parse_args()
    warnings = FilteringLogObserver(log_to(sys.stderr), [LogLevelFilterPredicate(LogLevel.warn)])
    globalLogBeginner.beginLoggingTo([warnings], discardBuffer=True, redirectStandardIO=False)
    program = build(options, reactor)
    try:
        port = reactor.listenTCP(options.port, site(program.root), backlog=512, interface=options.host)
    except CannotListenError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    address = f"{options.host}:{port.getHost().port}"
    program.identity = "/".join(filter(None, map(os.environ.get, ("WMESH_INSTANCE_ID", "WMESH_INCARNATION"))))
    program.api.instance = os.environ.get("WMESH_INSTANCE_ID") or f"{parser.prog}@{address}"

    def started() -> None:
        print(f"{parser.prog} listens on {address} as {program.api.instance}, pid {os.getpid()}", flush=True)
        program.start()

    async def stopped() -> None:
        program.api.stopping = True
        await port.stopListening()
        try:
            await program.stop().addCallback(lambda _: program.api.drained()).addTimeout(STOP_SECONDS, reactor)
        except defer.TimeoutError:
            print(f"{parser.prog} stops unfinished, with {program.api.running} requests unanswered", file=sys.stderr)

    reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(stopped()))
    reactor.callWhenRunning(started)
    reactor.run()
