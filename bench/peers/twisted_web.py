"""twisted.web.proxy, the reverse proxy that comes with Twisted: what wmesh would be had it been built the easy way.

It asks instances to close the connection, and passes their "Connection: close" on to the client: with it, every case is
one of connections per request. That is how it comes, so that is how it is measured.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from bench.peers.base import Places, Site
from bench.process import Launch


class TwistedWeb:
    name = "twisted.web.proxy"
    how_to_get = "pip install twisted"
    remark = "closes every connection after one answer, on both sides"
    skips: Mapping[str, str] = {"idle": "it keeps no client connection open"}

    def find(self, where: Places) -> str | None:
        try:
            metadata.version("twisted")
        except metadata.PackageNotFoundError:
            return None
        return sys.executable

    def version(self, binary: str) -> str:
        return metadata.version("twisted")

    def launch(self, binary: str, site: Site) -> Launch:
        program = Path(__file__).with_name("twisted_web_proxy.py").resolve()
        return Launch((binary, str(program), str(site.port), *map(str, site.instances)))
