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
from wmesh.errors import ControlError
from wmesh.interfaces import Controls
from wmesh.model import Network

LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class Operations:
    """The answers to POST."""

    log = Logger()

    def __init__(self, controls: Controls, operate_from: Sequence[Network]) -> None:
        self._controls = controls
        self._operate_from = tuple(operate_from)

    async def scale(self, request: AdminRequest, service: str) -> Reply:
        """`{"instances": 2}`: 202, for the instances have yet to start (or stop) when this is answered."""
        self._admit(request)
        instances = _instances(_document(request))
        answer = await self._controls.scale(service, instances)
        self.log.info(
            "{service} is scaled to {target} instances, asked for by {who} ({id})",
            service=service,
            target=answer.get("target", instances),
            who=_who(request),
            id=request.request_id,
        )
        return Reply(dict(answer), 202)

    def _admit(self, request: AdminRequest) -> None:
        clients = request.clients()
        if clients is None:
            raise ControlError("it is not clear where this request comes from, so it may not change the mesh", 403)
        for client in clients:
            # An IPv4 address is in no IPv6 network and the other way round: `in` says so itself.
            if not any(client in network for network in self._operate_from):
                raise ControlError(f"{client} may not change the mesh; ask from a network that may operate it", 403)
        if request.field("origin") is not None:
            raise ControlError("web pages may not change the mesh; use a program, such as curl", 403)


def _document(request: AdminRequest) -> dict[str, object]:
    media_type = (request.field("content-type") or "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        said = f"not {media_type}" if media_type else "which has to be said: Content-Type: application/json"
        raise ControlError(f"the body must be application/json, {said}", 415)
    if request.oversized:
        raise ControlError(f"the body may have at most {MAX_BODY} bytes", 413)
    try:
        document = json.loads(request.body(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ControlError(f'the body is not JSON ({error}); send for example {{"instances": 2}}', 400) from error
    if not isinstance(document, dict):
        raise ControlError('the body must be a JSON object such as {"instances": 2}', 400)
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
        raise ControlError(f'"instances" must be a whole number such as 2, not {json.dumps(instances)[:40]}', 400)
    return instances


def _who(request: AdminRequest) -> str:
    clients = request.clients()
    return ", ".join(map(str, clients)) if clients else "a Unix socket"


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
