"""A mesh inside anybody's Twisted program: instances known and checked, requests sent without a gateway between.

    mesh = await open_mesh(reactor, "mesh.ini")
    response = await mesh.proxy("walmart-pricing").request("GET", "/api/price/12345")
    prices = await response.json()

It is the gateway itself (`wmesh.gateway.Gateway`), without doors unless they are asked for: the same registry, checks,
balancing, retries, breakers and queues. What enters through `ServiceProxy` takes the road of every client's request
(`wmesh.proxy.caller`); `wmesh.resource` puts the same behind a twisted.web `Site`.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from typing import IO, Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.web.http_headers import Headers

from wmesh.control.controls import Phase
from wmesh.control.deployment import Deployed
from wmesh.errors import ControlError, MeshError, WireError
from wmesh.gateway import Gateway
from wmesh.plugins import configure, watched
from wmesh.proxy.caller import FRAMING, Caller, compose
from wmesh.response import Asked, Response
from wmesh.wire.forwarded import Peer, Peers

Fields = Mapping[str, str | Sequence[str]] | Headers
"""Header fields as programs write them: a value, or several, by name."""

log = Logger()

_PATH = re.compile(r"/[!-~]*")


class Mesh:
    """A running mesh; `open_mesh` makes it. `gateway` are its parts, for who needs them."""

    def __init__(self, gateway: Gateway, reactor: Any) -> None:
        self.gateway = gateway
        self._reactor = reactor
        self._trigger = reactor.addSystemEventTrigger("before", "shutdown", self.stop)

    @property
    def running(self) -> bool:
        return self.gateway.controls.phase is Phase.RUNNING

    def proxy(self, service: str) -> ServiceProxy:
        """The way to this service. Fails with ControlError (404) if the mesh has none of this name."""
        self.known(service)
        return ServiceProxy(self, service)

    def known(self, service: str) -> None:
        """Fails with ControlError (404) if the mesh has no service of this name."""
        names = [spec.name for spec in self.gateway.config.services]
        if service not in names:
            there = ", ".join(names) or "none at all"
            raise ControlError(f"there is no service {service!r}; there are: {there}", 404)

    def deploy_all(self) -> Deferred[Deployed]:
        """Launch what has a `command`, in the order of dependencies. Fires when each service is up, late or blocked.

        Its answer prints as a sentence. Fails with LaunchError if another gateway uses the same `state_dir`, and with
        ControlError if it was called before.
        """
        if self.gateway.deploying:
            return fail(ControlError("deploy_all was called before; scale() changes what runs"))
        return Deferred.fromCoroutine(self.gateway.deploy_all())

    def scale(self, service: str, instances: int) -> Deferred[Mapping[str, Any]]:
        """Run this many instances of a service that `deploy_all` launched. Answers {service, before, target, …}.

        Fails with ControlError: 404 unknown service, 409 not launched by this mesh, 422 out of bounds.
        """
        return Deferred.fromCoroutine(self._scale(service, instances))

    async def _scale(self, service: str, instances: int) -> Mapping[str, Any]:
        self.known(service)
        if not self.gateway.deploying:
            raise ControlError(f"{service} cannot be scaled before deploy_all() was called")
        return await self.gateway.controls.scale(service, instances)

    def health(self) -> Mapping[str, Any]:
        """What `/health` of a gateway says: `status`, `registry`, and the status of each service."""
        return self.gateway.controls.health()

    def status(self) -> Mapping[str, Any]:
        """What `/status` of a gateway says."""
        return self.gateway.controls.status()

    def stop(self) -> Deferred[None]:
        """Running requests finish (`drain_timeout`), what was launched is stopped, and nothing is left. Never fails.

        It stops by itself before the reactor does; twice is no error.
        """
        trigger, self._trigger = self._trigger, None
        if trigger is not None and getattr(self._reactor, "running", False):
            with contextlib.suppress(KeyError, ValueError):
                self._reactor.removeSystemEventTrigger(trigger)
        return self.gateway.stopService()


class ServiceProxy:
    """Sends requests to whichever instance of one service the mesh picks. Made by `Mesh.proxy`."""

    def __init__(self, mesh: Mesh, service: str) -> None:
        self._mesh = mesh
        self.service = service
        spec = mesh.gateway.config.gateway
        # A program is trusted to say on whose behalf it asks (X-Forwarded-For); by itself it asks from this machine.
        self._peer = Peer("127.0.0.1", b"http", True, spec.forwarded_header, Peers((), b"http", spec.forwarded_header))

    def request(
        self, method: str, path: str, *, headers: Fields | None = None, body: bytes | IO[bytes] | None = None
    ) -> Deferred[Response]:
        """Fires when the head of an answer is there: an instance's, or the mesh's own (503 where nobody can be had).

        `path` is what the instance sees, query and all. `body` are bytes, or a binary file that is read from where it
        stands as the instance takes it (on the reactor's thread). Cancel it to give the request up.

        Fails with WireError if it is no good request, with ControlError if the mesh does not run, and with
        ResponseError if the mesh stops before the answer comes.
        """
        try:
            return self._request(method, path, headers, body)
        except MeshError as error:
            return fail(error)

    def _request(
        self, method: str, path: str, headers: Fields | None, body: bytes | IO[bytes] | None
    ) -> Deferred[Response]:
        mesh = self._mesh
        if not mesh.running:
            raise ControlError(f"the mesh is {mesh.gateway.controls.phase.value}: {self.service} cannot be asked")
        source, length = _measured(body)
        fields = _fields(headers)
        if not any(name.lower() == b"host" for name, _ in fields):
            fields.insert(0, (b"Host", self.service.encode("ascii")))
        if not isinstance(method, str) or not method.isascii():
            raise WireError(f"method: {method!r}; should be a text like GET")
        if not isinstance(path, str) or not _PATH.fullmatch(path):
            raise WireError(f"path: {path!r}; should begin with / and have everything but ASCII percent-encoded")
        asked = Asked()
        plane = mesh.gateway.plane
        asked.caller = caller = Caller(plane, self._peer, asked, plane.spec.body_timeout)
        head = caller.read(compose(method.encode(), path.encode(), 1, fields, length))
        caller.ask(head, source, mesh.gateway.mounts.plan(self.service))
        return asked.answer


def _measured(body: bytes | IO[bytes] | None) -> tuple[IO[bytes] | None, int | None]:
    """The body as a file, and how many bytes of it are to come."""
    if body is None:
        return None, None
    if isinstance(body, bytes):
        return BytesIO(body), len(body)
    if not (hasattr(body, "read") and hasattr(body, "seek")) or hasattr(body, "encoding"):
        raise WireError(f"body: {type(body).__name__}; should be bytes or a file opened in binary mode")
    at = body.tell()
    length = body.seek(0, os.SEEK_END) - at
    body.seek(at)
    return body, length


def _fields(headers: Fields | None) -> list[tuple[bytes, bytes]]:
    fields: list[tuple[bytes, bytes]] = []
    if isinstance(headers, Headers):
        fields += [(raw, value) for raw, values in headers.getAllRawHeaders() for value in values]
    elif headers is not None and not isinstance(headers, Mapping):
        raise WireError(f"headers: {type(headers).__name__}; should be a mapping or twisted.web's Headers")
    else:
        for name, given in (headers or {}).items():
            each = given if isinstance(given, list | tuple) else [given]
            fields += [(_encoded(name, name), _encoded(name, value)) for value in each]
    for raw, _ in fields:
        if raw.lower() in FRAMING or raw.lower() == b"connection":
            raise WireError(f"headers: {raw.decode('latin-1')} is not for programs to set; the mesh does it")
    return fields


def _encoded(name: object, value: object) -> bytes:
    if not isinstance(value, str):
        raise WireError(f"headers: {name!r}: {value!r}; should be a text, or a list of texts")
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise WireError(f"headers: {name!r}: {value!r}; only Latin-1 can stand there") from None


def open_mesh(
    reactor: Any, config: str, *, listen: bool = False, environ: Mapping[str, str] | None = None
) -> Deferred[Mesh]:
    """Open the mesh that `config` describes: the path of a mesh.ini, or its text (of several lines).

    Fires when it knows its instances and has checked those that were there. Nothing is launched before `deploy_all`.
    With `listen` it opens the listeners and the admin side, as a gateway does; else neither, whatever `config` says.
    `environ` is what overrides the configuration, by default the environment of this process.

    Fails with ConfigError (all that is wrong), or with what kept it from starting; nothing is left behind then.
    """

    def failed() -> None:
        mesh.stop()
        if not opened.called:
            opened.errback(gateway.failure or ControlError("the mesh was stopped before it had started"))

    def give_up(_: object) -> None:
        mesh.stop()

    try:
        gateway = _gateway(reactor, config, listen, os.environ if environ is None else environ, failed)
    except MeshError as error:
        return fail(error)
    mesh = Mesh(gateway, reactor)
    opened: Deferred[Mesh] = Deferred(give_up)
    gateway.ready.addCallback(lambda _: None if opened.called else opened.callback(mesh))
    gateway.startService()
    return opened


def _gateway(
    reactor: Any, config: str, listen: bool, environ: Mapping[str, str], failed: Callable[[], None]
) -> Gateway:
    text = config if "\n" in config else None
    loaded, strategies = configure("configuration" if text is not None else config, environ, text)
    found = loaded.config
    if not listen:
        found = replace(found, gateway=replace(found.gateway, listen=(), admin_listen=""))
    return Gateway(found, reactor, strategies=watched(strategies, _complain), failed=failed, deploys=False)


def _complain(what: str) -> None:
    """What a strategy of another package did wrong."""
    log.error("{what}", what=what)
