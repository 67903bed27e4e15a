"""Where the registry's server is and how to be let in: `[registry] url` taken apart, and put together again. Pure.

    redis://[[user]:password@]host[:port][/db]              rediss://… the same over TLS [?ca=FILE][&cert=FILE&key=FILE]
    redis+sentinel://[login@]host[:port],host…/MASTER[/db]  rediss+sentinel://… the same over TLS, with the same options
                     ?sentinel_user=…&sentinel_password=…   …&sentinel_tls=no leaves the Sentinels in the clear
    unix:/path[?db=N]

Strategy: one reading for everybody who is given such a URL (mesh.ini, the environment, `wmesh register`, `wmesh.api`),
so that a URL that is good here is good there. Logins, options and paths are percent-decoded, so that any character can
stand in them. Errors never repeat any part of a URL, for a slip of the pen can make anything a piece of the password.
Passwords stay in their own fields, which `repr` leaves out; what people see of a target is its `label`. Whether files
and hosts exist is found out by those who use them.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote

from wmesh.errors import RegistryError

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379
SCHEMES = ("redis", "rediss", "redis+sentinel", "rediss+sentinel")

_PRINTABLE = re.compile(r"[!-~]*")
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MASTER = re.compile(r"[A-Za-z0-9._-]{1,128}")
_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?")
_PLACE = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::([0-9]{1,5}))?")

Place = tuple[str, int]
"""Host and port."""


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Who knows which server is the master of the name `master`. Their login is their own; none is sent without one."""

    places: tuple[Place, ...]
    master: str
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """One server, named by `path` (a Unix socket), by `host` and `port`, or by asking `sentinels`.

    `ca` is a file of trusted certificates, `cert` and `key` are files of a client's certificate (all PEM); they serve
    for Sentinels as well.
    """

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    tls: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    db: int = 0
    sentinels: Sentinels | None = None

    @property
    def places(self) -> tuple[Place, ...]:
        """Where to connect first: the server, or the Sentinels; none for a Unix socket."""
        if self.sentinels is not None:
            return self.sentinels.places
        return () if self.path else ((self.host, self.port),)

    @property
    def label(self) -> str:
        """The URL without passwords and files: for logs, errors and the admin API."""
        if self.path:
            return f"unix:{self.path}{f'?db={self.db}' if self.db else ''}"
        user = f"{_quoted(self.user)}@" if self.user else ""
        return self._main(user, f"/{self.db}" if self.db else "")

    @property
    def url(self) -> str:
        """The whole URL, with passwords: for the configuration, not for people. `parse_target` makes it this again."""
        if self.path:
            return f"unix:{quote(self.path)}?db={self.db}"
        login = _quoted(self.user) + (f":{_quoted(self.password)}" if self.password else "")
        options = {"ca": self.ca, "cert": self.cert, "key": self.key}
        if self.sentinels is not None:
            options["sentinel_user"] = self.sentinels.user
            options["sentinel_password"] = self.sentinels.password
            options["sentinel_tls"] = "no" if self.tls and not self.sentinels.tls else ""
        query = "&".join(f"{name}={_quoted(value)}" for name, value in options.items() if value)
        return self._main(f"{login}@" if login else "", f"/{self.db}") + (f"?{query}" if query else "")

    def _main(self, login: str, db: str) -> str:
        scheme = "rediss" if self.tls else "redis"
        places = ",".join(show_place(place) for place in self.places)
        if self.sentinels is None:
            return f"{scheme}://{login}{places}{db}"
        return f"{scheme}+sentinel://{login}{places}/{self.sentinels.master}{db}"

    def master_at(self, place: Place) -> Target:
        """The server that a Sentinel named."""
        return replace(self, host=place[0], port=place[1], sentinels=None)

    def sentinel_at(self, place: Place) -> Target:
        """One of the Sentinels."""
        assert self.sentinels is not None
        host, port = place
        by = self.sentinels
        return Target(host, port, "", by.tls, self.ca, self.cert, self.key, by.user, by.password)

    def scrub(self, text: str) -> str:
        """`text` without the passwords, should a server or a library ever repeat them."""
        for secret in (self.password, self.sentinels.password if self.sentinels else ""):
            text = text.replace(secret, "***") if len(secret) > 3 else text
        return text


