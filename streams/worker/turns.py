"""Events of one video one after the other, all others side by side: what batches and groups would let overtake waits.

A video's verdicts then lie on their topic in the order in which its versions came, so that whoever keeps the last one,
as a compacted topic does, keeps the newest. Only what is of a video that is under way waits, and for that video alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

from streams.moderation import Accepted
from streams.worker.patience import AbandonedError


class Turns:
    """Which videos are under way, each with the task that holds its last event."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Task[None]] = {}

    @property
    def busy(self) -> Collection[str]:
        """The videos under way."""
        return self._under_way.keys()

    def begin(
        self,
        group: Sequence[Accepted],
        take: Callable[[Sequence[Accepted]], Awaitable[None]],
        ours: Callable[[], bool],
    ) -> "asyncio.Task[None]":
        """Take a group as soon as nothing earlier of its videos is under way.

        What came before may have been let go: then it comes again, and before this group, unless that is not `ours`
        any more either. The task raises what `take` raises, and `AbandonedError` for a group that is not.
        """
        videos = {one.upload.video_id for one in group}
        before = {task for video in videos if (task := self._under_way.get(video)) is not None}
        task = asyncio.create_task(_after(before, group, take, ours))
        self._under_way |= dict.fromkeys(videos, task)
        task.add_done_callback(lambda _: self._end(videos, task))
        return task

    def _end(self, videos: Iterable[str], task: "asyncio.Task[None]") -> None:
        for video in videos:
            if self._under_way.get(video) is task:
                del self._under_way[video]


async def _after(
    before: "set[asyncio.Task[None]]",
    group: Sequence[Accepted],
    take: Callable[[Sequence[Accepted]], Awaitable[None]],
    ours: Callable[[], bool],
) -> None:
    if before:
        await asyncio.wait(before)
        if not ours():
            raise AbandonedError("the batch is not this worker's any more, nor was an earlier one of its videos")
    await take(group)


async def ended(ways: "Iterable[asyncio.Task[None]]") -> AbandonedError | None:
    """Wait for every way of a batch; why one was let go, if one was.

    Raises the first fault at once: the others, which may wait for a part that is away, are let go when we end of it.
    """
    let_go: AbandonedError | None = None
    under_way = set(ways)
    while under_way:
        done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        for error in [error for way in done if (error := way.exception()) is not None]:
            if not isinstance(error, AbandonedError):
                for way in under_way:
                    way.add_done_callback(asyncio.Task.exception)  # heard, so that nobody complains of it
                raise error
            let_go = let_go or error
    return let_go


def waves(accepted: Sequence[Accepted], busy: Collection[str]) -> list[list[Accepted]]:
    """A batch's events in waves: no video twice in one, but for text after text, which stays in order by itself.

    What is of a `busy` video is in no first wave, so that the first has nobody to wait for.
    """
    found: list[list[Accepted]] = []
    last: dict[str, tuple[int, bool]] = {}
    for one in accepted:
        video, text = one.upload.video_id, one.upload.media_url is None
        if video in last:
            wave, after_text = last[video]
            wave += not (text and after_text)
        else:
            wave = int(video in busy)
        last[video] = wave, text
        while len(found) <= wave:
            found.append([])
        found[wave].append(one)
    return [wave for wave in found if wave]
