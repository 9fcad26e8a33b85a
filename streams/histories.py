"""The warehouse's past in, features of authors and viewers out: what `rank()` reads beside a video's own verdict."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, islice
from typing import NamedTuple, TypeVar

from features.online.rows import Written
from features.writer import FeatureWriter
from warehouse.address import Client
from warehouse.histories import author_histories, viewer_sensitivities

BATCH = 1_000
T_ = TypeVar("T_")


class Refreshed(NamedTuple):
    """How many authors and viewers were written, and how many were already known as of then or later."""

    authors: Written
    viewers: Written


async def refresh(client: Client, writer: FeatureWriter, *, as_of: datetime) -> Refreshed:
    """Compute every history up to `as_of` and write it, guarded; safe to repeat, an older one changes nothing.

    Raises `DependencyError` when the warehouse or the feature store does not answer.
    """
    now = datetime.now(UTC)
    authors = viewers = Written(0, 0)
    for some in _batches(author_histories(client, as_of=as_of, now=now)):
        authors = _sum(authors, await writer.write_authors(some))
    for others in _batches(viewer_sensitivities(client, as_of=as_of, now=now)):
        viewers = _sum(viewers, await writer.write_viewers(others))
    return Refreshed(authors, viewers)


def _batches(blocks: Iterator[list[T_]]) -> Iterator[list[T_]]:
    rows = chain.from_iterable(blocks)
    while batch := list(islice(rows, BATCH)):
        yield batch


def _sum(total: Written, more: Written) -> Written:
    return Written(total.written + more.written, total.stale + more.stale)
