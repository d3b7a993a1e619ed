"""What the gateway has for HTTP callers: memory for bodies, and places for work. No caller gets all of it."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from gateway.config.http import HttpSettings
from gateway.web.errors import Busy

# Bodies that one caller may have here at once, whether they are on their way or worked on, in times its places. They
# take memory as they come, and no place before they are complete.
BODIES_OF_A_PLACE = 3
BUSY_RETRY_S = 1


class Holding:
    """The memory of one body."""

    def __init__(self, capacity: Capacity, caller: str) -> None:
        self._capacity = capacity
        self._caller = caller
        self.bytes = 0

    def grow(self, count: int) -> None:
        """Raises Busy when there is no room for so many bytes more."""
        self._capacity.take_memory(self._caller, count)
        self.bytes += count


class Capacity:
    """Who holds what. For one event loop.

    All callers are named by a text: who is known by name, who is not by address.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._count = settings.concurrent
        # One place is always left for somebody else, where there is more than one.
        self._share = max(1, settings.concurrent - 1)
        self._body_bytes_max = settings.body_bytes_max
        self._wait_s = settings.request_timeout_s
        self._working: Counter[str] = Counter()
        self._receiving: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._line: deque[tuple[str, asyncio.Future[None]]] = deque()

    def check(self, caller: str) -> None:
        """Raises Busy when it is certain that there is no place: then the body is better not sent."""
        if not self._has_place(caller):
            raise _busy(f"{self._working.total()} requests are being worked on")

    @contextmanager
    def receiving(self, caller: str) -> Iterator[Holding]:
        """Memory for a body, until the block ends. Raises Busy when the caller sends too many of them."""
        if self._receiving[caller] >= self._share * BODIES_OF_A_PLACE:
            raise _busy(f"{self._receiving[caller]} bodies of this caller are on their way")
        self._receiving[caller] += 1
        holding = Holding(self, caller)
        try:
            yield holding
        finally:
            _less(self._receiving, caller, 1)
            _less(self._bytes, caller, holding.bytes)

    def take_memory(self, caller: str, count: int) -> None:
        """Raises Busy when the caller, or all of them together, would hold too much."""
        if (
            self._bytes[caller] + count > self._share * self._body_bytes_max
            or self._bytes.total() + count > self._count * self._body_bytes_max
        ):
            raise _busy("the bodies that are held fill the memory for them")
        self._bytes[caller] += count

    @asynccontextmanager
    async def working(self, caller: str) -> AsyncIterator[None]:
        """A place, until the block ends. Who comes first gets it first. Raises Busy after too long a wait."""
        if self._has_place(caller):
            self._working[caller] += 1
        else:
            await self._stand_in_line(caller)
        try:
            yield
        finally:
            _less(self._working, caller, 1)
            self._call_next()

    def _has_place(self, caller: str) -> bool:
        return self._working.total() < self._count and self._working[caller] < self._share

    async def _stand_in_line(self, caller: str) -> None:
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((caller, called))
        try:
            async with asyncio.timeout(self._wait_s):
                await called
        except BaseException as error:
            if called.done() and not called.cancelled():
                # The place came at the same moment: somebody else gets it.
                _less(self._working, caller, 1)
                self._call_next()
            else:
                self._line.remove((caller, called))
            if isinstance(error, TimeoutError):
                raise _busy("no place became free") from error
            raise

    def _call_next(self) -> None:
        for caller, called in list(self._line):
            if self._has_place(caller) and not called.done():
                self._line.remove((caller, called))
                self._working[caller] += 1
                called.set_result(None)


def _less(counter: Counter[str], name: str, count: int) -> None:
    counter[name] -= count
    if not counter[name]:
        del counter[name]


def _busy(message: str) -> Busy:
    return Busy(message, headers={"Retry-After": str(BUSY_RETRY_S)})
