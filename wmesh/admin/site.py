"""The map of the admin side: which path shows what.

    /                           the list of paths
    /health                     may clients be sent to this gateway? for load balancers and probes
    /status                     what this process is and how it is set up
    /service-mesh/stats         everything counted and measured
    /service-mesh/health[/NAME] each service's health, with the reasons for every "no"
    /services[/NAME]            the services with their instances
    /services/NAME/scale        POST {"instances": 2}
    /services/NAME/purge        POST {"url": "/list"}
    /service-mesh/registry      what stands in the registry
    /service-mesh/registry/NAME/ID            PUT {"host": "10.0.0.7", "port": 3007}, DELETE
    /service-mesh/registry/NAME/ID/heartbeat  POST

`/health` answers 200 as long as this gateway itself takes requests, and 503 while it starts or drains. That services
are down is said in the body ("degraded") but not by the status: a load balancer that took the gateway out for one bad
service would take the good ones with it, and take out every gateway at once.

All answers are JSON. Nothing is written to the access log: who changed what is logged where it is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Site

from wmesh.admin.explain import explained, recent
from wmesh.admin.operate import LOOPBACK, Operations
from wmesh.admin.request import AdminRequest, Reply
from wmesh.admin.resource import PATHS, JsonResource
from wmesh.interfaces import Controls, Registrations
from wmesh.model import Network


class AdminSite(Site):
    """A site without access log and without a word about connections."""

    noisy = False
    displayTracebacks = False
    requestFactory = AdminRequest

    def startFactory(self) -> None:
        """Nothing: what is inherited wakes up every second to have the time ready for an access log."""

    def log(self, request: object) -> None:
        """No access log."""


def make_site(
    controls: Controls,
    registrations: Registrations | None = None,
    *,
    operate_from: Sequence[Network] = LOOPBACK,
    reactor: IReactorTime | None = None,
) -> AdminSite:
    """The site for an endpoint to listen with. `reactor` times out idle connections; the global one by default.

    Without `registrations` there is no /service-mesh/registry.
    """
    make: Any = AdminSite
    site: AdminSite = make(
        make_root(controls, operate_from, registrations), reactor=reactor, parsePOSTFormSubmission=False
    )
    return site


def make_root(
    controls: Controls, operate_from: Sequence[Network] = LOOPBACK, registrations: Registrations | None = None
) -> JsonResource:
    """The tree alone, for a site of somebody else's; its requests must be `AdminRequest`."""
    operations = Operations(controls, operate_from, registrations)

    def health(request: AdminRequest) -> Reply:
        document = controls.health()
        if document["serving"]:
            return Reply(document)
        return Reply(document, 503, {"Retry-After": "1"})

    def mesh_health(request: AdminRequest) -> Reply:
        document = controls.health()
        services = {name: controls.service_health(name) for name in document["services"]}
        return Reply({"status": document["status"], "services": services})

    def service(name: str) -> JsonResource:
        resource = _shown(lambda: controls.service(name))
        _put(resource, "scale", JsonResource({"POST": lambda request: operations.scale(request, name)}))
        _put(resource, "purge", JsonResource({"POST": lambda request: operations.purge(request, name)}))
        _put(resource, "instances", JsonResource(named=lambda one: directed(name, one)))
        return resource

    def directed(name: str, id: str) -> JsonResource:
        resource = JsonResource()
        _put(resource, "state", JsonResource({"POST": lambda request: operations.direct(request, name, id)}))
        return resource

    def service_health(name: str) -> JsonResource:
        return _shown(lambda: controls.service_health(name))

    def registered(name: str) -> JsonResource:
        """Below /service-mesh/registry: one service, and below that its instances by id."""
        return JsonResource(named=lambda one: instance(name, one))

    def instance(name: str, id: str) -> JsonResource:
        resource = JsonResource(
            {
                "PUT": lambda request: operations.register(request, name, id),
                "DELETE": lambda request: operations.deregister(request, name, id),
            }
        )
        _put(resource, "heartbeat", JsonResource({"POST": lambda request: operations.beat(request, name, id)}))
        return resource

    def decision(request_id: str) -> JsonResource:
        def show(request: AdminRequest) -> Reply:
            operations.look(request)
            return Reply(controls.decision(request_id))

        return JsonResource({"GET": show})

    root = _shown(lambda: {"paths": list(PATHS)})
    mesh = JsonResource()
    _put(root, "health", JsonResource({"GET": health}))
    _put(root, "status", _shown(controls.status))
    _put(root, "service-mesh", mesh)
    _put(mesh, "stats", _shown(controls.stats))
    _put(mesh, "health", JsonResource({"GET": mesh_health}, service_health))
    if registrations is not None:
        shown = registrations.registrations
        _put(mesh, "registry", JsonResource({"GET": lambda request: Reply(shown())}, registered))
    _put(mesh, "explain", JsonResource({"GET": lambda request: explained(controls, request)}))
    _put(mesh, "decisions", JsonResource({"GET": lambda request: recent(controls, operations, request)}, decision))
    _put(root, "services", JsonResource({"GET": lambda request: Reply({"services": controls.services()})}, service))
    return root


def _shown(document: Any) -> JsonResource:
    """A resource that shows what this function gives."""

    def show(request: AdminRequest) -> Reply:
        shown: Mapping[str, Any] = document()
        return Reply(shown)

    return JsonResource({"GET": show})


def _put(parent: JsonResource, path: str, child: JsonResource) -> None:
    untyped: Any = parent
    untyped.putChild(path.encode("ascii"), child)
