"""Tests of wmesh.control.shared_cache.scripts: one step at the server each."""

from __future__ import annotations

from typing import Any

from tests.control.shared_cache.scene import NEWS, ShareCase
from wmesh.control.shared_cache.scripts import PUT, TAGGED, TELL

PAGE = "{test}:cache:page:x"


class ScriptTests(ShareCase):
    async def write(self, field: str, names: str = "", tags: str = "", *, stay: int = 5000, most: int = 66) -> Any:
        ((last, _),) = await self.server.ask("XREVRANGE", NEWS, "+", "-", "COUNT", 1)
        return await self.server.ask("EVAL", PUT.text, 2, NEWS, PAGE, last, stay, field, "record", names, tags, most)

    async def test_a_page(self) -> None:
        """It lives as long as its longest answer; names and tags are each there once; too many fields begin anew."""
        await self.server.ask("EVAL", TELL.text, 1, NEWS, 100, "how", "start")
        for field, names, tags, stay in (("v1", "a", "x xx", 9000), ("v2", "a,b", "xx y", 2000), ("v3", "a", "", 10)):
            self.assertEqual(await self.write(field, names, tags, stay=stay), 1)
        self.assertEqual(await self.server.ask("HMGET", PAGE, "names", "tags"), [b"a\na,b", b"x xx y"])
        self.assertTrue(2000 < await self.server.ask("PTTL", PAGE) <= 9000)
        await self.write("v3", most=5)
        self.assertEqual(await self.server.ask("HLEN", PAGE), 5)
        await self.write("v4", most=5)
        self.assertEqual(await self.server.ask("HKEYS", PAGE), [b"v4"])

    async def test_without_news(self) -> None:
        """Nothing is written where nobody could have heard anything."""
        text = PUT.text
        self.assertEqual(await self.server.ask("EVAL", text, 2, NEWS, PAGE, "0-0", 5000, "v", "r", "", "", 66), -1)
        await self.server.ask("XADD", NEWS, "*", "how", "start")
        self.assertEqual(await self.server.ask("EVAL", text, 2, NEWS, PAGE, "0-0", 5000, "v", "r", "", "", 66), 0)
        self.assertEqual(await self.server.ask("EXISTS", PAGE), 0)

    async def test_tags(self) -> None:
        """Whole tags, taken as they are written."""
        await self.server.ask("HSET", PAGE, "tags", "menu.1 other")
        for tag, gone in (("menu", 0), ("menu%d1", 0), ("men.*", 0), ("other", 1), ("other", 0)):
            self.assertEqual(await self.server.ask("EVAL", TAGGED.text, 1, PAGE, tag), gone, tag)
