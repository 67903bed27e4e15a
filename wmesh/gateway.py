"""The map of the house: every part is built here, handed what it needs, started and stopped in order.

    registry ─► wills, preserver ─► Directory ◄─ prober, declared    control plane
        ▲            │  ▲
    heartbeat        │  └── observe                                   one Directory joins the planes
        ▲            ▼
    deployment    clusters ◄── exchanges ◄── listeners                data plane
        ▲                                        │
        └── controls ◄── admin site ◄────────────┘ (an ordinary route to the built-in service wmesh-admin)

Starting: sockets are bound first, so that a taken port is known before anything is launched; clients are let in once
registry and DNS have told what they know and everybody there was checked once; then the services are deployed.
Stopping: listeners close, running exchanges finish or meet the drain timeout, launched instances are stopped in reverse
order, and the registry goes last. `stopService` returns the Deferred of the whole chain.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from wmesh.admin.site import make_site
from wmesh.balance import STRATEGIES, MakeStrategy
from wmesh.cluster.directory import Directory
from wmesh.config.routes import effective
from wmesh.control.controls import MeshControls, Phase
from wmesh.control.departures import Departures
from wmesh.control.deployment import Deployed, Deployment
from wmesh.control.guests import Guests
from wmesh.control.heartbeat import Heartbeat
from wmesh.control.launchers.process import ProcessLauncher
from wmesh.control.lock import Lock
from wmesh.control.news import log_evidence
from wmesh.control.prober import Prober
from wmesh.control.probes import probes
from wmesh.control.registry import registry_for
from wmesh.control.registry.memory_file import MemoryFile
from wmesh.control.registry.preserver import Preserver
from wmesh.control.secret import sticky_secret
from wmesh.control.shared_cache import share_for
from wmesh.control.slot import follow
from wmesh.control.sources import Declared
from wmesh.control.sources.lookup import Resolver
from wmesh.control.sources.question import Questions
from wmesh.control.wills import Wills
from wmesh.control.wills_file import WillsFile
from wmesh.errors import LaunchError, MeshError
from wmesh.events import InstanceAdded
from wmesh.interfaces import Strategy
from wmesh.metrics.traffic import Traffic
from wmesh.model import Address, CheckSpec, InstanceRecord, LoadSample, MeshConfig, ServiceSpec
from wmesh.proxy.cache.caches import Caches
from wmesh.proxy.listener import is_secure, listen
from wmesh.proxy.mounts import Mounts
from wmesh.proxy.plan import Plans, routes_of
from wmesh.proxy.plane import DataPlane
from wmesh.proxy.whys import Whys
from wmesh.whereabouts import cannot_listen, ports_of, reachable, registry_line, tail, urls_of
from wmesh.wire.forwarded import Peers

ADMIN = "wmesh-admin"
FIRST_ANSWERS = 3.0
"""Seconds that listeners wait for the first answers of the DNS."""
REVIEW_PERIOD = 0.5
"""Seconds between looks at what time alone changes: breakers to be tried again, slow starts, who waits too long."""
FIRST_ROUND = 3.0
"""Seconds that listeners wait for the first check of instances known at the start."""

log = Logger()


class Gateway(Service):
    """One running mesh. `clock` is monotonic seconds."""

    name = "wmesh"

    def __init__(
        self,
        config: MeshConfig,
        reactor: Any,
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Random | None = None,
        strategies: Mapping[str, MakeStrategy] = STRATEGIES,
        failed: Callable[[], None] | None = None,
        deploys: bool = True,
    ) -> None:
        """`strategies` are all that services name. `failed` is called when the start does not succeed; everything
        begun is undone by then, and `failure` says why. Without `deploys` nothing is launched before `deploy_all`."""
        self.config = config
        self.ready: Deferred[None] = Deferred()
        self._reactor = reactor
        self._failed = failed
        self.failure: Failure | None = None
        self.deploying = False
        self._deploys = deploys
        self._random = random or Random()
        self._strategies = strategies
        self._ports: list[Any] = []
        self._admin_port: Any = None
        self._starting: Deferred[None] | None = None
        self._stopping: Deferred[None] | None = None
        self._hurried: Deferred[None] = Deferred()

        admin = ServiceSpec(
            name=ADMIN,
            check=CheckSpec(enabled=False),
            routes=config.gateway.admin_routes if config.gateway.admin_listen else (),
            strip_prefix=False,
        )
        served = (*config.services, admin)
        self.directory = Directory(served, self._strategy, clock, chance=self._random.random, zone=config.mesh.zone)
        self.traffic = {spec.name: Traffic() for spec in served}
        self.share = share_for(config, reactor, clock, self._random)
        self.caches = Caches(config.services, config.gateway.cache_size, config.mesh.name, self.share)
        plans = Plans(served, self.directory.clusters, self.traffic, sticky_secret(config), self.caches.by_service)
        self.mounts = Mounts(plans, [spec.name for spec in config.services])
        self.plane = DataPlane(config.gateway, routes_of(plans), reactor, clock, self._random, config.mesh.name)
        self.directory.subscribe(self.plane.heard)
        self.directory.subscribe(log_evidence)
        self._reviewing = LoopingCall(self._review)
        self._reviewing.clock = reactor
        self._departures = Departures(self.directory, reactor)

        self.registry = registry_for(config.registry, config.mesh, reactor, self._random)
        label = str(self.registry.status()["url"])
        self._launched: set[tuple[str, str]] = set()
        self.preserver = Preserver(
            self.directory,
            config.registry,
            reactor,
            clock,
            lambda: bool(self.registry.status().get("connected")),
            MemoryFile(config.mesh.state_dir, label, config.registry.namespace, self._launched.__contains__),
            reserved=(ADMIN,),
        )
        file = WillsFile(config.mesh.state_dir, label, config.registry.namespace)
        self.wills = Wills(self.directory, self.registry, self.preserver.take, reactor, file, reserved=(ADMIN,))
        self.declared = Declared(
            config.services,
            self.directory,
            Resolver(Questions(reactor), config.mesh.dns_servers),
            reactor,
            clock,
            self._random,
            config.mesh.dns_hold,
        )
        batch = config.mesh.health_check_batch
        self.prober = Prober(self.directory, reactor, self._random, probes(reactor), batch)
        self.launcher = ProcessLauncher(reactor, config.mesh.state_dir)
        self._lock = Lock(Path(os.path.abspath(config.mesh.state_dir), "gateway.lock"), LaunchError)
        self.launches = any(spec.command for spec in config.services)
        self.deployment = Deployment(
            config.services,
            self.launcher,
            self._register,
            self._deregister,
            self.directory,
            reactor,
            self._random,
            self._announce,
            self._warn,
            reserved=ports_of((*config.gateway.listen, config.gateway.admin_listen)),
            tail=tail(config),
        )
        self.heartbeat = Heartbeat(self.registry, config.registry.heartbeat, reactor, self._random, self._loads)
        self.guests = Guests(
            self.registry, self.heartbeat, self.directory, reactor, clock, ttl=config.registry.lease, reserved=(ADMIN,)
        )
        self.controls = MeshControls(
            config,
            self.directory,
            self.registry,
            self.deployment,
            self.traffic,
            self.wills,
            clock,
            clock(),
            self.preserver.describe,
            self.declared.describe,
            Whys(self.plane, self.directory, effective=effective),
            self.caches,
        )

    def _strategy(self, spec: ServiceSpec) -> Strategy:
        return self._strategies[spec.strategy](spec, self._random)

    async def _register(self, record: InstanceRecord) -> None:
        self._launched.add((record.service, record.id))
        await self.registry.register(record)
        self.heartbeat.add(record)

    async def _deregister(self, service: str, id: str) -> None:
        self.heartbeat.remove(service, id)
        await self.registry.deregister(service, id)

    def _loads(self) -> Mapping[tuple[str, str], LoadSample]:
        return {**self.guests.loads(), **self.deployment.loads()}

    def _review(self) -> None:
        try:
            self.directory.review()
        except Exception:  # noqa: BLE001 - a LoopingCall stops for good at the first error
            log.failure("The instances could not be reviewed")

    def _announce(self, text: str) -> None:
        log.info("{text}", text=text)

    def _warn(self, text: str) -> None:
        log.warn("{text}", text=text)

    # --- starting

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._start_failed)

    async def _start(self) -> None:
        config = self.config
        for note in config.notes:
            log.warn("{note}", note=note)
        if self.launches or config.registry.url.startswith("embedded:"):
            os.makedirs(config.mesh.state_dir, mode=0o700, exist_ok=True)
        await self._bind()
        if self._deploys:
            await self._prepare_launches()
        await self._open_admin()
        self.wills.start()
        self.preserver.start()
        if self.share is not None:
            self.share.start(self.caches)
        await self.registry.start(self.wills.take)
        self._announce(f"registry: {registry_line(self.registry.status())}")
        await self.declared.start(FIRST_ANSWERS)
        if self._stopping is not None:
            return
        self.plane.start()
        self._reviewing.start(REVIEW_PERIOD, now=False)
        self.prober.start()
        self.heartbeat.start()
        await self.prober.first_round(FIRST_ROUND)
        for port in self._ports:
            port.startReading()
        urls = urls_of(config.gateway.listen, self._ports)
        self._announce(f"listening: {', '.join(urls) or 'nowhere'}")
        if config.services and self._deploys:
            await self.deploy_all()
        if self._stopping is not None:
            return
        self.controls.phase = Phase.RUNNING
        self._announce(f"{config.mesh.name} is ready: {(urls or ['no listener'])[0]}")
        self.ready.callback(None)

    async def _prepare_launches(self) -> None:
        if not self.launches or self._lock.held:
            return
        self._lock.take()
        for line in await self.launcher.sweep():
            self._announce(f"ended {line}, which a gateway before this one left running")

    async def deploy_all(self) -> Deployed:
        """Launch what is to be launched. To be called once; fails with LaunchError if `state_dir` is taken."""
        self.deploying = True
        try:
            await self._prepare_launches()
        except BaseException:
            self.deploying = False  # nothing was begun
            raise
        deployed = await self.deployment.deploy_all()
        self._announce(str(deployed))
        return deployed

    async def _bind(self) -> None:
        gateway = self.config.gateway
        for description in gateway.listen:
            secure = is_secure(description)
            peers = Peers(gateway.trusted_proxies, b"https" if secure else b"http", gateway.forwarded_header)
            port: Any = await listen(self.plane, description, peers)
            # Bound, but nobody is let in before there is somebody to serve them.
            port.stopReading()
            self._ports.append(port)

    async def _open_admin(self) -> None:
        description = self.config.gateway.admin_listen
        if not description:
            return
        make_endpoint: Any = serverFromString
        site = make_site(
            self.controls, self.guests, operate_from=self.config.gateway.operate_from, reactor=self._reactor
        )
        self._admin_port = await make_endpoint(self._reactor, description).listen(site)
        host = self._admin_port.getHost()
        if not hasattr(host, "port"):
            log.info("the admin side listens at {where}; only TCP can be reached on the public port", where=description)
            return
        address = Address(reachable(host.host), host.port)
        self.directory.apply(InstanceAdded(InstanceRecord(ADMIN, "self", address, origin="builtin")))

    def _start_failed(self, failure: Any) -> Deferred[None] | None:
        if self._stopping is not None:
            return None  # what was waited for was taken away by the stop itself
        self.failure = failure
        if failure.check(CannotListenError):
            log.critical("cannot start: {problem}", problem=cannot_listen(failure.value))
        elif failure.check(MeshError, ValueError, OSError):
            log.critical("cannot start: {problem}", problem=failure.getErrorMessage())
        else:
            log.failure("cannot start, on an error of our own", failure)
        stopped = self._stop_once()
        stopped.addBoth(lambda _: self._failed() if self._failed is not None else None)
        return stopped

    # --- stopping

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]
        return self._stop_once()

    def hurry(self) -> None:
        """While it is stopping: do not wait for running requests any longer."""
        if self._stopping is not None and not self._hurried.called:
            self._announce("asked again: not waiting for running requests")
            self._hurried.callback(None)

    def _stop_once(self) -> Deferred[None]:
        if self._stopping is None:
            self._stopping = Deferred()
            stopped = Deferred.fromCoroutine(self._stop())
            stopped.addErrback(lambda failure: log.failure("could not stop cleanly", failure))
            stopped.chainDeferred(self._stopping)
        return follow(self._stopping)

    async def _stop(self) -> None:
        """Every step is taken, whatever became of the one before: nothing may be left behind."""
        self.controls.phase = Phase.DRAINING
        for step in (self._close_listeners, self._drain, self._stop_control, self._close_admin, self._close_registry):
            try:
                await step()
            except Exception:  # noqa: BLE001 - see above
                log.failure("a step of stopping failed: {step}", step=step.__name__.strip("_"))
        self._announce("stopped")

    async def _close_listeners(self) -> None:
        await DeferredList([_stop_listening(port) for port in self._ports], consumeErrors=True)

    async def _drain(self) -> None:
        timeout = self.config.gateway.drain_timeout
        busy = sum(connection.current is not None for connection in self.plane.connections)
        tunnels = sum(connection.tunnel is not None for connection in self.plane.connections)
        if busy or tunnels:
            running = f"{busy} requests are running" + (f", {tunnels} WebSockets are open" if tunnels else "")
            self._announce(f"stopping: {running} and have {timeout:g} s to finish")
        else:
            self._announce("stopping")
        drained = self.plane.drain()
        drained.addTimeout(timeout, self._reactor, onTimeoutCancel=lambda *_: None)
        await DeferredList([drained, self._hurried], fireOnOneCallback=True)
        left = len(self.plane.connections)
        if left:
            log.warn("{left} connections had not finished and are cut", left=left)
        self.plane.stop()

    async def _stop_control(self) -> None:
        if self._reviewing.running:
            self._reviewing.stop()
        self.declared.stop()
        self.prober.stop()
        await self.deployment.stop_all()
        self.guests.stop()
        self.heartbeat.stop()
        self._lock.release()

    async def _close_admin(self) -> None:
        if self._admin_port is not None:
            await _stop_listening(self._admin_port)

    async def _close_registry(self) -> None:
        self.wills.stop()
        self.preserver.stop()
        self._departures.stop()
        if self.share is not None:
            await self.share.stop()
        await self.registry.stop()


def _stop_listening(port: Any) -> Deferred[Any]:
    return port.stopListening() or succeed(None)
