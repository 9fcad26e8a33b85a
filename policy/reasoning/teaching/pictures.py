"""Cases in, their frames out: decoded in limited processes from synchronous code, what cannot be decoded said so."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from contracts.cases import DecidedCase
from policy.casebook import Frames
from serving.preprocess.media import DecodePool, MediaError, PoolSettings

Look = Callable[[Sequence[DecidedCase]], Sequence[Frames | MediaError]]
"""The frames of each case, uint8 [f, S, S, 3], None where it has no media, or why its media cannot be decoded."""


@contextmanager
def looking(settings: PoolSettings) -> Iterator[Look]:
    """Decode by a pool that starts with the first case that has media; `DependencyError` where the store is away."""
    pool = DecodePool(settings)
    with asyncio.Runner() as runner:

        def look(cases: Sequence[DecidedCase]) -> Sequence[Frames | MediaError]:
            addressed = [(row, case.upload.media_url) for row, case in enumerate(cases) if case.upload.media_url]
            seen: list[Frames | MediaError] = [None] * len(cases)
            if addressed:
                answers = runner.run(pool.decode([url for _, url in addressed]))
                for (row, _), answer in zip(addressed, answers, strict=True):
                    seen[row] = answer
            return seen

        try:
            yield look
        finally:
            runner.run(pool.close())
