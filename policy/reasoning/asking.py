"""Many questions in, their answers out as they come, a bounded number under way at once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


def each_answer(ask: Callable[[Q], A], questions: Sequence[Q], *, parallel: int) -> Iterator[tuple[int, A]]:
    """Yield (position, answer) as answers come, at most `parallel` questions under way.

    The first that fails ends the asking: what is under way by then is waited for and yielded, then its error raised.
    """
    waiting = iter(enumerate(questions))
    under_way: dict[Future[A], int] = {}
    failed: BaseException | None = None
    with ThreadPoolExecutor(parallel) as threads:
        while True:
            while failed is None and len(under_way) < parallel and (one := next(waiting, None)) is not None:
                under_way[threads.submit(ask, one[1])] = one[0]
            if not under_way:
                break
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                position = under_way.pop(future)
                if (error := future.exception()) is not None:
                    failed = failed or error
                else:
                    yield position, future.result()
    if failed is not None:
        raise failed
