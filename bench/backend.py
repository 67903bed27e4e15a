"""The instances behind the proxies: three ports that serve the same three bodies, cheaply and with keep-alive.

nginx (one process, one worker) where it can be found. What it serves is what a small web service would send: a 1 KiB
JSON document with a handful of response fields, from memory and in one write; 64 KiB and 10 MiB of data that does not
repeat, from the page cache by sendfile. Each port names itself in `X-Instance`, by which the run checks that a proxy
really balances. Without nginx, this file run as a program is the backend: an asyncio server that knows just enough
HTTP/1.1 (GET without a body) for this job.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import grp
import json
import os
import pwd
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.process import Launch

SIZES = {"64k": 64 * 1024, "10m": 10 * 1024 * 1024}


@functools.cache
def bodies() -> Mapping[str, bytes]:
    """Bodies by path without the slash. The same in every run."""
    names = ("Roma tomatoes", "Baby spinach", "Whole milk", "Rye bread", "Free range eggs", "Basmati rice", "Olive oil")
    items = [
        {"sku": f"{12345 + 97 * number}", "name": name, "price": round(0.79 + 1.35 * number, 2), "currency": "USD"}
        | {"store": 2280 + number, "stock": 40 - 3 * number, "tags": ["fresh", "pickup", "delivery"]}
        for number, name in enumerate(names)
    ]
    small = json.dumps({"total": len(items), "page": 1, "items": items, "note": ""}, separators=(",", ":"))
    small = small.replace('"note":""', f'"note":"{"." * (1024 - len(small))}"')
    source = random.Random(1)
    return {"small": small.encode(), **{name: source.randbytes(size) for name, size in SIZES.items()}}


NGINX_MAIN = """\
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile {files};
error_log stderr error;
pid {directory}/backend.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_timeout 300s;
    keepalive_requests 100000000;
    tcp_nodelay on;
    sendfile on;
    sendfile_max_chunk 2m;
    tcp_nopush on;
    open_file_cache max=16 inactive=10m;
    etag on;
    default_type application/octet-stream;
    client_body_temp_path {directory}/backend-body;
    proxy_temp_path {directory}/backend-proxy;
    add_header X-Instance $server_port;
    add_header Cache-Control "{control}";
    add_header Vary Accept-Encoding;
{servers}
}}
"""

NGINX_SERVER = """\
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {directory}/files;
        location = /small {{ default_type application/json; return 200 '{small}'; }}
    }}
"""


def nginx_user() -> str:
    """nginx gives up root for its workers unless told otherwise; they could not read the temporary directory then."""
    if os.geteuid():
        return ""
    return f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};"


def backend_launch(
    nginx: str | None, ports: Sequence[int], directory: Path, files: int, control: str = "private, max-age=30"
) -> Launch:
    """Write what the backend needs into `directory`, and say how to start it. `control` is its Cache-Control."""
    if nginx is None:
        root = Path(__file__).resolve().parents[1]
        argv = (sys.executable, "-m", "bench.backend", *map(str, ports))
        return Launch(argv, {"PYTHONPATH": str(root)})
    (directory / "files").mkdir()
    for name, body in bodies().items():
        (directory / "files" / name).write_bytes(body)
    small = bodies()["small"].decode()
    servers = "".join(NGINX_SERVER.format(port=port, directory=directory, small=small) for port in ports)
    config = directory / "backend.conf"
    text = NGINX_MAIN.format(user=nginx_user(), files=files, directory=directory, servers=servers, control=control)
    config.write_text(text)
    return Launch((nginx, "-p", str(directory), "-e", "stderr", "-c", str(config)))


class Answers(asyncio.Protocol):
    """One connection of the backend without nginx."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.buffer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        *heads, self.buffer = (self.buffer + data).split(b"\r\n\r\n")
        for head in heads:
            target = head.split(b" ", 2)[1].lstrip(b"/").decode("latin-1")
            body = bodies().get(target)
            close = b"\r\nconnection: close" in head.lower()
            status = b"200 OK" if body is not None else b"404 Not Found"
            body = body or b""
            fields = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), b"X-Instance: %d" % self.port]
            fields.append(b"Content-Type: application/json" if target == "small" else b"Content-Type: text/plain")
            if close:
                fields.append(b"Connection: close")
            self.transport.write(b"\r\n".join(fields) + b"\r\n\r\n" + body)
            if close:
                self.transport.close()


async def serve(ports: Sequence[int]) -> None:
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(functools.partial(Answers, port), "127.0.0.1", port, backlog=4096) for port in ports
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="bench.backend", description="The benchmark's backend where nginx is missing")
    parser.add_argument("port", type=int, nargs="+")
    asyncio.run(serve(parser.parse_args().port))
