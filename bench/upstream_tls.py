"""What TLS to the instances costs: `python -m bench.upstream_tls --nginx PATH`.

One gateway with the same instance (nginx) behind it twice, plain and over TLS 1.3, asked in turns by `wrk`: CPU of the
gateway for each request, as in the big benchmark (see `bench/README.rst`), and what TLS adds. Connections to clients
are plain and kept. "connect" makes a new connection to the instance for each request, whose session is resumed.
"""

from __future__ import annotations

import argparse
import datetime
import ipaddress
import statistics
import sys
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench import cpu
from bench.backend import NGINX_MAIN, bodies, nginx_user
from bench.load import drive
from bench.measure import answers
from bench.peers.wmesh import gateway, twistd
from bench.process import Launch, children, free_ports, wait_until

SERVER = """\
    server {{
        listen 127.0.0.1:{port}{ssl} backlog=4096;
        ssl_certificate {directory}/cert.pem;
        ssl_certificate_key {directory}/key.pem;
        root {directory}/files;
        location = /small {{ default_type application/json; return 200 '{small}'; }}
    }}
"""

GATEWAY = """\
[gateway]
listen = tcp:{port}:backlog=4096:interface=127.0.0.1
admin_listen =

[registry]
url = memory:
"""

SERVICE = """
[service:{name}]
instances = 127.0.0.1:{port}
health_check_enabled = no
keepalive_connections = {kept}
{tls}
"""

CASES = (("small", "small", "", 64), ("64k", "64k", "", 64), ("10m", "10m", "", 8), ("connect", "small", "-new", 64))
"""Label, path, which service of the two, connections."""


def certificate(directory: Path) -> None:
    """Signed by itself, for the loopback address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    now = datetime.datetime.now(datetime.UTC)
    where = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(where, False)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "key.pem").write_bytes(secret)


def run(nginx: str, rounds: int, seconds: float, directory: Path) -> dict[tuple[str, str], list[float]]:
    """Microseconds for each request, by case and "plain" or "tls"."""
    port, plain, tls = free_ports(3)
    certificate(directory)
    (directory / "files").mkdir()
    for name, body in bodies().items():
        (directory / "files" / name).write_bytes(body)
    small = bodies()["small"].decode()
    servers = "".join(
        SERVER.format(port=each, ssl=ssl, directory=directory, small=small)
        for each, ssl in ((plain, ""), (tls, " ssl"))
    )
    main = NGINX_MAIN.format(user=nginx_user(), files=4096, directory=directory, servers=servers)
    (directory / "backend.conf").write_text(main)
    ini = GATEWAY.format(port=port)
    for name, to, options in (("plain", plain, ""), ("tls", tls, f"protocol = https\ntls_ca = {directory}/cert.pem")):
        for suffix, kept in (("", 128), ("-new", 0)):
            ini += SERVICE.format(name=name + suffix, port=to, kept=kept, tls=options)
    (directory / "mesh.ini").write_text(ini)
    instance = Launch((nginx, "-p", str(directory), "-e", "stderr", "-c", str(directory / "backend.conf")))
    found: dict[tuple[str, str], list[float]] = {}
    with children() as start:
        start("instance", instance, directory, {1})
        child = start("gateway", gateway(str(twistd()), directory / "mesh.ini"), directory, {0})
        wait_until(lambda: answers(port, "/plain/small") and answers(port, "/tls/small"), child)
        for turn in range(rounds + 1):  # the first warms up, and does not count
            for label, path, suffix, connections in CASES:
                for kind in ("plain", "tls"):
                    before = cpu.cpu_time([child.pid])
                    load = drive(f"http://127.0.0.1:{port}/{kind}{suffix}/{path}", connections, seconds)
                    spent = cpu.between(before, cpu.cpu_time([child.pid]))
                    if load.wrong or load.read_errors or load.timeouts:
                        raise SystemExit(f"{label} over {kind}: {load}")
                    if turn:
                        found.setdefault((label, kind), []).append(spent / 1000 / load.requests)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.upstream_tls", description=__doc__)
    parser.add_argument("--nginx", required=True, metavar="PATH", help="an nginx that was built with TLS")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="for each measurement")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = run(chosen.nginx, chosen.rounds, chosen.seconds, Path(directory))
    print(f"{'case':<10}{'plain':>10}{'TLS':>10}{'added':>10}   microseconds of CPU for each request, medians")
    for label, *_ in CASES:
        plain, tls = (statistics.median(found[label, kind]) for kind in ("plain", "tls"))
        print(f"{label:<10}{plain:>10.1f}{tls:>10.1f}{tls - plain:>10.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
