"""A stand-in for `redis-cli` on machines that have none: as much of it as the manual uses, and the same output.

Run as a program: `redis_cli.py [-s SOCKET | -u URL | -h HOST] [-p PORT] [-x] [--raw | --no-raw] [--eval FILE KEY … ,
ARGUMENT …] COMMAND …`. What it prints for each kind of answer is what redis-cli 7 prints; a scenario holds the two side
by side where there is a real one.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


class Refusal(str):
    """An error that the server answered."""


class Status(str):
    """A word such as OK, which is no data."""


def main(argv: list[str]) -> int:
    words = list(argv)
    host, port, path, login = "127.0.0.1", 6379, "", []
    script, last_from_input, raw = "", False, not sys.stdout.isatty()
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "-s":
            path = words.pop(0)
        elif option == "-h":
            host = words.pop(0)
        elif option == "-p":
            port = int(words.pop(0))
        elif option == "-u":
            parts = urlsplit(words.pop(0))
            host, port = parts.hostname or host, parts.port or port
            if parts.password:
                login = ["AUTH", *([unquote(parts.username)] if parts.username else []), unquote(parts.password)]
        elif option == "-x":
            last_from_input = True
        elif option in ("--raw", "--no-raw"):
            raw = option == "--raw"
        elif option == "--eval":
            script = words.pop(0)
            break
        else:
            print(f"Unrecognized option or bad number of args for: '{option}'", file=sys.stderr)
            return 1
    command: list[bytes] = [word.encode(errors="surrogateescape") for word in words]
    if script:
        comma = command.index(b",") if b"," in command else len(command)
        keys, arguments = command[:comma], command[comma + 1 :]
        command = [b"EVAL", Path(script).read_bytes(), b"%d" % len(keys), *keys, *arguments]
    if last_from_input:
        command.append(sys.stdin.buffer.read())
    try:
        connection = socket.socket(socket.AF_UNIX) if path else socket.create_connection((host, port))
        if path:
            connection.connect(path)
    except OSError as error:
        where = path or f"{host}:{port}"
        print(f"Could not connect to Redis at {where}: {error.strerror}", file=sys.stderr)
        return 1
    with connection, connection.makefile("rb") as answers:
        for sent in ([word.encode() for word in login], command):
            if sent:
                parts = b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in sent)
                connection.sendall(b"*%d\r\n%b" % (len(sent), parts))
                answer = read(answers)
    sys.stdout.buffer.write(as_raw(answer) + b"\n" if raw else as_shown(answer).encode("latin-1"))
    return 0


def read(answers: Any) -> Any:
    """One answer of the protocol (RESP 2)."""
    line = answers.readline().rstrip(b"\r\n")
    kind, text = line[:1], line[1:]
    if kind == b"+":
        return Status(text.decode("latin-1"))
    if kind == b"-":
        return Refusal(text.decode("latin-1"))
    if kind == b":":
        return int(text)
    if int(text) < 0:
        return None
    if kind == b"$":
        return answers.read(int(text) + 2)[:-2]
    return [read(answers) for _ in range(int(text))]


def as_raw(answer: Any) -> bytes:
    """For programs."""
    if isinstance(answer, list):
        return b"\n".join(as_raw(each) for each in answer)
    if isinstance(answer, bytes):
        return answer
    if isinstance(answer, Refusal):
        return answer.encode("latin-1") + b"\n"
    return b"" if answer is None else str(answer).encode("latin-1")


def as_shown(answer: Any, prefix: str = "") -> str:
    """For people: with numbers, quotes and kinds."""
    if answer is None:
        return "(nil)\n"
    if isinstance(answer, Refusal):
        return f"(error) {answer}\n"
    if isinstance(answer, Status):
        return f"{answer}\n"
    if isinstance(answer, int):
        return f"(integer) {answer}\n"
    if isinstance(answer, bytes):
        return f'"{"".join(map(_sign, answer))}"\n'
    if not answer:
        return "(empty array)\n"
    width = len(str(len(answer)))
    below = prefix + " " * (width + 2)
    lines = []
    for number, each in enumerate(answer, 1):
        lead = prefix if number > 1 else ""
        lines.append(f"{lead}{number:{width}}) {as_shown(each, below)}")
    return "".join(lines)


def _sign(byte: int) -> str:
    named = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 13: "\\r", 34: '\\"', 92: "\\\\"}
    return named.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
