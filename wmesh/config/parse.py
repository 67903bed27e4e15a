"""INI text and environment in, a whole and valid `MeshConfig` out, or every problem at once.

Strategy: four stages write into one draft. The file is read into sections and options (`reader`), each value by its
kind (`schema`); the environment goes over it (`environment`); the records are built; rules between options are checked
(`checks`). No stage stops at a problem, and none runs on values that an earlier one refused. Only `load` touches the
file system, and only to read the one file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from wmesh.balance import STRATEGIES
from wmesh.config import checks, environment, routes
from wmesh.config.draft import Draft, Origin
from wmesh.config.kinds import Kind
from wmesh.config.option import Option
from wmesh.config.reader import Entry, Section, read
from wmesh.config.schema import RESERVED, ROUTE, SECTIONS, SERVICE, SERVICE_NAME, SectionKind, kind_for, kind_of
from wmesh.config.tls_rules import as_traffic
from wmesh.config.wording import Invalid, did_you_mean, nearest, quoted
from wmesh.errors import ConfigError, Problem
from wmesh.model import (
    AdaptiveSpec,
    BreakerSpec,
    CacheSpec,
    CheckSpec,
    FallbackSpec,
    GatewaySpec,
    HedgeSpec,
    MeshConfig,
    MeshSpec,
    OutlierSpec,
    QueueSpec,
    RegistrySpec,
    RetrySpec,
    RouteSpec,
    ScalingSpec,
    ServiceSpec,
    StickySpec,
    TlsSpec,
)

INNER: Mapping[str, type[Any]] = {
    "adaptive": AdaptiveSpec,
    "breaker": BreakerSpec,
    "cache": CacheSpec,
    "check": CheckSpec,
    "fallback": FallbackSpec,
    "hedge": HedgeSpec,
    "outlier": OutlierSpec,
    "queue": QueueSpec,
    "retry": RetrySpec,
    "scaling": ScalingSpec,
    "sticky": StickySpec,
    "tls": TlsSpec,
}
"""Records inside that of a service, by field."""

_service_name = re.compile(SERVICE_NAME)
_any_option = re.compile(r"([a-z_]+)\s*=")
_spaced_option = re.compile(r"([a-z_]+)\s+=")
# What other programs call these things.
_aliases = {"fall": "health_check_retries", "rise": "health_check_rise", "ttl": "proxy_cache_ttl", "bind": "listen"}
_of_routes = ("host", "location", "path", "prefix", "route", "routes", "rule")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration, and where each of its values came from, by (section, option) as the file names them."""

    config: MeshConfig
    origins: Mapping[tuple[str, str], Origin]


def load(path: str, environ: Mapping[str, str], strategies: Collection[str] = tuple(STRATEGIES)) -> Loaded:
    """Read a file and parse it. Raises `ConfigError`, also where the file cannot be read."""
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError([_file_problem(path, 0, f"cannot be read: {error.strerror or error}")]) from error
    except ValueError:
        raise ConfigError([_file_problem(path, 0, "is not a path")]) from None
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        raise ConfigError([_file_problem(path, line, message, "save the file as UTF-8")]) from None
    return parse(text, path, environ, strategies)


def parse(
    text: str, source: str, environ: Mapping[str, str], strategies: Collection[str] = tuple(STRATEGIES)
) -> Loaded:
    """Understand a configuration. `source` is what messages call it. Raises `ConfigError` with all problems.

    `strategies` are the names that `load_balancing_strategy` may have (see `wmesh.plugins`).
    """
    draft = Draft(source, strategies)
    sections, draft.problems = read(text, source)
    for section in sections:
        _section(draft, section)
    environment.apply(draft, environ)
    config = _build(draft)
    checks.check(draft, config)
    if draft.problems:
        raise ConfigError(sorted(draft.problems, key=lambda problem: (problem.source != source, problem.line)))
    config = MeshConfig(config.mesh, config.gateway, config.registry, config.services, tuple(draft.notes))
    return Loaded(config, _origins(draft))


def _file_problem(path: str, line: int, message: str, hint: str = "") -> Problem:
    return Problem(path, line, "", "", message, hint)


def _section(draft: Draft, section: Section) -> None:
    """One section of the file: is it known, and what do its options say?"""
    kind = kind_of(section.name)
    _, _, name = section.name.partition(":")
    if kind is None:
        draft.file_problem(section.line, section.name, "", "no section has this name", _section_hint(section.name))
        # So that services that depend on it are not blamed for the slip.
        draft.declared.update(re.findall(r"[a-z0-9\-]+", section.name))
        return
    if kind is SERVICE:
        if section.name not in draft.headers:
            _service(draft, section, name)
        draft.declared.add(name)
    elif kind is ROUTE and section.name not in draft.headers and _named(draft, section, name, "route"):
        draft.routes.append(name)
    draft.headers.setdefault(section.name, section.line)
    for entry in section.entries:
        _entry(draft, section.name, kind, entry)


def _service(draft: Draft, section: Section, name: str) -> None:
    if not _named(draft, section, name, "service"):
        return
    if name == RESERVED:
        draft.file_problem(
            section.line, section.name, "", "this name belongs to the gateway's own admin side", "choose another"
        )
    else:
        draft.services.append(name)


def _named(draft: Draft, section: Section, name: str, what: str) -> bool:
    """Whether the name behind the colon can be one; else that is told."""
    if _service_name.fullmatch(name):
        return True
    hint = "use lower-case letters, digits and '-', at most 63, with a letter or digit at both ends"
    draft.file_problem(section.line, section.name, "", f"{quoted(name)} is not a name for a {what}", hint)
    return False


