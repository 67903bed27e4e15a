"""Plays vectors to a gateway: one connection each, and behind the vector one more request, the sentinel.

The sentinel tells two things without waiting for something not to happen: whether the connection goes on, and that the
gateway has done with all that came before. What says nothing and closes nothing for `patience` seconds is silent.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping

from bench.conformance.instance import SENTINEL, Instance, Scene
from bench.conformance.strict import Stream, read_answers
from bench.conformance.verdict import Came, Heard, Verdict, judge_answer, judge_request
from tests.vectors.vector import RequestVector, Vector

FOR_EVER = 1 << 30
LONG = 1000
"""Bytes from which on nothing is sent piece by piece."""
LAST = b"GET " + SENTINEL + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Client:
    """One connection to the gateway. `data` is all that came; `ended` says how it ended: "", "closed" or "reset"."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: float) -> None:
        self._reader = reader
        self._writer = writer
        self._patience = patience
        self.data = b""
        self.ended = ""

    async def say(self, data: bytes, piece: int = 0) -> None:
        """`piece`: so many bytes at a time, with a chance for the gateway to read in between (0: all at once)."""
        size = piece if piece and len(data) <= LONG else max(1, len(data))
        for start in range(0, len(data), size):
            self._writer.write(data[start : start + size])
            await asyncio.sleep(0)
        # A gateway that refuses early does not read all; what it said is still there to read.
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.drain(), self._patience)

    async def hear(self, heads: list[bool], answers: int) -> Stream:
        """Until there are so many final answers, a flaw, the end, or silence."""
        last = time.monotonic() + self._patience
        while True:
            stream = read_answers(self.data, heads, self.ended == "closed")
            finals = sum(message.status >= 200 for message in stream.messages)
            left = last - time.monotonic()
            if self.ended or stream.flaw or finals >= answers or left <= 0:
                return stream
            try:
                piece = await asyncio.wait_for(self._reader.read(262144), left)
            except TimeoutError:
                continue
            except OSError:
                self.ended = "reset"
                continue
            self.data += piece
            self.ended = self.ended if piece else "closed"

    def close(self) -> None:
        self._writer.transport.abort()


async def converse(port: int, vector: Vector, patience: float, piece: int = 0) -> Heard:
    sent = vector.sent if isinstance(vector, RequestVector) else vector.asked
    wanted = len(vector.reached or ()) or 1 if isinstance(vector, RequestVector) else 1
    heads = [vector.is_head]
    client = Client(*await asyncio.open_connection("127.0.0.1", port), patience)
    try:
        await client.say(sent, piece)
        stream = await client.hear(heads, wanted)
        finals = [message for message in stream.messages if message.status >= 200]
        if not finals or stream.flaw:
            return Heard(stream, kept=False, closed=bool(client.ended), reset=client.ended == "reset")
        if not client.ended and not any(b"close" in each.lower() for each in finals[-1].values(b"connection")):
            await client.say(LAST)
        stream = await client.hear(heads, FOR_EVER)
        kept = stream.messages[-1].body == b"sentinel"
        if kept:
            stream = Stream(stream.messages[:-1], stream.rest, stream.flaw)
        return Heard(stream, kept, bool(client.ended), client.ended == "reset")
    finally:
        client.close()


async def ready(port: int, patience: float, seconds: float = 20.0) -> None:
    """Until the gateway passes requests on. Some listen before they have read their routes, and say 404 meanwhile."""
    last = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            client = Client(*await asyncio.open_connection("127.0.0.1", port), patience)
            await client.say(LAST)
            stream = await client.hear([False], 1)
            client.close()
            if stream.messages and stream.messages[-1].body == b"sentinel":
                return
        if time.monotonic() > last:
            raise TimeoutError(f"no request reached the instance through port {port} within {seconds:g} s")
        await asyncio.sleep(0.05)


async def play(
    port: int, instance: Instance, vector: Vector, patience: float, strictly: bool, piece: int = 0
) -> Verdict:
    if isinstance(vector, RequestVector):
        scene = instance.scene = Scene()
        heard = await converse(port, vector, patience, piece)
        return judge_request(vector, heard, came(scene), strictly)
    scene = instance.scene = Scene(vector.said, vector.ends)
    return judge_answer(vector, await converse(port, vector, patience, piece), strictly)


def came(scene: Scene) -> Came:
    messages = []
    unfinished = False
    flaws = []
    for log in scene.logs:
        whole, rest, flaw = log.judged()
        messages += [message for message in whole if not message.start[1].endswith(SENTINEL)]
        unfinished |= bool(rest)
        flaws.append(flaw)
    return Came(tuple(messages), unfinished, "; ".join(filter(None, flaws)))


async def play_all(
    port: int,
    behind: int,
    categories: Mapping[str, Iterable[Vector]],
    patience: float,
    *,
    strictly: bool = False,
    piece: int = 0,
) -> dict[str, dict[str, Verdict]]:
    """All vectors, to the gateway at `port` whose only instance is to listen at `behind`; by category and name."""
    instance = Instance()
    server = await asyncio.get_running_loop().create_server(instance, "127.0.0.1", behind)
    try:
        await ready(port, patience)
        return {
            category: {each.name: await play(port, instance, each, patience, strictly, piece) for each in vectors}
            for category, vectors in categories.items()
        }
    finally:
        server.close()
