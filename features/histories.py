"""The past of authors and viewers in, features out: what `rank()` reads beside a video's own verdict."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain, islice
from typing import NamedTuple, Protocol, TypeVar

from contracts.histories import AuthorHistory, ViewerSensitivity
from features.config import FeaturesConfig
from features.online.rows import Written
from features.writer import FeatureWriter, open_writer

BATCH = 1_000
T_ = TypeVar("T_")


class Past(Protocol):
    """Where histories are counted, in blocks, so that millions of people are never held at once."""

    def authors(self, *, as_of: datetime, now: datetime) -> Iterable[list[AuthorHistory]]: ...

    def viewers(self, *, as_of: datetime, now: datetime) -> Iterable[list[ViewerSensitivity]]: ...


class Refreshed(NamedTuple):
    """How many authors and viewers were written, and how many were already known as of then or later."""

    authors: Written
    viewers: Written


async def refresh(past: Past, writer: FeatureWriter, *, as_of: datetime, now: datetime) -> Refreshed:
    """Count every history up to `as_of` and write it, guarded; safe to repeat, an older one changes nothing.

    Raises `DependencyError` when the past or the feature store does not answer.
    """
    authors = viewers = Written(0, 0)
    for some in _batches(past.authors(as_of=as_of, now=now)):
        authors = _sum(authors, await writer.write_authors(some))
    for others in _batches(past.viewers(as_of=as_of, now=now)):
        viewers = _sum(viewers, await writer.write_viewers(others))
    return Refreshed(authors, viewers)


async def materialise(past: Past, config: FeaturesConfig, *, as_of: datetime, now: datetime) -> Refreshed:
    """`refresh` into the configured online store, opened for as long as it takes."""
    writer = open_writer(config)
    try:
        return await refresh(past, writer, as_of=as_of, now=now)
    finally:
        await writer.close()


def _batches(blocks: Iterable[list[T_]]) -> Iterator[list[T_]]:
    rows = chain.from_iterable(blocks)
    while batch := list(islice(rows, BATCH)):
        yield batch


def _sum(total: Written, more: Written) -> Written:
    return Written(total.written + more.written, total.stale + more.stale)
