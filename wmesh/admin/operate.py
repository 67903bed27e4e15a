"""Operations: what changes the mesh, who may ask for it, and how a body has to look.

Three gates, in this order. Who: every address on the way must be in `operate_from` (loopback, unless told otherwise).
What: a web page must not be able to do it on behalf of a person's browser, so requests that say they come from a page
(Origin) are refused, and the media type must be application/json, which no HTML form can send. Then sense: the body
names exactly the fields there are, of the right types; what the numbers mean is judged by the control plane.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from typing import NoReturn

from twisted.logger import Logger

from wmesh.admin.request import MAX_BODY, AdminRequest, Reply
from wmesh.errors import ControlError, RegistryError
from wmesh.interfaces import UNSET, Controls, Registrations, Unset
from wmesh.model import Network

LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class Operations:
    """The answers to POST, PUT and DELETE. Without `registrations` nobody can register here."""

    log = Logger()

    def __init__(
        self, controls: Controls, operate_from: Sequence[Network], registrations: Registrations | None = None
    ) -> None:
        self._controls = controls
        self._registrations = registrations
        self._operate_from = tuple(operate_from)

    async def scale(self, request: AdminRequest, service: str) -> Reply:
        """`{"instances": 2}`: 202, for the instances have yet to start (or stop) when this is answered."""
        self._admit(request)
        instances = _instances(_document(request, '{"instances": 2}'))
        answer = await self._controls.scale(service, instances)
        self.log.info(
            "{service} is scaled to {target} instances, asked for by {who} ({id})",
            service=service,
            target=answer.get("target", instances),
            who=_who(request),
            id=request.request_id,
        )
        return Reply(dict(answer), 202)

    async def direct(self, request: AdminRequest, service: str, id: str) -> Reply:
        """`{"state": "drain"}`, `{"weight": 5}` (null: what it registered with), or both: 200; 202 if it holds here,
        and the registry, which cannot be reached now, is going to be told."""
        self._admit(request)
        document = _document(request, '{"state": "drain"}')
        for name in document:
            if name not in ("state", "weight"):
                raise ControlError(f'unknown field {name!r}; known: "state" and "weight"', 400)
        if not document:
            raise ControlError('nothing is asked for; send for example {"state": "drain"}', 400)
        state, weight = document.get("state"), document.get("weight", UNSET)
        if "state" in document and not isinstance(state, str):
            raise ControlError('"state" must be "ready", "drain" or "maint"', 400)
        if isinstance(weight, bool) or not isinstance(weight, int | None | Unset):
            raise ControlError('"weight" must be a whole number such as 5, or null', 400)
        answer = await self._controls.direct(
            service, id, state if isinstance(state, str) else None, weight, _who(request)
        )
        said = ", ".join(f"{name} {'as registered' if value is None else value}" for name, value in document.items())
        self.log.info(
            "{service}/{id} is told by {who}: {said} ({request})",
            service=service,
            id=id,
            who=_who(request),
            said=said,
            request=request.request_id,
        )
        return Reply(dict(answer), 200 if answer["written"] else 202)

    def purge(self, request: AdminRequest, service: str) -> Reply:
        """`{"url": "/list"}`, `{"prefix": "/img/"}`, `{"tag": "menu"}`, or `{"all": true}`."""
        self._admit(request)
        document = _document(request, '{"url": "/list"}')
        known = ("url", "prefix", "tag", "all")
        if len(document) != 1 or next(iter(document)) not in known:
            raise ControlError('say what to throw away with one of "url", "prefix", "tag" and "all"', 400)
        ((name, value),) = document.items()
        if name == "all":
            if value is not True:
                raise ControlError('"all" must be true', 400)
            value = ""
        elif not isinstance(value, str) or not value:
            raise ControlError(f'"{name}" must be a text such as "/list"', 400)
        given = {**dict.fromkeys(("url", "prefix", "tag"), ""), **({name: value} if name != "all" else {})}
        answer = self._controls.purge(service, given["url"], given["prefix"], given["tag"])
        self.log.info(
            "{purged} answers of {service} are thrown away, asked for by {who}: {name} {value} ({id})",
            purged=answer.get("purged"),
            service=service,
            who=_who(request),
            name=name,
            value=value,
            id=request.request_id,
        )
        return Reply(dict(answer))

    def look(self, request: AdminRequest) -> None:
        """Requests of others are shown only to those who may operate the mesh: targets can hold secrets."""
        self._admit_clients(request, "see requests of others")

    async def register(self, request: AdminRequest, service: str, id: str) -> Reply:
        """`{"host": "10.0.0.7", "port": 3007, "ttl": 15}`: 201 if it is new, 200 if not, 202 if the registry cannot be
        reached now, and is going to be told."""
        registrations = self._admitted(request)
        answer, new = await registrations.register(
            service, id, _document(request, '{"host": "10.0.0.7", "port": 3007}')
        )
        if new:
            self.log.info(
                "{service}/{id} is registered over HTTP by {who} ({request})",
                service=service,
                id=id,
                who=_who(request),
                request=request.request_id,
            )
        if not answer["registered"]:
            return Reply(dict(answer), 202)
        return Reply(dict(answer), 201 if new else 200)

    async def deregister(self, request: AdminRequest, service: str, id: str) -> Reply:
        """No body. (A form cannot send this method, so there is no media type to ask for.)"""
        registrations = self._admitted(request)
        try:
            answer = await registrations.deregister(service, id)
        except RegistryError as error:
            raise ControlError(f"the registry does not answer: {error}", 503) from error
        self.log.info(
            "{service}/{id} is taken out over HTTP by {who} ({request})",
            service=service,
            id=id,
            who=_who(request),
            request=request.request_id,
        )
        return Reply(dict(answer))

    def beat(self, request: AdminRequest, service: str, id: str) -> Reply:
        """`{"cpu": 12.5, "memory": 73400320}`, one of them, `{}`, or no body at all."""
        registrations = self._admitted(request)
        return Reply(dict(registrations.beat(service, id, _document(request, '{"cpu": 12.5}', empty=True))))

    def _admitted(self, request: AdminRequest) -> Registrations:
        self._admit(request)
        if self._registrations is None:
            raise ControlError("nobody can register here", 404)
        return self._registrations

    def _admit_clients(self, request: AdminRequest, what: str) -> None:
        clients = request.clients()
        if clients is None:
            raise ControlError(f"it is not clear where this request comes from, so it may not {what}", 403)
        for client in clients:
            # An IPv4 address is in no IPv6 network and the other way round: `in` says so itself.
            if not any(client in network for network in self._operate_from):
                raise ControlError(f"{client} may not {what}; ask from a network that may operate it", 403)

    def _admit(self, request: AdminRequest) -> None:
        self._admit_clients(request, "change the mesh")
        if request.field("origin") is not None:
            raise ControlError("web pages may not change the mesh; use a program, such as curl", 403)


def _document(request: AdminRequest, example: str, *, empty: bool = False) -> dict[str, object]:
    """The body as a JSON object such as `example`. Where it may be `empty`, that means {}."""
    media_type = (request.field("content-type") or "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        said = f"not {media_type}" if media_type else "which has to be said: Content-Type: application/json"
        raise ControlError(f"the body must be application/json, {said}", 415)
    if request.oversized:
        raise ControlError(f"the body may have at most {MAX_BODY} bytes", 413)
    body = request.body()
    if empty and not body:
        return {}
    try:
        document = json.loads(body, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ControlError(f"the body is not JSON ({error}); send for example {example}", 400) from error
    if not isinstance(document, dict):
        raise ControlError(f"the body must be a JSON object such as {example}", 400)
    return document


def _instances(document: dict[str, object]) -> int:
    for name in document:
        if name != "instances":
            raise ControlError(f'unknown field {name!r}; the only one is "instances", a whole number', 400)
    if "instances" not in document:
        raise ControlError('the field "instances" is missing; it is a whole number such as 2', 400)
    instances = document["instances"]
    # True and False are integers to Python, but not to JSON.
    if not isinstance(instances, int) or isinstance(instances, bool):
        try:
            said = json.dumps(instances)[:40]
        except RecursionError:
            said = "something so deep"
        raise ControlError(f'"instances" must be a whole number such as 2, not {said}', 400)
    return instances


def _who(request: AdminRequest) -> str:
    clients = request.clients()
    return ", ".join(map(str, clients)) if clients else "a Unix socket"


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return value


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
