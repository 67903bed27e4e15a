"""A client of the admin side for commands that ask once: where it is, one GET, and every failure in words.

Strategy: `http.client` of the standard library, one connection a question; no Twisted is loaded. Where to ask is said
by `--admin URL`, or by the gateway's own configuration (`--config FILE`: its `admin_listen`), or is the default,
http://127.0.0.1:8001. A Unix socket is `unix:/path`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from wmesh.cli.shapes import fits
from wmesh.cli.tables import clean
from wmesh.config import load
from wmesh.errors import ConfigError, MeshError
from wmesh.plugins import known

if TYPE_CHECKING:
    from http.client import HTTPConnection

DEFAULT = "http://127.0.0.1:8001"
TIMEOUT = 5.0


class AdminError(MeshError):
    """The gateway was not reached, or said no; the text is for people. `status` is 0 where there was no answer."""

    def __init__(self, reason: str, status: int = 0) -> None:
        self.status = status
        super().__init__(reason)


class Admin:
    """The admin side at `url`. Fails with AdminError if that is none."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            parts = urlsplit(url if "//" in url or url.startswith("unix:") else f"http://{url}")
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError:
            raise AdminError(f"{url}: not a URL; should be such as {DEFAULT}") from None
        self._path = parts.path if parts.scheme == "unix" else ""
        if parts.scheme not in ("http", "https", "unix") or not (self._host or self._path):
            raise AdminError(f"{url}: not a URL; should be such as {DEFAULT}, or unix:/run/wmesh/admin.sock")
        self._secure = parts.scheme == "https"
        self._prefix = "" if self._path else parts.path.rstrip("/")

    def get(self, *segments: str, shape: Any, query: Sequence[tuple[str, str]] = ()) -> Any:
        """The document at a path, which has this shape (see `wmesh.cli.shapes`).

        Fails with AdminError, which carries the reason that the gateway gave, or says that it is no gateway.
        """
        # Imported late, as are the connections: other commands open no socket and need none of this.
        from http.client import HTTPException

        path = "/".join([self._prefix, *(quote(segment, safe="") for segment in segments)])
        if query:
            path = f"{path}?{urlencode(query)}"
        connection = self._connection()
        try:
            connection.request("GET", path, headers={"Accept": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, HTTPException) as error:
            problem = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise AdminError(f"no gateway answers at {self.url}: {problem}; is it running? (--admin URL)") from error
        finally:
            connection.close()
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise self._stranger("it does not answer with JSON", answer.status) from None
        if answer.status != 200:
            if not fits(document, {"reason": str}):
                raise self._stranger(f"it answers {answer.status}, without a reason", answer.status)
            raise AdminError(document["reason"], answer.status)
        if not fits(document, shape):
            raise self._stranger(f"what it says at {path} is something else", answer.status)
        return document

    def _stranger(self, sign: str, status: int) -> AdminError:
        return AdminError(f"what answers at {self.url} is not the admin side of wmesh: {sign} (--admin URL)", status)

    def _connection(self) -> HTTPConnection:
        from http.client import HTTPConnection, HTTPSConnection

        from wmesh.cli.unix import UnixConnection

        if self._path:
            return UnixConnection(self._path, TIMEOUT)
        kind = HTTPSConnection if self._secure else HTTPConnection
        return kind(self._host, self._port, timeout=TIMEOUT)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where to ask, and for whom to print."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--admin", metavar="URL", help=f"the gateway's admin side (default: {DEFAULT})")
    where.add_argument("--config", metavar="FILE", help="ask the gateway that runs with this configuration")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def admin_for(arguments: argparse.Namespace) -> Admin:
    """The admin side that the arguments mean. Fails with AdminError, whose text may have several lines."""
    if arguments.config is None:
        return Admin(arguments.admin or DEFAULT)
    try:
        listen = load(arguments.config, os.environ, known()).config.gateway.admin_listen
    except ConfigError as error:
        raise AdminError(str(error)) from error
    if not listen:
        raise AdminError(f"{arguments.config}: the admin side is turned off (admin_listen is empty)")
    return Admin(url_of(listen))


def url_of(endpoint: str) -> str:
    """Where the admin side of a Twisted endpoint string is reached from this machine. Fails with AdminError."""
    # A colon within a value is written with a backslash: interface=\\:\\:1
    kind, *rest = (part.replace("\\", "") for part in re.split(r"(?<!\\):", endpoint))
    options = dict(part.split("=", 1) for part in rest if "=" in part)
    place = next((part for part in rest if "=" not in part), options.get("port") or options.get("address") or "")
    if kind == "unix" and place:
        return f"unix:{os.path.abspath(place)}"
    if kind in ("tcp", "tcp6", "ssl") and place.isdigit():
        host = options.get("interface", "")
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return f"{'https' if kind == 'ssl' else 'http'}://{f'[{host}]' if ':' in host else host}:{place}"
    raise AdminError(f"admin_listen is {kind}:…, and how to reach that is not known: use --admin URL")


def complain(error: Exception) -> int:
    """Print it, a line each, and answer the exit status for it."""
    for line in str(error).splitlines():
        print(f"wmesh: {clean(line)}", file=sys.stderr)
    return 1
