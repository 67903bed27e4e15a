"""Speaking to the server without a client library: a blocking socket, and hiredis to pack and to parse."""

from __future__ import annotations

import socket

import hiredis

from wmesh.control.registry.scripts import Script, keys


def connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def packed(*words: bytes | str | int) -> bytes:
    """A command as it is sent."""
    # Its types are narrower than what it takes.
    return bytes(hiredis.pack_command(words))  # type: ignore[arg-type]


def script_call(script: Script, namespace: str, *args: bytes | int) -> bytes:
    """A call of a script that the server knows."""
    names = keys(namespace)
    return packed(b"EVALSHA", script.sha, len(names), *names, *args)


def ask(sock: socket.socket, *commands: bytes) -> list[object]:
    """Send these (packed) in one go, and wait for the answers. An error among them is raised."""
    reader = hiredis.Reader()
    sock.sendall(b"".join(commands))
    answers: list[object] = []
    while len(answers) < len(commands):
        data = sock.recv(65536)
        if not data:
            raise ConnectionError("the server hung up")
        reader.feed(data)
        while (answer := reader.gets()) is not False:
            if isinstance(answer, hiredis.ReplyError):
                raise answer
            answers.append(answer)
    return answers


def hash_of(port: int, key: bytes) -> dict[bytes, bytes]:
    """A whole hash."""
    with connect(port) as sock:
        [flat] = ask(sock, packed(b"HGETALL", key))
    assert isinstance(flat, list)
    return dict(zip(flat[::2], flat[1::2], strict=True))
