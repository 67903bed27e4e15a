"""Where a registry server is and how to be let in: `[registry] url` taken apart. Pure.

    redis://[[user]:password@]host[:port][/db]      rediss://… (TLS)[?ca=FILE]      unix:/path[?db=N]

User and password are percent-decoded, so that any character can stand in them. The password stays in its one field,
which `repr` leaves out; what people see of a target is `label`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from wmesh.errors import RegistryError

DEFAULT_PORT = 6379
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Target:
    """One server. Either `path` (a Unix socket) or `host` is set; `ca` is a file of trusted certificates (PEM)."""

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    tls: bool = False
    ca: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    db: int = 0

    @property
    def label(self) -> str:
        """The URL without the password: for logs, errors and the admin API."""
        db = f"/{self.db}" if self.db else ""
        if self.path:
            return f"unix:{self.path}{f'?db={self.db}' if self.db else ''}"
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{user}{host}:{self.port}{db}"

    def scrub(self, text: str) -> str:
        """`text` without the password, should a server or a library ever repeat it."""
        return text.replace(self.password, "***") if len(self.password) > 3 else text


def parse_target(url: str) -> Target:
    """The target that a URL means. Fails with RegistryError, which never repeats the URL: it may hold a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise RegistryError("the registry url cannot be read: host or port is malformed") from None
    options = _options(parts)
    if parts.scheme == "unix":
        if not parts.path.startswith("/"):
            raise RegistryError("the registry url needs an absolute path: unix:/run/valkey.sock")
        return Target(path=unquote(parts.path), db=_db(options.pop("db", ""), options))
    if parts.scheme not in ("redis", "rediss"):
        raise RegistryError("the registry url must begin with memory:, embedded:, redis://, rediss:// or unix:/")
    if not parts.hostname:
        raise RegistryError(f"the registry url names no host: {parts.scheme}://host:{DEFAULT_PORT}/0")
    tls = parts.scheme == "rediss"
    ca = options.pop("ca", "") if tls else ""
    return Target(
        host=parts.hostname,
        port=port or DEFAULT_PORT,
        tls=tls,
        ca=ca,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        db=_db(parts.path.strip("/"), options),
    )


def check_namespace(namespace: str) -> str:
    """The namespace, if it can be part of a key; braces would break the hash tag. Fails with RegistryError."""
    if not _NAMESPACE.fullmatch(namespace):
        raise RegistryError(f"namespace {namespace!r}: should be 1 to 64 letters, digits, dots, dashes, underscores")
    return namespace


def _options(parts: SplitResult) -> dict[str, str]:
    return dict(parse_qsl(parts.query, keep_blank_values=True))


def _db(text: str, left: dict[str, str]) -> int:
    if left:
        raise RegistryError(
            f"the registry url has an unknown option {min(left)!r}; only ca (rediss) and db (unix) exist"
        )
    if text and not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise RegistryError("the registry url ends in the number of a database: redis://host:6379/0")
    return int(text or 0)
