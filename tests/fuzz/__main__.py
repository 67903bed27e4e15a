"""Throws mutated requests at a real gateway and watches both of its sides.

For every connection: the bytes are sent, the client's side is closed, and everything that comes back is read. Then

- what reached the instance must have been flawless HTTP/1.1 to h11, one whole request after the other;
- as many answers of the instance must have reached the client as requests reached the instance, or the connection
  must have been cut: otherwise one request meant two things;
- what came back must be flawless HTTP/1.1 to h11 as well;
- where h11, as the second opinion, finds nothing but whole, good requests, and the gateway refuses them, or the other
  way round, the difference is counted by the gateway's reason and one example of each kind is shown.

At the end the gateway must still serve, and its memory must not have grown. Exit status 1 if anything above is broken.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random

import h11

from tests.fuzz.mutate import pieces, request

CONFIG = """
[gateway]
listen = tcp:{port}:interface=127.0.0.1
admin_listen =
header_timeout = 1s
body_timeout = 1s
[registry]
url = memory:
[service:x]
instances = 127.0.0.1:{instance}
routes = /
strip_prefix = no
health_check_enabled = no
"""


class Instance:
    """A server that h11 stands guard over: it answers each request with 200 and counts them."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.socket.getsockname()[1]
        self.requests = 0
        self.broken: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self.socket.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=200_000)
        seen = body = b""
        with client:
            while True:
                try:
                    event = connection.next_event()
                except h11.RemoteProtocolError as problem:
                    self.broken.append(f"{problem}: {seen[-600:]!r}")
                    return
                if event is h11.NEED_DATA:
                    try:
                        data = client.recv(65536)
                    except OSError:
                        return
                    seen = seen[-2000:] + data
                    if not data and connection.their_state is h11.SEND_BODY:
                        return  # the gateway cut a request off, as it must when the client did
                    connection.receive_data(data)
                elif isinstance(event, h11.Request):
                    body = b"" if event.method == b"HEAD" else b"ok"
                    names = [name for name, _ in event.headers]
                    if names.count(b"host") != 1 or (b"content-length" in names and b"transfer-encoding" in names):
                        self.broken.append(f"Host or framing is ambiguous: {event}")
                elif isinstance(event, h11.EndOfMessage):
                    self.requests += 1
                    head = h11.Response(status_code=200, headers=[("X-Instance", "yes"), ("Content-Length", "2")])
                    answer = (connection.send(head) or b"") + (connection.send(h11.Data(body)) or b"")
                    answer += connection.send(h11.EndOfMessage()) or b""
                    try:
                        client.sendall(answer)
                    except OSError:
                        return
                    if connection.our_state is not h11.DONE:
                        return
                    connection.start_next_cycle()
                elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                    return


def second_opinion(data: bytes) -> tuple[int, str]:
    """How many whole requests h11 finds, and its complaint about what follows them ("" for none)."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=200_000)
    connection.receive_data(data)
    whole = 0
    while True:
        try:
            event = connection.next_event()
            if isinstance(event, h11.EndOfMessage):
                whole += 1
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE:
                    return whole, ""
                connection.start_next_cycle()
            elif event is h11.NEED_DATA:
                begun = connection.trailing_data[0] or connection.their_state is not h11.IDLE
                return whole, "incomplete" if begun else ""
            elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return whole, ""
        except (h11.RemoteProtocolError, h11.LocalProtocolError) as problem:
            return whole, str(problem)


def converse(port: int, parts: list[bytes]) -> tuple[bytes, bool]:
    """Everything that comes back, and whether the connection was reset."""
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    with client:
        received = b""
        try:
            for part in parts:
                client.sendall(part)
            client.shutdown(socket.SHUT_WR)
            while data := client.recv(65536):
                received += data
        except (ConnectionResetError, BrokenPipeError, OSError) as problem:
            if isinstance(problem, TimeoutError):
                raise SystemExit(f"no end of the answer within 10 s: {parts!r} -> {received!r}") from None
            return received, True
    return received, False


def answers(received: bytes, sent: bytes) -> tuple[int, int, str, str]:
    """(instance's answers, gateway's own answers, reason of the last own one, what h11 finds wrong)."""
    own, theirs, reason = 0, 0, ""
    data = received
    while data:
        # Which answers belong to a HEAD cannot be told of mutated bytes: it is those with no body behind their head.
        behind = data.partition(b"\r\n\r\n")[2]
        is_head = b"HEAD" in sent.upper() and (not behind or behind.startswith(b"HTTP/1.1 "))
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=200_000)
        connection.send(h11.Request(method="HEAD" if is_head else "GET", target="/", headers=[("Host", "x")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data(data)
        body = b""
        head = None
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError as problem:
                return theirs, own, reason, str(problem)
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            elif event is h11.NEED_DATA:
                return theirs, own, reason, "the answer is cut short"
        assert head is not None
        if any(name == b"x-instance" for name, _ in head.headers):
            theirs += 1
        else:
            own += 1
            if body:
                reason = f"{head.status_code} {json.loads(body)['reason']}"
            else:
                reason = str(head.status_code)
        data = connection.trailing_data[0]
    return theirs, own, reason, ""


def memory(pid: int) -> int:
    """Resident kilobytes."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0])


