"""Requests gone wrong: a corpus of good ones, and what may be done to them. Pure; chance is handed in."""

from __future__ import annotations

from random import Random

CORPUS = (
    b"GET /a HTTP/1.1\r\nHost: mesh.example\r\nAccept: */*\r\n\r\n",
    b"GET /a?b=c&d=%20 HTTP/1.1\r\nHost: mesh.example:8000\r\nConnection: keep-alive\r\nCookie: a=b; c=d\r\n\r\n",
    b"HEAD /h HTTP/1.1\r\nHost: mesh.example\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: mesh.example\r\n\r\n",
    b"GET http://mesh.example/abs?x HTTP/1.1\r\nHost: other.example\r\n\r\n",
    b"GET /old HTTP/1.0\r\n\r\n",
    b"GET /old HTTP/1.0\r\nConnection: keep-alive\r\nHost: mesh.example\r\n\r\n",
    b"POST /p HTTP/1.1\r\nHost: mesh.example\r\nContent-Length: 11\r\n\r\nhello world",
    b"POST /e HTTP/1.1\r\nHost: mesh.example\r\nContent-Length: 0\r\n\r\n",
    b"PUT /c HTTP/1.1\r\nHost: mesh.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
    b"PUT /t HTTP/1.1\r\nHost: mesh.example\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: mesh.example\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /u HTTP/1.1\r\nHost: mesh.example\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nab",
    b"GET /n HTTP/1.1\r\nHost: mesh.example\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\nTE: trailers\r\n\r\n",
    b"DELETE /d HTTP/1.1\r\nHost: mesh.example\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n\r\n",
    b"\r\nGET /crlf HTTP/1.1\r\nHost: mesh.example\r\n\r\n",
)

TOKENS = (
    *(bytes([value]) for value in (0, 1, 9, 10, 11, 12, 13, 27, 32, 34, 35, 37, 44, 58, 59, 92, 127, 128, 160, 255)),
    b"\r\n", b"\n\n", b"\r\r\n", b"\r\n\r\n", b"\r\n ", b"\r\n\t", b" ", b"  ", b":", b" :", b": ", b",", b";",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length: +3\r\n", b"Content-Length: 3, 3\r\n",
    b"Content-Length: 0x3\r\n", b"Content-Length:\r\n", b"content-length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding : chunked\r\n", b"Transfer-Encoding: identity\r\n", b"transfer-encoding:\tchunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
    b"Host: evil.example\r\n", b"Host: \r\n", b"Host: a@b\r\n", b"Connection: close\r\n", b"Connection: host\r\n",
    b"Connection: transfer-encoding\r\n", b"Connection: content-length\r\n", b"Upgrade: websocket\r\n",
    b"Expect: 100-continue\r\n", b"Expect: 200-ok\r\n", b"Max-Forwards: 0\r\n", b"0\r\n\r\n", b"5\r\n", b"-1\r\n",
    b"ffffffffffffffff\r\n", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"GET ", b"PRI * HTTP/2.0\r\n\r\n",
    b"/../", b"/%2e%2e/", b"/./", b"//", b"#", b"%00", b"%", b"\\", b"http://", b"CONNECT a:1 HTTP/1.1\r\n",
)  # fmt: skip


def request(random: Random) -> bytes:
    """One or more requests from the corpus, most of them with something done to them."""
    data = random.choice(CORPUS)
    while random.random() < 0.25:
        data += random.choice(CORPUS)
    for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3, 5))):
        data = random.choice(_WAYS)(data, random)
    if random.random() < 0.02:
        data = random.randbytes(random.randrange(1, 400))
    if random.random() < 0.01:
        data = data.replace(b"\r\n", b"\r\nX-Long: " + b"a" * random.randrange(20000, 70000) + b"\r\n", 1)
    return data


def pieces(data: bytes, random: Random) -> list[bytes]:
    """The same bytes as they might come off a network."""
    if random.random() < 0.7 or len(data) < 2:
        return [data]
    cuts = sorted(random.randrange(1, len(data)) for _ in range(random.randrange(1, 5)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]


def _insert(data: bytes, random: Random) -> bytes:
    where = random.randrange(len(data) + 1)
    return data[:where] + random.choice(TOKENS) + data[where:]


def _insert_at_line(data: bytes, random: Random) -> bytes:
    starts = [index + 2 for index in range(len(data) - 1) if data[index : index + 2] == b"\r\n"] or [0]
    where = random.choice(starts)
    return data[:where] + random.choice(TOKENS) + data[where:]


def _overwrite(data: bytes, random: Random) -> bytes:
    where = random.randrange(len(data) or 1)
    return data[:where] + bytes([random.randrange(256)]) + data[where + 1 :]


def _delete(data: bytes, random: Random) -> bytes:
    where = random.randrange(len(data) or 1)
    return data[:where] + data[where + random.randrange(1, 8) :]


def _repeat(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\r\n")
    where = random.randrange(len(lines))
    return b"\r\n".join([*lines[: where + 1], *lines[where:]])


def _swap(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\r\n")
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\r\n".join(lines)


def _case(data: bytes, random: Random) -> bytes:
    where = random.randrange(len(data) or 1)
    return data[:where] + data[where : where + 12].swapcase() + data[where + 12 :]


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


_WAYS = (_insert, _insert, _insert_at_line, _insert_at_line, _overwrite, _delete, _repeat, _swap, _case, _cut)
