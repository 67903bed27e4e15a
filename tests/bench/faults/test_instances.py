"""Fake instances: every fault is what it is called, seen by a crowd that talks to them without a proxy."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

from twisted.trial.unittest import TestCase

from bench.faults.behaviour import Behaviour
from bench.faults.crowd import Crowd, Request
from bench.faults.fleet import Fleet, FleetError
from bench.faults.instances import BODY, Control, Instance, port

QUICK = Behaviour(mean=0.001)


def free_port() -> int:
    """One that the kernel picks: a benchmark that runs meanwhile takes the lowest ones."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def instance(behaviour: Behaviour = QUICK) -> AsyncIterator[Instance]:
    made = Instance("i0", free_port())
    await made.become(Behaviour())
    await made.become(behaviour)
    try:
        yield made
    finally:
        made.close()


async def asked(port: int, count: int = 1, patience: float = 5.0, path: str = "/work") -> list[Request]:
    crowd = Crowd(port, patience, path)
    await crowd.ask(1000.0, count / 1000)
    await crowd.finish()
    return crowd.requests


async def outcome(behaviour: Behaviour, path: str = "/work", patience: float = 5.0) -> str:
    async with instance(behaviour) as made:
        [request] = await asked(made.port, patience=patience, path=path)
        return request.outcome


