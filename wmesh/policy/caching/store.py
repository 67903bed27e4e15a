"""Stored answers in memory, within a budget of bytes.

By key there is a page: the answers for one URI, which differ in what their requests said. Which answers are given up
when the budget is used up is decided by S3-FIFO (Yang et al., SOSP 2023): a newcomer stands in a small queue, a tenth
of the budget; most are never asked for again and leave from there, so that a crawler pushes out nothing of value.
Whoever is asked for again moves to the main queue, and there gets another round as long as it is still asked for. Those
who left the small queue are remembered for a while (by a hash), and go straight to the main queue when they come back.
A look-up changes one small number and no order, which is why it costs next to nothing.

Nothing is thrown away for its age: a stale answer saves a body when it is validated, and stands in when nobody answers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol

from wmesh.policy.caching.decide import newest
from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.keys import covers, equals, service_of
from wmesh.policy.caching.question import Question
from wmesh.policy.caching.vary import Names, favourite

VARIANTS = 64
"""Answers for one URI: a client can make up as many as it likes, and pays with its own oldest ones."""

SMALL = 0.1
"""The share of the budget that newcomers have for themselves."""

COMING = 0.5
"""The share of the budget that may be taken up, beside it, by bodies that are on their way or not sent yet."""

_GONE, _SMALL, _MAIN = range(3)
_MOST_READS = 3

_LANGUAGE = b"accept-language"


class Store(Protocol):
    """Where answers are kept. `size` and `count` are the bytes and the answers in it."""

    size: int
    count: int

    def find(self, key: bytes, question: Question) -> tuple[Entry | None, Names | None]:
        """The newest answer that suits such a request, and on what the answers for this key depend, as
        far as is known (None: there are none)."""

    def add(self, entry: Entry) -> None:
        """Keep it, instead of what suited the same requests."""

    def remove(self, entry: Entry) -> None:
        """Forget it, if it is still there."""

    def forget(self, key: bytes) -> int:
        """Forget all answers for this key; tells how many."""

    def take(self, count: int) -> bool:
        """May so many bytes more be recorded for it? A yes is paired with `give_back`."""

    def give_back(self, count: int) -> None:
        """So many bytes are not held by a recording any more."""

    def purge(self, service: bytes, *, url: bytes = b"", prefix: bytes = b"", tag: bytes = b"") -> int:
        """Forget what an operator names (see `wmesh.policy.caching.keys`), or all that the service has."""


Page = dict[Names, dict[bytes, Entry]]


class MemoryStore:
    """The one in this process. `budget` is bytes; `evicted` counts those that left for want of room.

    `coming` are the bytes of bodies that are being recorded for it; `take` grants them as long as they are few.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.size = 0
        self.count = 0
        self.evicted = 0
        self.coming = 0
        self._pages: dict[bytes, Page] = {}
        self._tags: dict[tuple[bytes, bytes], set[Entry]] = {}
        self._small: OrderedDict[Entry, None] = OrderedDict()
        self._main: OrderedDict[Entry, None] = OrderedDict()
        self._small_size = 0
        self._ghosts: OrderedDict[int, None] = OrderedDict()

    def find(self, key: bytes, question: Question) -> tuple[Entry | None, Names | None]:
        page = self._pages.get(key)
        if page is None:
            return None, None
        if len(page) == 1:
            ((names, variants),) = page.items()
            entry = variants.get(question.variant(names)) if names else variants.get(b"")
        else:
            names = next(reversed(page))
            suiting = (variants.get(question.variant(fields)) for fields, variants in page.items())
            entry = newest(one for one in suiting if one is not None)
        if entry is None:
            entry = _spoken(page, question)
        if entry is not None and entry.reads < _MOST_READS:
            entry.reads += 1
        return entry, names

    def add(self, entry: Entry) -> None:
        page = self._pages.setdefault(entry.key, {})
        old = page.get(entry.vary, {}).get(entry.variant)
        stood = _GONE
        if old is not None:
            stood, entry.reads = old.where, old.reads
            self.remove(old)
            page = self._pages.setdefault(entry.key, {})
        if sum(map(len, page.values())) >= VARIANTS:
            self.remove(next(iter(next(iter(page.values())).values())))
        page.setdefault(entry.vary, {})[entry.variant] = entry
        for tag in entry.tags:
            self._tags.setdefault((service_of(entry.key), tag), set()).add(entry)
        self.count += 1
        self.size += entry.size
        mark = hash((entry.key, entry.variant))
        # A new version of an answer inherits the place that the old one had earned.
        if stood == _MAIN or mark in self._ghosts:
            self._ghosts.pop(mark, None)
            self._enter_main(entry)
        else:
            entry.where = _SMALL
            self._small[entry] = None
            self._small_size += entry.size
        self._make_room()

    def remove(self, entry: Entry) -> None:
        if entry.where == _GONE:
            return
        if entry.where == _SMALL:
            del self._small[entry]
            self._small_size -= entry.size
        else:
            del self._main[entry]
        self._drop(entry)

    def forget(self, key: bytes) -> int:
        page = self._pages.get(key)
        if page is None:
            return 0
        return self._remove_all(list(_entries(page)))

    def purge(self, service: bytes, *, url: bytes = b"", prefix: bytes = b"", tag: bytes = b"") -> int:
        if tag:
            return self._remove_all(list(self._tags.get((service, tag), ())))
        means: Callable[[bytes], bool] = (lambda key: equals(key, url)) if url else lambda key: covers(key, prefix)
        keys = [key for key in self._pages if service_of(key) == service and ((not url and not prefix) or means(key))]
        return sum(map(self.forget, keys))

    def take(self, count: int) -> bool:
        if self.coming + count > self.budget * COMING:
            return False
        self.coming += count
        return True

    def give_back(self, count: int) -> None:
        self.coming -= count

    # --- room

    def _make_room(self) -> None:
        while self.size > self.budget and self.count:
            if self._small and (self._small_size > self.budget * SMALL or not self._main):
                self._leave_small()
            else:
                self._turn_main()

    def _leave_small(self) -> None:
        entry, _ = self._small.popitem(last=False)
        self._small_size -= entry.size
        if entry.reads > 1:
            entry.reads = 0
            self._enter_main(entry)
            return
        self._ghosts[hash((entry.key, entry.variant))] = None
        while len(self._ghosts) > max(64, len(self._main)):
            self._ghosts.popitem(last=False)
        self._evict(entry)

    def _turn_main(self) -> None:
        entry, _ = self._main.popitem(last=False)
        if entry.reads > 0:
            entry.reads -= 1
            self._main[entry] = None
        else:
            self._evict(entry)

    def _enter_main(self, entry: Entry) -> None:
        entry.where = _MAIN
        self._main[entry] = None

    def _evict(self, entry: Entry) -> None:
        self.evicted += 1
        self._drop(entry)

    def _drop(self, entry: Entry) -> None:
        """Take it out of everything but its queue."""
        entry.where = _GONE
        self.count -= 1
        self.size -= entry.size
        page = self._pages[entry.key]
        variants = page[entry.vary]
        del variants[entry.variant]
        if not variants:
            del page[entry.vary]
            if not page:
                del self._pages[entry.key]
        for tag in entry.tags:
            name = (service_of(entry.key), tag)
            tagged = self._tags.get(name)
            if tagged is not None:
                tagged.discard(entry)
                if not tagged:
                    del self._tags[name]

    def _remove_all(self, entries: list[Entry]) -> int:
        for entry in entries:
            self.remove(entry)
        return len(entries)


def _entries(page: Page) -> Iterator[Entry]:
    for variants in page.values():
        yield from variants.values()


def _spoken(page: Page, question: Question) -> Entry | None:
    """The answer in the language that the request prefers to all others, if all else that it depends on is equal."""
    if not any(_LANGUAGE in names for names in page):
        return None
    language = favourite(question.lines)
    if not language:
        return None
    found = []
    for names, variants in page.items():
        if _LANGUAGE not in names:
            continue
        place = names.index(_LANGUAGE)
        wanted = _without(question.variant(names), place)
        found += [
            entry
            for variant, entry in variants.items()
            if entry.language == language and _without(variant, place) == wanted
        ]
    return newest(found)


def _without(variant: bytes, place: int) -> list[bytes]:
    parts = variant.split(b"\n")
    del parts[place]
    return parts
