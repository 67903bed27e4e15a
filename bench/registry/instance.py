"""Instances for a whole fleet, as one program: every address of 127.0.0.0/8 is this machine.

It listens on one port of all of them, and names in `X-Instance` the one by which it was reached: so one process is ten
thousand instances, each of which really answers, and a client sees which one it got. Run as a program, with the port.
"""

from __future__ import annotations

import asyncio
import sys

BODY = b'{"status": "ok"}\n'


class Answers(asyncio.Protocol):
    """One connection of the gateway's; knows GET without a body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._rest = b""
        name = transport.get_extra_info("sockname")[0].encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nX-Instance: %b\r\n\r\n"
        self._answer = head % (len(BODY), name) + BODY

    def data_received(self, data: bytes) -> None:
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        self._transport.write(self._answer * len(heads))


async def serve(port: int) -> None:
    # No address: on all of them.
    server = await asyncio.get_running_loop().create_server(Answers, "0.0.0.0", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
