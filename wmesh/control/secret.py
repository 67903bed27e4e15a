"""The secret that signs the cookies of sticky sessions: configured, or made once and kept in the state directory.

It has to outlive restarts, or every restart would send all clients to other instances; gateways behind one address have
to share it, which only the configuration can see to.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from wmesh.control.state_file import replace_file
from wmesh.errors import ConfigError, Problem
from wmesh.model import MeshConfig

FILE = "sticky.key"
LENGTH = 32


def sticky_secret(config: MeshConfig) -> bytes:
    """Empty where no service is sticky. Fails with ConfigError if the file cannot be read or made."""
    if not any(spec.sticky.enabled for spec in config.services):
        return b""
    if config.gateway.sticky_secret:
        return config.gateway.sticky_secret.encode()
    path = Path(config.mesh.state_dir, FILE)
    try:
        return _read(path) or _make(path)
    except OSError as error:
        problem = f"the secret of sticky sessions cannot be kept: {error.strerror}"
        hint = "give [gateway] sticky_secret, or a state_dir that can be written"
        raise ConfigError([Problem(str(path), 0, "", "", problem, hint)]) from error


def _read(path: Path) -> bytes:
    """What the file holds; nothing if there is none, or if it was cut short."""
    try:
        secret = bytes.fromhex(path.read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return b""
    return secret if len(secret) >= LENGTH else b""


def _make(path: Path) -> bytes:
    secret = secrets.token_bytes(LENGTH)
    replace_file(path, secret.hex().encode("ascii"))
    return secret