def start(directory: str, instance: Instance) -> tuple[subprocess.Popen[str], int]:
    """A real gateway, once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = Path(directory, "mesh.ini")
    config.write_text(CONFIG.format(port=port, instance=instance.port))
    argv = [str(Path(sys.executable).parent / "twistd"), "-n", "--pidfile=", "wmesh", "--config", str(config)]
    gateway = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=directory)
    atexit.register(gateway.kill)
    assert gateway.stdout is not None
    for line in gateway.stdout:
        if "is ready" in line:
            break
    else:
        raise SystemExit("the gateway did not start")
    return gateway, port


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=100_000, help="connections to make (default 100000)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random = Random(options.seed)
    instance = Instance()
    failures: list[str] = []
    differences: Counter[str] = Counter()
    examples: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as directory:
        gateway, port = start(directory, instance)
        lines: list[str] = []
        threading.Thread(target=lambda: lines.extend(gateway.stdout or ()), daemon=True).start()
        warm, began = 0, time.monotonic()
        for number in range(options.count):
            data = request(random)
            before = instance.requests
            received, cut = converse(port, pieces(data, random))
            theirs, own, reason, wrong = answers(received, data)
            arrived = instance.requests - before
            if not cut and wrong:
                failures.append(f"answer: {wrong}: {data!r} -> {received[:300]!r}")
            if not cut and arrived != theirs and not wrong:
                failures.append(f"{arrived} requests reached the instance, {theirs} answers came: {data!r}")
            whole, complaint = second_opinion(data)
            if not cut and not wrong and (whole != theirs + own or bool(complaint) != reason.startswith("4")):
                kind = f"{complaint.partition(': bytearray')[0] or 'good'} | {reason or 'relayed'}"
                differences[kind] += 1
                examples.setdefault(kind, data)
            if number == options.count // 5:
                warm = memory(gateway.pid)
            if failures and len(failures) > 20:
                break
        rate = options.count / (time.monotonic() - began)
        cold = memory(gateway.pid)
        received, _ = converse(port, [b"GET /alive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"])
        if not received.startswith(b"HTTP/1.1 200"):
            failures.append(f"the gateway does not serve any more: {received[:200]!r}")
        descriptors = len(os.listdir(f"/proc/{gateway.pid}/fd"))
        gateway.send_signal(signal.SIGTERM)
        gateway.wait(20)
        failures += [f"logged: {line}" for line in lines if "critical" in line or "Traceback" in line]
    failures += [f"the instance got: {text}" for text in instance.broken]
    if warm and cold > warm + 4096:
        failures.append(f"memory grew from {warm} to {cold} KiB")
    for kind, count in differences.most_common(60):
        print(f"{count:7}  {kind}\n         {examples[kind][:160]!r}")
    print(
        f"{options.count} connections, {rate:.0f} a second, {instance.requests} requests reached the instance; "
        f"memory {warm} -> {cold} KiB, {descriptors} descriptors; {len(failures)} failures"
    )
    for failure in failures[:20]:
        print(f"FAILED {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
