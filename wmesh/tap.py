"""`twistd wmesh --config FILE`: the options, and the service that twistd runs."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from typing import Any

from twisted.application.service import IService
from twisted.internet.interfaces import IReactorCore
from twisted.logger import ILogObserver, Logger
from twisted.python import usage
from twisted.python.components import Componentized

from wmesh.certificates import check_services
from wmesh.console import console_observer
from wmesh.errors import ConfigError
from wmesh.gateway import Gateway
from wmesh.plugins import configure, watched

log = Logger()

SELDOM = 100
"""So many collections of the middle generation make a full one; Python's own is 10."""


class Options(usage.Options):
    """What `twistd wmesh` takes."""

    optParameters = [["config", "c", "etc/mesh.ini", "The configuration; docs/configuration.rst says what is in it."]]
    longdesc = "Run the wmesh gateway: service discovery, load balancing and proxying from one mesh.ini."


class ConsoleGateway(Gateway):
    """A gateway that brings its own log observer where twistd would write its log to the terminal."""

    observer: Any = None

    def setServiceParent(self, parent: IService) -> None:
        # twistd hands over its application here, before it starts logging: the one moment to say how.
        if self.observer is not None and isinstance(parent, Componentized):
            set_component: Any = parent.setComponent
            set_component(ILogObserver, self.observer)
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]


def makeService(options: Options, reactor: Any = None) -> Gateway:
    """Build the gateway. A bad configuration prints all that is wrong with it and ends the process."""
    if reactor is None:
        from twisted.internet import reactor

    def failed() -> None:
        exit_after_failure()
        core: IReactorCore = reactor
        # twistd starts services before the reactor, and what fails at once fails before there is anything to stop.
        core.callWhenRunning(core.stop)

    try:
        loaded, strategies = configure(options["config"], os.environ)
        config = loaded.config
        check_services(config.services, loaded.origins, options["config"])
        gateway = ConsoleGateway(config, reactor, strategies=watched(strategies, complain), failed=failed)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        raise SystemExit(1) from None
    reactor.callWhenRunning(take_signals, reactor, gateway)
    gateway.ready.addCallback(spare_what_stays)
    parent = getattr(options, "parent", None) or {}
    if parent.get("nodaemon") and not (parent.get("logfile") or parent.get("syslog") or parent.get("logger")):
        gateway.observer = console_observer(sys.stdout, config.mesh.log_level)
    return gateway


def complain(what: str) -> None:
    """What a strategy of another package did wrong."""
    log.error("{what}", what=what)


def take_signals(reactor: Any, gateway: Gateway) -> None:
    """SIGTERM, SIGINT and SIGHUP stop the gateway in order; then it exits with status 0. A second one hurries it.

    Twisted's own, which this replaces, kill the process by the same signal after the orderly stop, so that it looks
    like a crash to whoever started it, and answer a second Ctrl-C with a traceback. What was ignored stays ignored.
    """
    told = False

    def stop() -> None:
        nonlocal told
        if told:
            gateway.hurry()
        else:
            told = True
            reactor.stop()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: reactor.callFromThread(stop))


def spare_what_stays(_: None) -> None:
    """Whatever is there when the gateway is ready stays there, mostly: modules, configuration, the first instances.

    Looking through all of it for garbage, time and again, makes clients wait for tens of milliseconds each time. What
    comes later and stays (a fleet) is looked through seldom: hardly anything here is garbage that only a full
    collection finds. 15,000 connections leave a few hundred such objects.
    """
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], SELDOM)


def exit_after_failure() -> None:
    """Make the process end with status 1 once everything has been shut down in order."""
    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)

    atexit.register(leave)