def parse_target(url: str) -> Target:
    """The target that a URL means. Fails with RegistryError, which never repeats the URL: it may hold a password."""
    scheme, _, rest = url.partition(":")
    scheme = scheme.lower()
    rest, _, query = rest.partition("?")
    if "#" in url or not _PRINTABLE.fullmatch(url):
        raise RegistryError("the registry url cannot be read: # is written %23, a space %20, other letters as %XX")
    if scheme == "unix":
        if not rest.startswith("/") or re.match("//[^/]", rest):
            raise RegistryError("the registry url needs an absolute path: unix:/run/valkey.sock")
        options = _options(query, ("db",))
        return Target(path="/" + unquote(rest).lstrip("/"), db=_db(options["db"]))
    if scheme not in SCHEMES or not rest.startswith("//"):
        raise RegistryError(
            "the registry url must begin with memory:, embedded:, redis://, rediss://, redis+sentinel://, "
            "rediss+sentinel:// or unix:/"
        )
    authority, _, path = rest[2:].partition("/")
    login, _, places = authority.rpartition("@")
    user, _, password = login.partition(":")
    tls = scheme.startswith("rediss")
    known = ("ca", "cert", "key") if tls else ()
    if scheme.endswith("sentinel"):
        found = tuple(_place(text, SENTINEL_PORT) for text in places.split(","))
        master, _, db = path.partition("/")
        if not _MASTER.fullmatch(master):
            raise RegistryError(
                "the registry url names no master: after the Sentinels, /MASTER is what they call it "
                f"(letters, digits, dots, dashes, underscores), as in {scheme}://host:{SENTINEL_PORT}/mymaster/0"
            )
        options = _options(query, (*known, "sentinel_user", "sentinel_password", *(["sentinel_tls"] if tls else ())))
        target = Target(sentinels=_sentinels(found, master, tls, options))
    else:
        if "," in places:
            raise RegistryError(f"the registry url names several hosts, which only {scheme}+sentinel:// may do")
        ((host, port),) = (_place(places, DEFAULT_PORT),)
        db = path
        options = _options(query, known)
        target = Target(host, port)
    if bool(options.get("cert")) != bool(options.get("key")):
        raise RegistryError("the registry url needs both cert and key, or neither (they may name the same file)")
    return replace(
        target,
        tls=tls,
        user=_unquoted(user),
        password=_unquoted(password),
        db=_db(db),
        ca=options.get("ca", ""),
        cert=options.get("cert", ""),
        key=options.get("key", ""),
    )


def check_namespace(namespace: str) -> str:
    """The namespace, if it can be part of a key; braces would break the hash tag. Fails with RegistryError."""
    if not _NAMESPACE.fullmatch(namespace):
        raise RegistryError(f"namespace {namespace!r}: should be 1 to 64 letters, digits, dots, dashes, underscores")
    return namespace


def show_place(place: Place) -> str:
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read_places(text: str) -> tuple[Place, ...]:
    """Sentinels: host[:port], separated by commas. Fails with RegistryError."""
    return tuple(_place(item.strip(), SENTINEL_PORT) for item in text.split(","))


def _sentinels(places: tuple[Place, ...], master: str, tls: bool, options: dict[str, str]) -> Sentinels:
    wish = options.get("sentinel_tls", "").lower()
    if wish not in ("", "yes", "no"):
        raise RegistryError("the registry url's option sentinel_tls is yes or no")
    return Sentinels(places, master, tls and wish != "no", options["sentinel_user"], options["sentinel_password"])


def _place(text: str, default: int) -> Place:
    match = _PLACE.fullmatch(text)
    if match is None:
        raise RegistryError("the registry url cannot be read: host or port is malformed")
    bracketed, name, port = match.groups()
    if not (bracketed or name):
        raise RegistryError(f"the registry url names no host, or an empty one: host:{default}")
    if not (_is_ipv6(bracketed) if bracketed else _HOST_NAME.fullmatch(name)):
        raise RegistryError("the registry url cannot be read: host is malformed")
    number = int(port) if port else default
    if not 0 < number < 65536:
        raise RegistryError("the registry url cannot be read: port should be a number from 1 to 65535")
    return bracketed or name, number


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _options(query: str, known: tuple[str, ...]) -> dict[str, str]:
    """All known options; "" for those that the URL does not name. A plus is a plus, not a space."""
    options = dict.fromkeys(known, "")
    for item in filter(None, query.split("&")):
        name, equals, value = item.partition("=")
        if name not in options or not equals:
            raise RegistryError(
                "the registry url has an unknown option (or a ? in a password, which is written %3F); "
                + (f"there may be {', '.join(known)}" if known else "there are none for this kind")
            )
        options[name] = _unquoted(value)
    return options


def _db(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise RegistryError("the registry url ends in the number of a database, as in …/0")
    return int(text or 0)


def _quoted(text: str) -> str:
    # Passwords from the environment may hold bytes that are no UTF-8; they survive as lone surrogates.
    return quote(text, safe="", errors="surrogateescape")


def _unquoted(text: str) -> str:
    return unquote(text, errors="surrogateescape")
