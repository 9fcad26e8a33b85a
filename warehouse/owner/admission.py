"""Let so many statements run at a time: the others wait their turn in order, for a bounded time."""

import asyncio
from collections import deque

from warehouse.owner.errors import Code, refuse


class Admission:
    """Seats for running statements; a statement holds its seat until the last byte of its result is sent.

    Of one event loop: none of its methods may be called from another thread.
    """

    def __init__(self, seats: int, wait_s: float) -> None:
        self._seats = self._free = seats
        self._wait_s = wait_s
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    async def take(self) -> None:
        """Take a seat; raises `ClickHouseError` 202 when none was free in time, 236 when the warehouse stops."""
        if self._closed:
            raise _stopping()
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._wait_s):
                await turn
        except BaseException as error:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give_back()  # the seat came in the moment in which its taker gave up
            if isinstance(error, TimeoutError):
                raise refuse(
                    Code.TOO_MANY_SIMULTANEOUS_QUERIES,
                    f"Too many simultaneous queries: {self._seats} are running, at most {self._seats} may, "
                    f"and none ended within {self._wait_s:g} s",
                ) from error
            raise

    def give_back(self) -> None:
        """Give a seat to the one who waits longest, if anybody does."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def close(self) -> None:
        """Refuse whoever waits and whoever comes; those who sit stay."""
        self._closed = True
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(_stopping())


def _stopping() -> Exception:
    return refuse(Code.ABORTED, "The warehouse is stopping")