class Faults(TestCase):
    def outcome(self, behaviour: Behaviour, path: str = "/work", patience: float = 5.0) -> str:
        return asyncio.run(outcome(behaviour, path, patience))

    def test_none(self) -> None:
        async def scene() -> None:
            async with instance() as made:
                found = await asked(made.port, 5)
                self.assertEqual([(each.outcome, each.instance) for each in found], [("ok", "i0")] * 5)
                self.assertEqual(len(made.arrivals), 5)

        asyncio.run(scene())

    def test_error(self) -> None:
        self.assertEqual(self.outcome(Behaviour(fault="error")), "500")

    def test_refuse(self) -> None:
        self.assertEqual(self.outcome(Behaviour(fault="refuse")), "refused")

    def test_hang(self) -> None:
        self.assertEqual(self.outcome(Behaviour(fault="hang"), patience=0.1), "timeout")

    def test_reset_comes_in_the_middle(self) -> None:
        async def scene() -> None:
            async with instance(Behaviour(mean=0.001, fault="reset")) as made:
                reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                got = b""
                with self.assertRaises(ConnectionResetError):
                    while data := await reader.read(65536):
                        got += data
                head, _, body = got.partition(b"\r\n\r\n")
                self.assertIn(b"Content-Length: %d\r\n" % len(BODY), head)
                self.assertEqual(body, BODY[: len(BODY) // 2])
                [request] = await asked(made.port)
                self.assertEqual(request.outcome, "cut")

        asyncio.run(scene())

    def test_what_hung_is_answered_in_the_end(self) -> None:
        async def scene() -> None:
            async with instance(Behaviour(fault="hang")) as made:
                asking = asyncio.create_task(asked(made.port, 3))
                while len(made.hung) < 3:
                    await asyncio.sleep(0.001)
                await made.become(QUICK)
                self.assertEqual([each.outcome for each in await asking], ["ok"] * 3)

        asyncio.run(scene())

    def test_killed_and_started_again(self) -> None:
        async def scene() -> None:
            async with instance(Behaviour(fault="hang")) as made:
                asking = asyncio.create_task(asked(made.port))
                while not made.hung:
                    await asyncio.sleep(0.001)
                await made.become(Behaviour(fault="refuse"))
                self.assertEqual([each.outcome for each in await asking], ["closed"])
                self.assertEqual([each.outcome for each in await asked(made.port)], ["refused"])
                with socket.socket() as other, self.assertRaises(OSError):
                    other.bind(("127.0.0.1", made.port))
                await made.become(QUICK)
                self.assertEqual([each.outcome for each in await asked(made.port)], ["ok"])

        asyncio.run(scene())

    def test_workers_take_turns(self) -> None:
        """Two at a time; the others wait, also behind one whose client has gone."""

        async def scene() -> None:
            async with instance(Behaviour(mean=0.02, service="constant", workers=2)) as made:
                asking = asyncio.create_task(asked(made.port, 4))
                while len(made.line) < 2:
                    await asyncio.sleep(0.001)
                self.assertEqual(made.busy, 2)
                self.assertEqual([each.outcome for each in await asking], ["ok"] * 4)
                self.assertEqual((made.busy, len(made.line)), (0, 0))

        asyncio.run(scene())


class Health(TestCase):
    def test_grey(self) -> None:
        for fault in ("error", "slow", "hang", "reset"):
            self.assertEqual(asyncio.run(outcome(Behaviour(fault=fault), "/health")), "ok", fault)

    def test_follows(self) -> None:
        for fault, expected in (
            ("none", "ok"),
            ("error", "503"),
            ("slow", "ok"),
            ("hang", "timeout"),
            ("reset", "cut"),
        ):
            found = asyncio.run(outcome(Behaviour(fault=fault, health="follows"), "/health", patience=1.0))
            self.assertEqual(found, expected, fault)

    def test_fails_while_requests_are_served(self) -> None:
        behaviour = Behaviour(mean=0.001, health="fails")
        self.assertEqual(asyncio.run(outcome(behaviour, "/health")), "503")
        self.assertEqual(asyncio.run(outcome(behaviour)), "ok")

    def test_checks_are_no_arrivals(self) -> None:
        async def scene() -> None:
            async with instance() as made:
                await asked(made.port, path="/health")
                self.assertEqual(made.arrivals, [])

        asyncio.run(scene())


class CommandLine(TestCase):
    def test_ports(self) -> None:
        self.assertEqual(port("65535"), 65535)
        for text in ("0", "65536", "-1", "http", ""):
            self.assertRaises(argparse.ArgumentTypeError, port, text)


class ControlChannel(TestCase):
    def talk(self, scene: Callable[[Fleet, list[Instance]], Awaitable[None]]) -> None:
        async def whole() -> None:
            control = free_port()
            instances = [Instance(f"i{index}", free_port()) for index in range(2)]
            for each in instances:
                await each.become(QUICK)
            server = await asyncio.start_server(Control(instances).serve, "127.0.0.1", control)
            async with Fleet(control, 2) as fleet:
                await scene(fleet, instances)
            server.close()
            for each in instances:
                each.close()

        asyncio.run(whole())

    def test_all_as_usual_but_one(self) -> None:
        async def scene(fleet: Fleet, instances: list[Instance]) -> None:
            other = Behaviour(fault="error")
            await fleet.become(QUICK, {1: other})
            self.assertEqual([each.behaviour for each in instances], [QUICK, other])

        self.talk(scene)

    def test_arrivals_are_told_once(self) -> None:
        async def scene(fleet: Fleet, instances: list[Instance]) -> None:
            for each in (instances[1], instances[0], instances[1]):
                await asked(each.port)
            found = await fleet.arrivals()
            self.assertEqual([index for _, index in found], [1, 0, 1])
            self.assertEqual(found, sorted(found))
            self.assertEqual(await fleet.arrivals(), [])

        self.talk(scene)

    def test_what_is_wrong_is_said(self) -> None:
        async def scene(fleet: Fleet, instances: list[Instance]) -> None:
            with self.assertRaises(FleetError) as caught:
                await fleet.set(2, QUICK)
            self.assertIn("'2' is no instance; they are 0 to 1", str(caught.exception))
            control = Control(instances)
            for line in ("", "help", "set", "set 0", "set x {}", "set 0 {", 'set 0 {"fault": "x"}'):
                self.assertTrue((await control.obey(line)).startswith(b"error: "), line)
            reader, writer = await asyncio.open_connection("127.0.0.1", fleet.control)
            writer.write(b"x" * 200_000)
            self.assertEqual(await reader.readline(), b"error: this line is too long\n")
            writer.close()
            self.assertEqual(await control.obey(f"set 0 {json.dumps({'fault': 'hang'})}"), b"ok")

        self.talk(scene)
