"""Who is the master: asked of Sentinels that are silent, wrong, behind, or refuse. Real ones are in the scenarios."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import hiredis
from twisted.internet.defer import maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from tests.waiting import until
from wmesh.control.registry import sentinel
from wmesh.control.registry.dial import abort
from wmesh.control.registry.sentinel import Lookout
from wmesh.errors import RegistryError
from wmesh.registry_url import parse_target

Answer = bytes | None


class Post(Factory):
    """A port that answers Redis commands by `answer`; None is silence. `asked` are the commands, PING left out."""

    noisy = False

    def __init__(self, answer: Callable[[list[bytes]], Answer]) -> None:
        from twisted.internet import reactor

        self.answer = answer
        self.asked: list[list[bytes]] = []
        self.here: set[Protocol] = set()
        self.listening = reactor.listenTCP(0, self, interface="127.0.0.1")
        self.place = ("127.0.0.1", int(self.listening.getHost().port))

    async def close(self) -> None:
        await maybeDeferred(self.listening.stopListening)

    def buildProtocol(self, addr: object) -> Protocol:
        post, reader = self, hiredis.Reader()

        class Line(Protocol):
            def connectionMade(self) -> None:
                post.here.add(self)

            def connectionLost(self, reason: Any = None) -> None:
                post.here.discard(self)

            def dataReceived(self, data: bytes) -> None:
                reader.feed(data)
                while (command := reader.gets()) is not False:
                    if command[0] != b"PING":
                        post.asked.append(command)
                    answer = post.answer(command)
                    if answer is not None:
                        self.transport.write(answer)

        return Line()


def bulk(*parts: object) -> bytes:
    words = [str(part).encode() for part in parts]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


class LookoutTests(TestCase):
    """Lookout."""

    def setUp(self) -> None:
        self.posts: list[Post] = []
        self.moved: list[str] = []
        self.silent: set[Post] = set()
        self.opened: list[Any] = []

    async def tearDown(self) -> None:
        for connection in self.opened:
            abort(connection)
        await until(lambda: not any(post.here for post in self.posts), "the end of all connections")
        for post in self.posts:
            await post.close()

    def server(self, role: str | bytes = "master") -> Post:
        """A data node of this role; bytes are its whole answer."""

        def answer(command: list[bytes]) -> Answer:
            if post in self.silent:
                return None
            role = post.role if isinstance(post.role, bytes) else bulk(post.role)
            return role if command[0] == b"ROLE" else b"+PONG\r\n"

        post: Any = Post(answer)
        post.role = role
        self.posts.append(post)
        return post

    def sentinel(self, master: Post, epoch: int = 1) -> Any:
        """One that believes in `master` (may be changed) since `epoch`, and knows it by the name "mesh"."""

        def answer(command: list[bytes]) -> Answer:
            if post in self.silent:
                return None
            match command:
                case [b"PING"]:
                    return b"+PONG\r\n"
                case [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", b"mesh"]:
                    return bulk(*post.master.place)
                case [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", _]:
                    return b"*-1\r\n"
                case [b"SENTINEL", b"MASTER", b"mesh"]:
                    return bulk("name", "mesh", "config-epoch", post.epoch, "quorum", 2)
            return b"-ERR unknown command\r\n"

        post: Any = Post(answer)
        post.master, post.epoch = master, epoch
        self.posts.append(post)
        return post

    def lookout(self, *sentinels: Post, name: str = "mesh", **more: Any) -> Lookout:
        return self.lookout_of(",".join(f"127.0.0.1:{post.place[1]}" for post in sentinels) + f"/{name}", **more)

    def lookout_of(self, rest: str, timeout: float = 0.3) -> Lookout:
        from twisted.internet import reactor

        lookout = Lookout(parse_target(f"redis+sentinel://{rest}"), reactor, timeout=timeout, rng=random.Random(1))
        self.addCleanup(lookout.close)
        return lookout

    async def open(self, lookout: Lookout) -> int:
        """The port of the master that it opened a connection to."""
        connection = await lookout.open(self.moved.append)
        self.opened.append(connection)
        return int(connection.transport.getPeer().port)

    async def fails(self, lookout: Lookout) -> str:
        with self.assertRaises(RegistryError) as caught:
            await lookout.open(self.moved.append)
        return str(caught.exception)

    async def test_in_turn(self) -> None:
        """One that is silent, and one that is not there, are passed over; who answered is asked first from then on."""
        master = self.server()
        silent, gone, good = (self.sentinel(master) for _ in range(3))
        self.silent.add(silent)
        await gone.close()
        lookout = self.lookout(silent, gone, good)
        self.assertEqual(await self.open(lookout), master.place[1])
        self.assertEqual(lookout.place, master.place)
        self.silent.clear()
        asked = len(good.asked)
        self.assertEqual(await self.open(lookout), master.place[1])
        self.assertEqual((len(silent.asked), len(good.asked)), (0, 2 * asked))

    async def test_a_demoted_one(self) -> None:
        """Who is named and says himself that he is a replica is not believed in; then another Sentinel is asked."""
        old, new = self.server("slave"), self.server()
        stale, good = self.sentinel(old), self.sentinel(new)
        lookout = self.lookout(stale, good)
        said = await self.fails(lookout)
        for words in (str(stale.place[1]), str(old.place[1]), "no master but a slave"):
            self.assertIn(words, said)
        self.assertEqual(await self.open(lookout), new.place[1])

    async def test_a_hung_one(self) -> None:
        """A master that takes connections and says nothing is an error in time, which says who named it."""
        hung = self.server()
        self.silent.add(hung)
        self.assertIn("no answer within 0.3 s", await self.fails(self.lookout(self.sentinel(hung))))

    async def test_one_that_is_behind(self) -> None:
        """An older decision than was heard before counts only when no Sentinel knows a newer one, and even if whom it
        names still says that he is a master."""
        old, new = self.server(), self.server()
        behind, good = self.sentinel(old, 1), self.sentinel(new, 2)
        lookout = self.lookout(good, behind)
        self.assertEqual(await self.open(lookout), new.place[1])
        self.silent.add(new)
        await self.fails(lookout)
        self.silent.clear()
        # The one that is behind is asked first now.
        self.assertEqual(await self.open(lookout), new.place[1])
        self.assertTrue(behind.asked)
        await good.close()
        self.assertEqual(await self.open(lookout), old.place[1])

    async def test_all_are_behind(self) -> None:
        """Where nobody knows the newest decision any more, the newest of those that are known counts."""
        masters = [self.server() for _ in range(4)]
        newest, *others = (self.sentinel(master, epoch) for master, epoch in zip(masters, (4, 1, 3, 2), strict=True))
        lookout = self.lookout(newest, *others)
        self.assertEqual(await self.open(lookout), masters[0].place[1])
        await newest.close()
        self.assertEqual(await self.open(lookout), masters[2].place[1])

    async def test_sentinels_made_anew(self) -> None:
        """Sentinels that were set up again count their decisions from the beginning, and are believed all the same."""
        self.patch(sentinel, "LOOK", 0.02)
        old, new = self.server(), self.server()
        posts = [self.sentinel(old, 7) for _ in range(2)]
        await self.open(self.lookout(*posts))
        for post in posts:
            post.master, post.epoch = new, 0
        await until(lambda: self.moved, "the news")

    async def test_all_move_together(self) -> None:
        """Who finds another master sends away those who are at the old one, and nobody else."""
        old, new = self.server(), self.server()
        post = self.sentinel(old)
        lookout = self.lookout(post)
        await self.open(lookout)
        post.master, post.epoch = new, 2
        self.assertEqual(await self.open(lookout), new.place[1])
        self.assertEqual(self.moved, [f"the master is now 127.0.0.1:{new.place[1]}"])

    async def test_looks_again(self) -> None:
        """As long as somebody is there, the Sentinels are asked now and then whether it is still the master, each in
        its turn, and a word that is behind moves nobody."""
        self.patch(sentinel, "LOOK", 0.02)
        old, new = self.server(), self.server()
        first, second, behind = self.sentinel(old, 2), self.sentinel(old, 2), self.sentinel(new, 1)
        lookout = self.lookout(first, second, behind)
        await self.open(lookout)
        await until(lambda: len(second.asked) > 4 and len(behind.asked) > 4, "all of them to be asked")
        self.assertEqual(self.moved, [])
        second.master, second.epoch = new, 3
        await until(lambda: self.moved, "the news")
        self.assertIn(str(new.place[1]), self.moved[0])
        for connection in self.opened:
            abort(connection)
        await until(lambda: not old.here, "the end of the connection")
        await until(lambda: not second.here, "the end of the asking")
        asked = len(second.asked)
        self.assertEqual(lookout._due, None)
        self.assertEqual(len(second.asked), asked)

    async def test_what_each_said(self) -> None:
        """Nobody knows: the error says of each Sentinel why, without a full stop."""
        master = self.server()
        gone, good = self.sentinel(master), self.sentinel(master)
        await gone.close()
        said = await self.fails(self.lookout(gone, good, name="other"))
        self.assertIn(f"127.0.0.1:{gone.place[1]}: Connection was refused", said)
        self.assertIn(f"127.0.0.1:{good.place[1]}: it knows no master of the name other", said)
        self.assertFalse(said.endswith("."))

    async def test_logins(self) -> None:
        """A Sentinel's own login is used; a refused one is told with what to do, and without the password."""

        def guarded(command: list[bytes]) -> Answer:
            if command[0] == b"AUTH":
                right = command[1:] == [b"me", b"right-one"]
                return b"+OK\r\n" if right else b"-WRONGPASS invalid username-password pair.\r\n"
            return good.answer(command) if any(b"right-one" in one for one in post.asked) else b"-NOAUTH Log in.\r\n"

        good = self.sentinel(self.server())
        post = Post(guarded)
        self.posts.append(post)
        place = f"127.0.0.1:{post.place[1]}/mesh"
        for options, word in (("", "NOAUTH"), ("?sentinel_user=me&sentinel_password=wrong-one", "WRONGPASS")):
            said = await self.fails(self.lookout_of(place + options))
            self.assertIn(word, said)
            self.assertIn("sentinel_password", said)
            self.assertNotIn("wrong-one", said)
        await self.open(self.lookout_of(f"{place}?sentinel_user=me&sentinel_password=right-one"))

    async def test_no_sentinel(self) -> None:
        """What answers there is an ordinary server: said, not stumbled over."""
        redis = self.sentinel_like(b"-ERR unknown command\r\n")
        self.assertIn("unknown command", await self.fails(self.lookout(redis)))
        for nonsense in (b":1\r\n", b"+OK\r\n", bulk("a"), bulk("h", "no port")):
            self.assertIn("is it a Sentinel?", await self.fails(self.lookout(self.sentinel_like(nonsense))))
        for nonsense in (b":1\r\n", b"*0\r\n", b"*-1\r\n", bulk("")):
            strange = self.server(nonsense)
            self.assertIn("it is no master but", await self.fails(self.lookout(self.sentinel(strange))))

    def sentinel_like(self, answer: bytes) -> Post:
        post = Post(lambda command: b"+PONG\r\n" if command[0] == b"PING" else answer)
        self.posts.append(post)
        return post
