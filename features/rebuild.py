"""The verdicts that an archive keeps in, the online store as it was out: the way back from a store that came up empty.

Hour by hour of when versions came to be, the newest hours first, so that what is looked up most is there soonest.
Every write is guarded: workers may go on meanwhile, an hour may be written twice, and a store that lost nothing is not
changed. How far it got is written down after each hour, so that one that was interrupted goes on from there.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from contracts.errors import BadInputError
from contracts.verdicts import Verdict
from features.online.rows import Written
from features.writer import FeatureWriter

BATCH = 1_000


class Hour(Protocol):
    """An hour of versions of videos, and how many verdicts were given on them."""

    @property
    def start(self) -> datetime: ...
    @property
    def rows(self) -> int: ...


class Archive(Protocol):
    """Where all verdicts are kept; both raise `DependencyError`."""

    def hours(self, *, since: datetime, until: datetime) -> Sequence[Hour]: ...
    def of_hour(self, start: datetime) -> Iterable[list[Verdict]]: ...


class Mark(NamedTuple):
    """How far a rebuilding of a store got: all of the hours from `done` to `until`, and what that wrote."""

    store: str
    since: datetime
    until: datetime
    done: datetime | None = None
    written: Written = Written(0, 0)

    def write(self, path: Path) -> None:
        """Write the mark, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        moments = {name: _text(getattr(self, name)) for name in ("since", "until", "done")}
        text = json.dumps({"store": self.store, **moments, **self.written._asdict()})
        beside.write_text(f"{text}\n", encoding="utf-8")
        os.replace(beside, path)

    def forget(self, path: Path) -> None:
        """Take the file away: all is written."""
        path.unlink(missing_ok=True)

    @classmethod
    def read(cls, path: Path, *, store: str) -> "Mark":
        """The mark of an interrupted rebuilding of this store; raises `BadInputError` for none, or of another."""
        try:
            said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            mark = cls(
                said["store"],
                datetime.fromisoformat(said["since"]),
                datetime.fromisoformat(said["until"]),
                datetime.fromisoformat(said["done"]) if said["done"] else None,
                Written(said["written"], said["stale"]),
            )
        except FileNotFoundError:
            raise BadInputError(f"{path}: there is none, must be that of a rebuilding that was interrupted") from None
        except (ValueError, KeyError, TypeError) as error:
            raise BadInputError(f"{path}: is not the mark of a rebuilding: {error!r}") from error
        if mark.store != store:
            raise BadInputError(f"{path}: is of {mark.store}, must be of {store}")
        return mark


async def rebuild(
    archive: Archive, writer: FeatureWriter, mark: Mark, path: Path, *, done: Callable[[int, int], object]
) -> Mark:
    """Write every hour that the mark leaves open and move it; the file goes when all is written. Returns the last mark.

    `done` is told rows done and rows in all. Raises `DependencyError` when archive or store do not answer: the mark
    says what is left.
    """
    hours = [one for one in archive.hours(since=mark.since, until=mark.until) if not mark.done or one.start < mark.done]
    total, finished = sum(one.rows for one in hours), 0
    for hour in hours:
        within = 0
        for batch in _batches(archive.of_hour(hour.start)):
            wrote = await writer.write(batch)
            mark = mark._replace(
                written=Written(mark.written.written + wrote.written, mark.written.stale + wrote.stale)
            )
            within += len(batch)
            done(finished + min(within, hour.rows), total)
        finished += hour.rows
        mark = mark._replace(done=hour.start)
        mark.write(path)
    mark.forget(path)
    return mark


def _batches(blocks: Iterable[list[Verdict]]) -> Iterator[list[Verdict]]:
    rows = chain.from_iterable(blocks)
    while batch := list(islice(rows, BATCH)):
        yield batch


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
