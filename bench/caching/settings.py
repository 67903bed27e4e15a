"""The proxies with their caches on, in memory where they can choose, and everything else as in the benchmark of speed.

nginx keeps bodies in files, which the page cache holds in memory; `aio threads` or a RAM disk change little for what is
asked for all the time. Its plain proxy stands beside it: a hit of ours is meant to cost no more than that.
"""

from __future__ import annotations

from bench.peers.base import Peer, Site
from bench.peers.haproxy import HAProxy
from bench.peers.nginx import Nginx
from bench.peers.wmesh import CONFIG, Wmesh
from bench.process import Launch


class CachedWmesh(Wmesh):
    def launch(self, binary: str, site: Site) -> Launch:
        launch = super().launch(binary, site)
        text = CONFIG.format(port=site.port, instances=", ".join(site.addresses()))
        site.write("mesh.ini", text + "proxy_caching_enabled = yes\n")
        return launch


class CachedNginx(Nginx):
    """With a zone of 64 MiB for keys and its default, files, for bodies."""

    def launch(self, binary: str, site: Site) -> Launch:
        launch = super().launch(binary, site)
        config = site.directory / "nginx.conf"
        path = f"    proxy_cache_path {site.directory}/cache levels=1:2 keys_zone=kept:64m use_temp_path=off;\n"
        config.write_text(config.read_text().replace("    upstream instances {", path + "    upstream instances {"))
        return launch


class CachedHAProxy(HAProxy):
    def launch(self, binary: str, site: Site) -> Launch:
        launch = super().launch(binary, site)
        config = site.directory / "haproxy.cfg"
        text = config.read_text().replace(
            "    balance roundrobin",
            "    balance roundrobin\n    http-request cache-use kept\n    http-response cache-store kept",
        )
        config.write_text(
            text + "\ncache kept\n    total-max-size 64\n    max-object-size 1000000\n    max-age 60\n"
            "    process-vary on\n"
        )
        return launch


_ALL: tuple[Peer, ...] = (
    CachedWmesh(),
    CachedNginx("nginx-cache", "proxy_cache", "            proxy_cache kept;"),
    CachedHAProxy(),
    Nginx("nginx", "no cache: every request goes to the backend", ""),
)

PROXIES = {peer.name: peer for peer in _ALL}