def _section_hint(name: str) -> str:
    if match := re.fullmatch(r"(service|route)s?[ .\-_/:]+([^ ]+)", name, re.IGNORECASE):
        return f"did you mean [{match[1].lower()}:{quoted(match[2])[1:-1]}]?"
    plain = [kind.name for kind in SECTIONS.values() if not kind.named]
    if name in ("service", "route"):
        return f"write [{name}:NAME]"
    if (meant := nearest(name, plain)) is not None:
        return f"did you mean [{meant}]?"
    headers = ", ".join(kind.header for kind in SECTIONS.values())
    if _service_name.fullmatch(name):
        return f"for a service write [service:{name}]; known: {headers}"
    return f"known: {headers}"


def _entry(draft: Draft, section: str, kind: SectionKind, entry: Entry) -> None:
    """One option of the file."""
    option = kind.known.get(entry.name)
    origin = Origin(draft.source, entry.line)
    if option is None:
        draft.file_problem(entry.line, section, entry.name, *_no_option(entry.name, kind))
        return
    # In a command, name=value may be an argument; name = value hardly is.
    slip = _spaced_option if entry.name == "command" else _any_option
    for number, row in entry.rows[1:]:
        if (match := slip.match(row)) and match[1] in kind.known:
            message = f"this line is indented, so it belongs to {entry.name}"
            draft.file_problem(number, section, match[1], message, "begin it where the other options begin")
            draft.spoil(section, match[1], Origin(draft.source, number))
            draft.spoil(section, entry.name, origin)
            return
    try:
        value = _value(entry, option, kind_for(option, draft.strategies))
    except Invalid as error:
        for bad in (error, *error.others):
            draft.file_problem(entry.line_of(bad.row), section, entry.name, bad.message, bad.hint)
        draft.spoil(section, entry.name, origin)
        return
    draft.put(section, entry.name, value, origin)


def _value(entry: Entry, option: Option, kind: Kind) -> object:
    if not entry.text.strip():
        if kind.empty is None:
            example = option.example.partition("=")[2].split("\n")
            raise Invalid("the value is missing", f"write for example {next(line for line in example if line).strip()}")
        return kind.empty
    if kind.many:
        return kind.read(entry.text)
    rows = [row for _, row in entry.rows if row]
    if len(rows) > 1:
        raise Invalid("the value has several lines", "this option takes one; begin other options further left", 1)
    return kind.read(rows[0])


def _no_option(name: str, kind: SectionKind) -> tuple[str, str]:
    """What to say of a name that means nothing in such a section."""
    known = kind.known
    if kind is ROUTE and name in _of_routes:
        return "no option has this name", "did you mean match?"
    if kind is ROUTE and name in SERVICE.options:
        why = SERVICE.options[name].shared
        message = f"a route has no {name} of its own{f': {why}' if why else ''}"
        return message, "set it in the [service:NAME] that the route is for"
    if name.lower() in known:
        hint = f"write {name.lower()}"
    elif homes := [other.header for other in SECTIONS.values() if name in other.known]:
        hint = f"it belongs into {' or '.join(homes)}"
    else:
        hint = did_you_mean(_aliases.get(name.lower(), name), known) or f"known: {', '.join(known)}"
    return "no option has this name", hint


def _build(draft: Draft) -> MeshConfig:
    """The records, with defaults where nothing usable was said."""
    routes.adopt(draft)
    return MeshConfig(
        mesh=MeshSpec(**_fields(draft, "mesh")),
        gateway=GatewaySpec(**_fields(draft, "gateway")),
        registry=RegistrySpec(**_fields(draft, "registry")),
        services=tuple(_service_spec(draft, name) for name in draft.services),
    )


def _service_spec(draft: Draft, name: str) -> ServiceSpec:
    section = f"service:{name}"
    values = _fields(draft, section)
    inner = {name: record(**values.pop(name, {})) for name, record in INNER.items()}
    check = inner.pop("check")
    if not draft.given(section, "health_check_fast_interval") and check.fast_interval > check.interval:
        check = replace(check, fast_interval=check.interval)
    scaling = inner.pop("scaling")
    if not draft.given(section, "max_instances") and scaling.max_instances < scaling.min_instances:
        scaling = replace(scaling, max_instances=scaling.min_instances)
    if values.get("protocol") == "websocket":
        # They stay for hours, and many of them are no sign of trouble.
        values.setdefault("max_connections", 0)
    values["routes"] = routes.all_routes(draft, name, values.get("routes", (RouteSpec("", f"/{name}/"),)))
    spec = ServiceSpec(name=name, check=check, scaling=scaling, **inner, **values)
    spec = replace(spec, check=as_traffic(draft, section, check, spec.tls, spec.secure))
    return spec if spec.proxy_enabled else replace(spec, routes=())


def _fields(draft: Draft, section: str) -> dict[str, Any]:
    """The given values under the names of the record's fields; those of a record inside it as a dictionary."""
    kind = kind_of(section)
    assert kind is not None
    fields: dict[str, Any] = {}
    for name, value in draft.values_of(section).items():
        record, dot, inner = kind.known[name].path.partition(".")
        if dot:
            fields.setdefault(record, {})[inner] = value
        else:
            fields[record] = value
    return fields


def _origins(draft: Draft) -> Mapping[tuple[str, str], Origin]:
    found: dict[tuple[str, str], Origin] = {}
    services, sections = (f"service:{name}" for name in draft.services), map(routes.route_section, draft.routes)
    for section in ("mesh", "gateway", "registry", *services, *sections):
        kind = kind_of(section)
        assert kind is not None
        for option in kind.known:
            found[section, option] = draft.origin(section, option)
    return MappingProxyType(found)
