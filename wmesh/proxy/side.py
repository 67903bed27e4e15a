"""What an exchange needs of its client's side, whoever the client is.

`wmesh.proxy.downstream.Downstream` is the side of a client with a connection of its own, `wmesh.proxy.caller.Caller`
that of a client inside this process. Both go the same road: there is one implementation of routing, retries and
streaming, and it is the exchange with its upstream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from wmesh.wire.forwarded import Peer

if TYPE_CHECKING:
    from wmesh.proxy.exchange import Exchange
    from wmesh.proxy.request_body import RequestBody

# Why the client's side is held back: requests behind this one; an instance that is slow; no connection to one yet.
HOLD_PIPELINE = 1
HOLD_BACKPRESSURE = 2
HOLD_CONNECTING = 4


class Unsent(Protocol):
    """`unsent` is how many bytes wait for the client to take them."""

    @property
    def unsent(self) -> int: ...


class ClientSide(Protocol):
    """`transport` takes the answer and has one producer at a time; None once the client is gone.

    `parsing`: request bytes are being handed on right now, and `dirty` is flushed when that is done.
    `half_closed`: the client will send no more, and may be gone.
    `current` is the exchange that is being served, `tunnel` what took the connection over.
    """

    peer: Peer
    transport: Any
    current: Exchange | None
    dirty: RequestBody | None
    tunnel: Any
    half_closed: bool
    parsing: bool
    held: int

    @property
    def stream(self) -> Unsent | None: ...

    def hold(self, why: int) -> None:
        """Bring no more of the request, for this reason."""

    def release(self, why: int) -> None:
        """This reason is gone."""

    def exchange_done(self, exchange: Exchange, now: float) -> None:
        """The answer is written to its end."""

    def abort(self) -> None:
        """End it now: the client must see that something is missing."""

    def drain(self) -> None:
        """The gateway is stopping: end now if nothing is under way."""
