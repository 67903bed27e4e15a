"""Configurations: the grocery's own mesh.ini at other ports, and small static meshes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from configparser import ConfigParser
from dataclasses import dataclass, field
from pathlib import Path

from tests.ports import free_port

ROOT = Path(__file__).parents[2]

NAMES = (
    "walmart-api-server",
    "walmart-websocket",
    "walmart-pricing",
    "walmart-nlp-queue",
    "walmart-cache-warmer",
    "walmart-memory-monitor",
)

Overrides = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Mesh:
    """The text of a mesh.ini, and where its gateway and its admin side will be."""

    text: str = field(repr=False)
    port: int
    admin: int


SEEN = {"proxy_caching_enabled": "no"}
"""For tests in which every request has to be seen by an instance."""


def grocery(*services: str, changes: Overrides | None = None, registry: str = "embedded:") -> Mesh:
    """etc/mesh.ini at free ports; of its services all, or those named. Its other files are in the working directory.

    `changes` are put over it, by section and option. Of a service that is left out, nobody depends any more.
    """
    port, admin = free_port(), free_port()
    ini = ConfigParser(interpolation=None, comment_prefixes=("#",))
    ini.read(ROOT / "etc" / "mesh.ini")
    kept = services or NAMES
    for name in NAMES:
        section = f"service:{name}"
        if name not in kept:
            ini.remove_section(section)
            continue
        command = ini.get(section, "command")
        command = command.replace("examples/grocery/", f"{ROOT}/examples/grocery/").replace(":8000", f":{port}")
        ini.set(section, "command", command)
        ini.set(section, "port", str(free_port()))
        wanted = [each.strip() for each in ini.get(section, "dependencies", fallback="").split(",")]
        ini.set(section, "dependencies", ", ".join(each for each in wanted if each in kept))
    ini.set("gateway", "listen", f"tcp:{port}:interface=127.0.0.1")
    ini.set("gateway", "admin_listen", f"tcp:{admin}:interface=127.0.0.1")
    ini.set("registry", "url", registry)
    _put(ini, changes or {})
    return Mesh(_text(ini), port, admin)


def static(instances: Iterable[str], *, changes: Overrides | None = None, service: str | None = "x") -> Mesh:
    """One service at fixed addresses that gets everything but what goes to the admin side; or none, if `service` is."""
    port, admin = free_port(), free_port()
    ini = ConfigParser(interpolation=None)
    first: dict[str, dict[str, str]] = {
        "gateway": {
            "listen": f"tcp:{port}:interface=127.0.0.1",
            "admin_listen": f"tcp:{admin}:interface=127.0.0.1",
        },
        "registry": {"url": "memory:"},
    }
    if service is not None:
        first[f"service:{service}"] = {
            "instances": ", ".join(instances),
            "routes": "/",
            "strip_prefix": "no",
            "health_endpoint": "/health",
        }
    _put(ini, first)
    _put(ini, changes or {})
    return Mesh(_text(ini), port, admin)


def _put(ini: ConfigParser, changes: Overrides) -> None:
    for section, options in changes.items():
        if not ini.has_section(section):
            ini.add_section(section)
        for option, value in options.items():
            ini.set(section, option, value)


def _text(ini: ConfigParser) -> str:
    text = io.StringIO()
    ini.write(text)
    return text.getvalue()
