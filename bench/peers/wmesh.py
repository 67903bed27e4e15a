"""wmesh itself: a static mesh of one service, run as anyone would, by twistd."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Mapping
from importlib import metadata, util
from pathlib import Path

from bench.peers.base import Places, Site
from bench.process import Launch

CONFIG = """\
[gateway]
listen = tcp:{port}:backlog=4096:interface=127.0.0.1
admin_listen =

[registry]
url = memory:

[service:instances]
instances = {instances}
routes = /
strip_prefix = no
"""

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: `wmesh` and `twisted/plugins` are found from here, installed or not."""


def twistd() -> str | None:
    """The program, of the environment that runs this."""
    return shutil.which("twistd", path=str(Path(sys.executable).parent))


def gateway(binary: str, config: Path | str) -> Launch:
    """The gateway of this checkout, in the foreground, with this mesh.ini. `binary` is a twistd."""
    argv = (sys.executable, binary, "-n", "--pidfile=", "wmesh", "--config", str(config))
    return Launch(argv, {"PYTHONPATH": str(ROOT)})


class Wmesh:
    name = "wmesh"
    how_to_get = "run this in a checkout, with its requirements installed (pip install -e .)"
    remark = ""
    skips: Mapping[str, str] = {}

    def find(self, where: Places) -> str | None:
        if util.find_spec("wmesh.tap") is None:
            return None
        return twistd()

    def version(self, binary: str) -> str:
        from wmesh import __version__

        return f"{__version__} (Python {platform.python_version()}, Twisted {metadata.version('twisted')})"

    def launch(self, binary: str, site: Site) -> Launch:
        config = site.write("mesh.ini", CONFIG.format(port=site.port, instances=", ".join(site.addresses())))
        return gateway(binary, config)
