"""Large bodies pass through without being kept: the gateway's memory does not grow with them, nor with the slowness of
either side."""

from __future__ import annotations

import pytest_twisted

from tests.scenarios.clients import Raw
from tests.scenarios.instances import PIECE, BulkFactory
from tests.scenarios.meshes import static
from tests.scenarios.program import Program
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import clock, steady, until

MEGABYTE = 1024 * 1024
SIZE = 300 * MEGABYTE
GROWTH = 4 * MEGABYTE
LONG = 60.0


async def scene(stage: Stage) -> tuple[Program, BulkFactory, Raw]:
    """A gateway that has already relayed some, so that what is allocated once is."""
    bulk = BulkFactory(SIZE)
    stage.at_end(bulk.close)
    mesh = static([f"127.0.0.1:{bulk.port}"])
    program = await stage.gateway(mesh.text)
    bulk.size = 4 * MEGABYTE
    warm = await stage.raw(mesh.port)
    await download(warm, 4 * MEGABYTE)
    bulk.size = bulk.stop_at = SIZE
    program.forget_peak()
    return program, bulk, await stage.raw(mesh.port)


async def download(raw: Raw, size: int) -> None:
    raw.send(b"GET /bulk HTTP/1.1\r\nHost: x\r\n\r\n")
    status, fields = await raw.head()
    assert (status, fields["content-length"]) == (200, str(size))
    before = raw.total - len(raw.received)
    raw.received, raw.counting = b"", True
    await until(f"{size} bytes come", lambda: raw.total - before >= size or raw.lost, LONG)
    assert (raw.total - before, raw.lost) == (size, None)
    raw.counting = False


class Upload:
    """Sends `SIZE` bytes as fast as they are taken."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self.sent = 0
        self._running = True
        raw.send(b"POST /bulk HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % SIZE)
        raw.transport.registerProducer(self, True)
        self._next()

    def _next(self) -> None:
        if self._running and self.sent < SIZE and self._raw.lost is None:
            self._raw.send(PIECE)
            self.sent += len(PIECE)
            if self.sent == SIZE:
                self._raw.transport.unregisterProducer()
            else:
                clock.callLater(0, self._next)

    def resumeProducing(self) -> None:
        if not self._running:
            self._running = True
            self._next()

    def pauseProducing(self) -> None:
        self._running = False

    def stopProducing(self) -> None:
        self._running = False


def assert_flat(program: Program, before: int) -> None:
    grown = program.peak() - before
    print(f"peak memory grew by {grown / MEGABYTE:.2f} MB over {before / MEGABYTE:.1f} MB")
    assert grown < GROWTH, f"{grown / MEGABYTE:.1f} MB"


@pytest_twisted.ensureDeferred
async def test_download(stage: Stage) -> None:
    """300 MB to a client that reads as fast as it can."""
    program, _, raw = await scene(stage)
    before = program.memory()
    began = clock.seconds()
    await download(raw, SIZE)
    print(f"{SIZE / MEGABYTE / (clock.seconds() - began):.0f} MB/s")
    assert_flat(program, before)


@pytest_twisted.ensureDeferred
async def test_download_to_stalling_client(stage: Stage) -> None:
    """A client that stops reading stops the instance after what the kernel's buffers hold; the rest comes later."""
    program, bulk, raw = await scene(stage)
    before = program.memory()
    raw.send(b"GET /bulk HTTP/1.1\r\nHost: x\r\n\r\n")
    await raw.head()
    raw.transport.pauseProducing()
    (instance,) = [each for each in bulk.connections if each.sent and each.sent != 4 * MEGABYTE]
    await steady("what the instance sends", lambda: instance.sent)
    assert instance.sent < SIZE / 3
    assert_flat(program, before)
    start = raw.total - len(raw.received)
    raw.received, raw.counting = b"", True
    raw.transport.resumeProducing()
    await until("the rest comes", lambda: raw.total - start >= SIZE or raw.lost, LONG)
    assert (raw.total - start, raw.lost) == (SIZE, None)
    assert_flat(program, before)


@pytest_twisted.ensureDeferred
async def test_upload(stage: Stage) -> None:
    """300 MB to an instance that reads as fast as it can."""
    program, _, raw = await scene(stage)
    before = program.memory()
    began = clock.seconds()
    Upload(raw)
    answer = await raw.answer(LONG)
    print(f"{SIZE / MEGABYTE / (clock.seconds() - began):.0f} MB/s")
    assert (answer.status, answer.body) == (200, b"%d" % SIZE)
    assert_flat(program, before)


@pytest_twisted.ensureDeferred
async def test_upload_to_stalling_instance(stage: Stage) -> None:
    """An instance that stops reading stops the client after what the kernel's buffers hold; the rest goes later."""
    program, bulk, raw = await scene(stage)
    before = program.memory()
    bulk.stop_at = 10 * MEGABYTE
    upload = Upload(raw)
    full = 10 * MEGABYTE
    await until("the instance stops reading", lambda: any(each.received >= full for each in bulk.connections))
    (instance,) = [each for each in bulk.connections if each.received]
    await steady("what the client sends", lambda: upload.sent)
    assert upload.sent < SIZE / 3
    assert_flat(program, before)
    instance.go_on()
    answer = await raw.answer(LONG)
    assert (answer.status, answer.body) == (200, b"%d" % SIZE)
    assert_flat(program, before)


@pytest_twisted.ensureDeferred
async def test_client_leaves_in_the_middle(stage: Stage) -> None:
    """Who goes away in the middle of a download takes the instance's connection with him, and nothing else."""
    program, bulk, raw = await scene(stage)
    raw.send(b"GET /bulk HTTP/1.1\r\nHost: x\r\n\r\n")
    await raw.head()
    instance = bulk.connections[-1]
    raw.abort()
    await until("the instance's connection ends", lambda: not instance.transport.connected)
    assert instance.sent < SIZE
    assert program.running
