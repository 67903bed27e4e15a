"""The Lua scripts: as texts, and as other programs call them, with what they refuse and what they put right."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase, TestCase
from txredisapi import ResponseError

from tests.control.registry.scene import Server, a_record
from wmesh.control.registry import scripts
from wmesh.control.registry.codec import MAX_LOAD, MAX_RECORD, check_load, encode_load, encode_record, member_name
from wmesh.control.registry.will_codec import decode_will
from wmesh.model import Address, AdminState, LoadSample, Said

KEYS = [key.decode() for key in scripts.keys("test")]
RECORDS, LEASES, VERSION, CHANGES, LOADS, WILLS = KEYS
MEMBER = "pricing/pricing-1"
DRAINED = b'{"v":1,"until":9000000000000,"state":{"is":"drain","since":1,"by":"me"}}'
RIGHT = encode_record(a_record())
FOLDER = Path(scripts.__file__).parent
ALL = {value.name: value for value in vars(scripts).values() if isinstance(value, scripts.Script)}


class TextTests(SynchronousTestCase):
    def test_every_file_is_a_script(self) -> None:
        """None is forgotten, and each begins with what all share."""
        prelude = (FOLDER / "prelude.lua").read_bytes()
        self.assertEqual({path.stem for path in FOLDER.glob("*.lua")}, {*ALL, "prelude"})
        for name, script in ALL.items():
            self.assertEqual(script.text, prelude + b"\n" + (FOLDER / f"{name}.lua").read_bytes())

    def test_keys(self) -> None:
        """In the order in which the prelude takes them; one hash tag, so that a cluster keeps them together."""
        self.assertEqual(
            scripts.keys("shop"),
            (
                *(b"{shop}:records", b"{shop}:leases", b"{shop}:version"),
                *(b"{shop}:changes", b"{shop}:loads", b"{shop}:wills"),
            ),
        )
        order = (FOLDER / "prelude.lua").read_text().partition("local ")[2].partition(" =")[0].split(", ")
        self.assertEqual([key.decode().partition(":")[2] for key in scripts.keys("shop")], order)


class ServerTests(TestCase):
    async def test_the_server_agrees(self) -> None:
        """It knows each script by the name that we give it: otherwise the whole text would be sent each time."""
        server = Server()
        self.addCleanup(server.remove)
        await server.start()
        for name, script in ALL.items():
            self.assertEqual(await server.ask("SCRIPT", "LOAD", script.text), script.sha, name)


class ScriptCase(TestCase):
    async def setUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.remove)
        await self.server.start()

    async def call(self, script: scripts.Script, *args: object, keys: list[str] = KEYS) -> Any:
        return await self.server.ask("EVAL", script.text, len(keys), *keys, *args)

    async def refused(self, script: scripts.Script, *args: object, keys: list[str] = KEYS) -> str:
        """The error, and nothing is written."""
        before = await self.server.ask("DBSIZE")
        with self.assertRaises(ResponseError) as caught:
            await self.call(script, *args, keys=keys)
        self.assertEqual(await self.server.ask("DBSIZE"), before)
        message = str(caught.exception)
        self.assertTrue(message.isascii() and message.isprintable() and len(message) < 300, message)
        self.assertIn("; should be ", message)
        return message

    async def swept(self) -> Any:
        now = int((await self.server.ask("TIME"))[0]) * 1000
        return await self.call(scripts.EXPIRE, 15000, 500, now + 60000)


class RefusalTests(ScriptCase):
    """Nothing is half done: what makes no sense is refused before the first write."""

    async def test_records(self) -> None:
        """By the field that is wrong, even behind one that is right."""
        value = json.loads(RIGHT)
        lies: dict[str, list[Any]] = {
            "v": [0, 2, "1", None, [1]],
            "service": ["other", 7, None],
            "id": ["other", 7, [["x"]]],
            "host": ["", "a b", "x/y", "a\n", "\x1b[2J", "x" * 254, 7, None],
            "port": [0, -1, 99999, "80", 80.5, True, None, 1e308],
            "weight": [0, 1001, 1.5, "1", True, None],
            "version": [7, "a\n", "x" * 2000, None],
            "incarnation": [7, "a\n"],
            "tags": ["a", {"a": "b"}, [7], ["a\n"], ["x"] * 65],
            "metadata": ["a", ["b"], {"a": 7}, {"a": "\x1b[2J"}, {"a\n": "b"}],
            "wieght": [1],
        }
        other = ("pricing/other", encode_record(a_record("other")))
        for name, values in lies.items():
            for lie in values:
                data = json.dumps({**value, name: lie})
                message = await self.refused(scripts.REGISTER, 15000, *other, MEMBER, data)
                self.assertIn(name, message)

    async def test_no_record(self) -> None:
        """What is no object, not JSON, too deep, too large, or under another key."""
        for data in (b"", b"{", b"7", b'"x"', b"\xff", b"[" * 16000, b'{"v":NaN}', b"[]", b"{}"):
            await self.refused(scripts.REGISTER, 15000, MEMBER, data)
        self.assertIn(f"at most {MAX_RECORD}", await self.refused(scripts.REGISTER, 15000, MEMBER, "x" * 5_000_000))
        for member in ("pricing", "a/b/c", "/x", "pricing/", "", "pricing/" + "x" * 1_000_000, "pricing/a\r\n"):
            await self.refused(scripts.REGISTER, 15000, member, RIGHT)
        self.assertIn("service, id", await self.refused(scripts.REGISTER, 15000, "pricing/a\r\n", RIGHT))

    async def test_arguments(self) -> None:
        """Leases, pairs and keys."""
        for lease in ("", "x", "0", "-1", "nan", "inf", "1e12", "86400001"):
            self.assertIn("lease", await self.refused(scripts.REGISTER, lease, MEMBER, RIGHT))
            self.assertIn("lease", await self.refused(scripts.RENEW, lease, MEMBER, ""))
            self.assertIn("lease", await self.refused(scripts.EXPIRE, lease, 1, 1))
        for script in (scripts.REGISTER, scripts.RENEW):
            self.assertIn("arguments", await self.refused(script, 15000, MEMBER))
        await self.refused(scripts.EXPIRE, 15000)
        await self.refused(scripts.DEREGISTER)
        await self.refused(scripts.DEREGISTER, MEMBER, "\x1b[2J")
        for keys in ([], KEYS[:4], [*KEYS, "x"], KEYS[::-1], [LEASES, *KEYS[1:]], ["a", "b", "c", "d", "e"], KEYS[:5]):
            for script in scripts.ALL:
                self.assertIn("{ns}:records", await self.refused(script, 15000, MEMBER, RIGHT, keys=keys))

    async def test_loads(self) -> None:
        """A sample that cannot be, and one that nobody would read."""
        await self.call(scripts.REGISTER, 15000, MEMBER, RIGHT)
        for load in ("{", "[", "7", "\xff", '{"cpu":-1}', '{"cpu":1e308}', '{"cpu":"1"}', '{"cpu":NaN}'):
            await self.refused(scripts.RENEW, 15000, MEMBER, load)
        for load in ('{"memory":1.5}', '{"memory":-1}', '{"memory":1e300}', '{"cpu":null}', '{"cpu":true}'):
            await self.refused(scripts.RENEW, 15000, MEMBER, load)
        for load in ('{"in_flight":1.5}', '{"in_flight":-1}', '{"in_flight":1e300}', '{"in_flight":"1"}'):
            self.assertIn("in_flight", await self.refused(scripts.RENEW, 15000, MEMBER, load))
        for number in ("1e999", "-1e999", "NaN", '"1"', "null", "true", "[1]"):
            load = f'{{"metrics":{{"a":{number}}}}}'
            self.assertIn("metrics.a", await self.refused(scripts.RENEW, 15000, MEMBER, load))
        for metrics in ("7", "null", "[1]", '{"":1}', '{"a b":1}', '{"a\\n":1}', '{"\\u0000":1}', '{"é":1}'):
            self.assertIn("metrics", await self.refused(scripts.RENEW, 15000, MEMBER, f'{{"metrics":{metrics}}}'))
        for metrics in ({"x" * 65: 1}, {str(number): 1 for number in range(33)}):
            await self.refused(scripts.RENEW, 15000, MEMBER, json.dumps({"metrics": metrics}))
        flood = '{"x":"' + "x" * MAX_LOAD + '"}'
        self.assertIn(f"at most {MAX_LOAD}", await self.refused(scripts.RENEW, 15000, MEMBER, flood))
        self.assertEqual(await self.call(scripts.RENEW, 15000, MEMBER, '{"cpu":1.5,"memory":7,"x":[1]}'), [])


class WillTests(ScriptCase):
    """What operators said; the contract of the registries holds the rest."""

    async def test_refused(self) -> None:
        """Nothing is written of a call in which anything is wrong, and the error names it."""
        said = {"is": "drain", "since": 1000, "by": "me"}
        right = {"v": 1, "until": 9 * 10**12, "state": said}
        for changes, words in (
            ({"v": 2}, "v: 2; should be 1"),
            ({"until": 0}, "until: 0"),
            ({"until": 1.5}, "until: 1.5"),
            ({"state": None}, "state: userdata"),
            ({"state": "drain"}, "state: drain; should be an object"),
            ({"state": {**said, "is": "sleep"}}, "state.is: sleep; should be ready, drain or maint"),
            ({"state": {**said, "since": "x"}}, "state.since: x; should be milliseconds"),
            ({"state": {**said, "by": "a\nb"}}, "state.by: a?b"),
            ({"state": {**said, "because": 1}}, "state.because: unknown field"),
            ({"state": {"since": 1000}}, "state.is: missing"),
            ({"weight": {"is": 1001, "since": 5}}, "weight.is: 1001; should be a whole number from 1 to 1000, or null"),
            ({"weight": {"is": 2.5, "since": 5}}, "weight.is: 2.5"),
            ({"reason": "x"}, "reason: unknown field"),
        ):
            text = json.dumps({**right, **changes})
            self.assertIn(words, await self.refused(scripts.DIRECT, "pricing/p-0", DRAINED, MEMBER, text))
        for text in ("x", "[", "7", '{"v":1,"until":5}', " " * 5000):
            await self.refused(scripts.DIRECT, MEMBER, text)
        for member in ("", "pricing", "a/b/c", "x/" + "y" * 300):
            self.assertIn("member", await self.refused(scripts.DIRECT, member, DRAINED))
        self.assertIn("a member without a will", await self.refused(scripts.DIRECT, MEMBER))
        self.assertEqual(await self.server.ask("EXISTS", WILLS, CHANGES), 0)

    async def test_by_hand(self) -> None:
        """What is nonsense is nothing: it is replaced by a right one, and cleared away by any."""
        await self.server.ask("HSET", WILLS, MEMBER, "x", "pricing/p-2", "[]", "no-slash", DRAINED, "a/b", "y" * 9999)
        await self.call(scripts.DIRECT, MEMBER, DRAINED)
        self.assertEqual(await self.server.ask("HGETALL", WILLS), [MEMBER.encode(), DRAINED])

    async def test_numbers_stay_whole(self) -> None:
        """What the script puts together is read by others, to the millisecond."""
        late = b'{"v":1,"until":99999999999999,"weight":{"is":null,"since":99999999999998}}'
        await self.call(scripts.DIRECT, MEMBER, DRAINED)
        await self.call(scripts.DIRECT, MEMBER, late)
        will = decode_will("pricing", "pricing-1", await self.server.ask("HGET", WILLS, MEMBER))
        self.assertEqual((will.until, will.weight), (10**14 - 1, Said(None, 10**14 - 2)))
        self.assertEqual(will.state, Said(AdminState.DRAIN, 1, "me"))


class AcceptanceTests(ScriptCase):
    """No script refuses what the codec believes: one such record would keep back all that are put in with it."""

    async def test_extremes(self) -> None:
        """The longest names, the widest signs, the most of everything, and nothing at all."""
        wide = "\U0001f600" * 128
        for number, changes in enumerate(
            (
                {"version": wide, "incarnation": wide, "tags": (wide,) * 20},
                {"metadata": ((wide, "\U0001f600" * 1024), ("1", ""), (" ", "ü"))},
                {"tags": tuple(map(str, range(64))), "metadata": tuple((str(key), "x" * 150) for key in range(64))},
                {"tags": (), "metadata": (), "version": "", "incarnation": "", "weight": 1000},
                {"service": "s" * 128, "id": "[" + "~@+:" * 31 + "]..", "address": Address("a" * 63 + ".x_-y", 65535)},
                {"address": Address("2001:db8::192.0.2.1", 1)},
            )
        ):
            record = a_record(**{"id": f"p-{number}", **changes})
            member = member_name(record.service, record.id)
            await self.call(scripts.REGISTER, 86400000, member, encode_record(record))
            self.assertEqual(await self.server.ask("HGET", RECORDS, member), encode_record(record))
        least = '{"v":1,"service":"a","id":"b","host":"c","port":1}'
        await self.call(scripts.REGISTER, 1, "a/b", least)
        signs = "".join(map(chr, range(33, 127)))
        names = [sign for sign in signs if sign.isalnum() or sign in "._:-"][:31]
        extremes = (-sys.float_info.max, sys.float_info.max, sys.float_info.min, 5e-324, -0.0, -1 / 3)
        metrics = ((":" * 64, 0.0), *((name, extremes[place % 6]) for place, name in enumerate(names)))
        for sample in (
            LoadSample(0.0, 0, 0),
            LoadSample(999_999_999.9, 2**53 - 1, 2**53 - 1, metrics),
            LoadSample(memory=1),
            LoadSample(metrics=tuple((f"{number:z>64}", -1e300 / 3) for number in range(32))),
            LoadSample(metrics=tuple((sign, 10**300) for sign in "azAZ09._:-")),
        ):
            check_load(sample)
            self.assertEqual(await self.call(scripts.RENEW, 1000, "a/b", encode_load(sample)), [])


class RepairTests(ScriptCase):
    """What somebody wrote by hand does not stay in everybody's way."""

    async def test_wrong_types(self) -> None:
        """A key of the wrong type is set aside with what is in it, whatever script comes first."""
        for key in KEYS:
            for script, args in (
                (scripts.REGISTER, (15000, MEMBER, RIGHT)),
                (scripts.RENEW, (15000, MEMBER, '{"cpu":1}')),
                (scripts.SNAPSHOT, ("", "", "")),
                (scripts.DIRECT, (MEMBER, DRAINED)),
                (scripts.LOADS, ()),
                (scripts.DEREGISTER, (MEMBER, "deregistered")),
                (scripts.EXPIRE, (15000, 1, 2**50)),
            ):
                await self.server.ask("FLUSHALL")
                await self.call(scripts.REGISTER, 15000, MEMBER, RIGHT)
                await self.server.ask("DEL", key)
                await self.server.ask("RPUSH", key, "mine")
                await self.call(script, *args)
                self.assertEqual(await self.server.ask("LRANGE", f"{key}:set-aside", 0, -1), [b"mine"])
                await self.call(scripts.REGISTER, 15000, MEMBER, RIGHT)
                self.assertEqual(await self.server.ask("HGET", RECORDS, MEMBER), RIGHT)

    async def test_version_that_is_none(self) -> None:
        """It starts anew from the clock, and the stream says so."""
        for version in ("abc", "", "-5", "007", "1e5", "9" * 19, "x" * 5_000_000):
            await self.server.ask("SET", VERSION, version)
            answer = await self.call(scripts.REGISTER, 15000, MEMBER, RIGHT)
            self.assertGreater(int(answer), 10**12)
            self.assertEqual((await self.server.ask("XREVRANGE", CHANGES, "+", "-", "COUNT", 1))[0][1][-1], answer)
            await self.call(scripts.DEREGISTER, MEMBER)

    async def test_members_that_are_none(self) -> None:
        """A record under a key without a slash does not keep others from being evicted."""
        await self.server.ask("HSET", RECORDS, "nonsense", "{}", MEMBER, RIGHT)
        await self.server.ask("ZADD", LEASES, 1, "nonsense", 2, MEMBER)
        self.assertEqual((await self.swept())[1], 2)
        self.assertEqual(await self.server.ask("EXISTS", RECORDS, LEASES), 0)

    async def test_lease_without_end(self) -> None:
        """It is cut to a lease like any other."""
        await self.call(scripts.REGISTER, 15000, MEMBER, RIGHT)
        await self.server.ask("ZADD", LEASES, "+inf", MEMBER)
        self.assertLessEqual((await self.swept())[2], 15000)

    async def test_flood(self) -> None:
        """5 MB written by hand are neither copied into the stream nor handed to readers."""
        await self.server.ask("HSET", RECORDS, MEMBER, "x" * 5_000_000)
        await self.swept()
        entry = (await self.server.ask("XREVRANGE", CHANGES, "+", "-", "COUNT", 1))[0][1]
        self.assertEqual(len(entry[entry.index(b"record") + 1]), MAX_RECORD + 1)
        self.assertEqual(len((await self.call(scripts.SNAPSHOT, "", ""))[2][1]), MAX_RECORD + 1)
