"""`wmesh explain URL`: where the gateway would send a request now, and why; or what became of one, by its id.

Asks the admin side (see `wmesh.cli.admin`); nothing is sent to any instance.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from wmesh.cli.admin import AdminError, add_options, admin_for, complain
from wmesh.cli.shapes import DECISION, EXPLAINED
from wmesh.cli.tables import clean, table


def add(commands: Any) -> None:
    """Describe the arguments."""
    parser = commands.add_parser(
        "explain",
        help="show where a request would go now, and why",
        description="Show where the gateway would send a request now, with the score of every candidate and every"
        " reason against the others; or, with --request, what became of a request. Exit status: 0 somebody would be"
        " picked (or the request is known), 1 nobody, or not reached, 2 called wrongly.",
    )
    parser.add_argument("url", metavar="URL", nargs="?", help="a path such as /shop/cart, or a whole URL")
    parser.add_argument("--service", metavar="NAME", help="a service instead of a URL")
    parser.add_argument("--request", metavar="ID", help="a request by its id (X-Request-Id)")
    parser.add_argument("--method", metavar="M", help="its method (default: GET)")
    parser.add_argument("--client", metavar="ADDRESS", help="the client's address (default: 127.0.0.1)")
    parser.add_argument("--header", metavar="NAME:VALUE", action="append", default=[], help="a header field it has")
    add_options(parser)
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the explanation, or the JSON."""
    if sum(map(bool, (arguments.url, arguments.service, arguments.request))) != 1:
        return _wrong("explain what? a URL, --service NAME, or --request ID")
    if not arguments.url and (arguments.method or arguments.header):
        return _wrong("--method and --header say what a request looks like; they need a URL")
    if arguments.request and arguments.client:
        return _wrong("--client needs a URL or --service NAME; where a past request came from is known")
    try:
        query = [] if arguments.request else _query(arguments)
    except ValueError as error:
        return _wrong(f"{arguments.url} is not a URL: {error}")
    try:
        admin = admin_for(arguments)
        if arguments.request:
            document = admin.get("service-mesh", "decisions", arguments.request, shape=DECISION)
        else:
            document = admin.get("service-mesh", "explain", shape=EXPLAINED, query=query)
    except AdminError as error:
        return complain(error)
    if arguments.json:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        for line in decision_lines(document) if arguments.request else lines(document):
            print(clean(line))
    return 0 if arguments.request or document.get("pick") else 1


def _wrong(text: str) -> int:
    print(f"wmesh: {text}", file=sys.stderr)
    return 2


def _query(arguments: argparse.Namespace) -> list[tuple[str, str]]:
    query = [("client", arguments.client)] if arguments.client else []
    if arguments.service:
        return [("service", arguments.service), *query]
    parts = urlsplit(arguments.url)
    path = parts.path or "/"
    query.append(("path", f"{path}?{parts.query}" if parts.query else path))
    host = parts.netloc.rpartition("@")[2]
    if host:
        query.append(("host", host))
    if arguments.method:
        query.append(("method", arguments.method))
    return [*query, *(("header", header) for header in arguments.header)]


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The explanation for people."""
    if document.get("route"):
        yield f"route      {document['route']}, which the instance sees as {document['target']}"
    if document.get("service") is None:
        yield f"pick       nobody: {document['why']}"
        return
    if document.get("section"):
        options = document.get("options") or {}
        own = [f"{name} = {options.get(name) or '(empty)'}" for name in document.get("overridden") or ()]
        yield f"section    [{document['section']}]{': ' if own else ''}{', '.join(own)}"
    yield f"service    {document['service']}, {document['strategy']}"
    for name, label in (("subset", "subset"), ("zone", "zone"), ("key", "hashed"), ("bound", "bound to")):
        if document.get(name):
            yield f"{label:<10} {document[name]}"
    if document.get("hedging"):
        after, samples = document["hedging"].get("after_ms"), document["hedging"].get("samples")
        known = "" if samples is None else f"; {samples} answers are known"
        yield f"hedged     {f'after {after:g} ms' if after is not None else 'not yet'}{known}"
    if document["panic"]:
        yield "panic      too few are well, so the evidence is not believed"
    yield f"pick       {document['pick'] or 'nobody'}: {document['why']}"
    if document["candidates"]:
        yield ""
        rows = [
            (one["id"], one["address"], f"{one['score']:g}", one["note"], "; ".join(one["reasons"]) or "-")
            for one in document["candidates"]
        ]
        yield from table(("CANDIDATE", "ADDRESS", "SCORE", "MADE OF", "BUT"), rows, ("SCORE",))
    if document["excluded"]:
        yield ""
        out = [(one["id"], one["address"], "; ".join(one["reasons"])) for one in document["excluded"]]
        yield from table(("EXCLUDED", "ADDRESS", "BECAUSE"), out)
    for name in ("candidates", "excluded"):
        more = document[f"{name}_total"] - len(document[name])
        if more:
            yield f"{more} more {name} are not shown"


def decision_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """What became of a request, for people."""
    yield f"request    {document['request_id']}, {document['ago_seconds']:g} s ago"
    yield f"asked      {document['method']} {document['target']}"
    if document["service"]:
        yield f"route      {document['route']} to {document['service']}, {document['strategy']}"
    status = document["status"] or "broken off"
    source = document["instance"] or "the gateway itself"
    yield f"answer     {status} after {document['milliseconds']:g} ms, from {source}"
    for step in document["steps"]:
        yield f"{step['at_ms']:>8.1f} ms {step['what']}"
