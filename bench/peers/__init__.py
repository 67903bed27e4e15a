"""The proxies that are measured, one file each: how to find it, what it is told, how it is started.

To add one: write a class that is a `bench.peers.base.Peer`, and put it into PEERS. Rules for its configuration: what
its own documentation recommends for a reverse proxy in front of three instances on keep-alive connections, one worker,
no access log, round robin; nothing that changes what the client sees. `X-Forwarded-For` stays as it is by default.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.peers.base import Peer
from bench.peers.caddy import Caddy
from bench.peers.envoy import Envoy
from bench.peers.haproxy import HAProxy
from bench.peers.nginx import LARGE_BUFFERS, Nginx
from bench.peers.traefik import Traefik
from bench.peers.twisted_web import TwistedWeb
from bench.peers.wmesh import Wmesh

NGINX = Nginx("nginx", "default buffers", "")

_ALL: tuple[Peer, ...] = (
    Wmesh(),
    HAProxy(),
    NGINX,
    Nginx("nginx-buffers", "eight buffers of 16 KiB, no temporary files", LARGE_BUFFERS),
    Envoy(),
    Traefik(),
    Caddy(),
    TwistedWeb(),
)

PEERS: Mapping[str, Peer] = {peer.name: peer for peer in _ALL}
