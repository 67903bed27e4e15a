"""Request targets and the Host field (RFC 9112 section 3.2, RFC 3986).

A target must mean the same to us and to the instance that gets it: so fragments, and dot segments (plain or percent-
encoded), by which one path can be taken for another, are refused; browsers and curl resolve them before they ask.
"""

from __future__ import annotations

import re

from wmesh.errors import WireError

_HOST = re.compile(rb"(?:(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?\Z")
# What an instance may take for the slash between two segments stands on either side: some decode before they split,
# and WHATWG URL parsers read a backslash as a slash.
_DOT_SEGMENT = re.compile(rb"(?:/|\\|%2[fF]|%5[cC])(?:\.|%2[eE]){1,2}(?:[/\\;]|%2[fF]|%5[cC]|\Z)")
_SUSPECT = re.compile(rb"[#%\\]|/\.")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#]*)([^#]*)\Z")

_GOOD_HOSTS: dict[bytes, bytes] = {}
_GOOD_HOSTS_LIMIT = 1024


def host_name(host: bytes) -> bytes:
    """The name in a Host field value: lower case, no port, no trailing dot. Raises WireError (400)."""
    name = _GOOD_HOSTS.get(host)
    if name is None:
        match = _HOST.match(host)
        if match is None or int(match.group(1) or 0) > 65535:
            raise WireError("the Host field is not a host name with an optional port")
        name = host.lower()
        if name.startswith(b"["):
            name = name[: name.index(b"]") + 1]
        else:
            name = name.partition(b":")[0].rstrip(b".")
        if not name:
            raise WireError("the Host field names no host")
        if len(_GOOD_HOSTS) < _GOOD_HOSTS_LIMIT:
            _GOOD_HOSTS[host] = name
    return name


def check_path(target: bytes) -> None:
    """Refuse what an instance might read as another path than we do. Raises WireError (400)."""
    if _SUSPECT.search(target) is None:
        return
    if b"#" in target:
        raise WireError("a request target has no fragment (#)")
    path = target.partition(b"?")[0]
    if b"\\" in path:
        raise WireError("a path has no backslash; some would read it as a slash")
    if _DOT_SEGMENT.search(path):
        raise WireError("the path has dot segments; resolve them before asking")


def split_absolute(target: bytes) -> tuple[bytes, bytes]:
    """(host, origin-form target) of an absolute-form target, as RFC 9112 section 3.2.2 asks. Raises WireError (400)."""
    match = _ABSOLUTE.match(target)
    if match is None:
        raise WireError("the request target is neither a path nor an http(s) URL")
    host, rest = match.groups()
    if b"@" in host:
        raise WireError("a request target has no user information")
    if not rest.startswith(b"/"):
        rest = b"/" + rest
    return host, rest
