"""A Redis that came up empty has its features again from the warehouse, whoever writes meanwhile or is interrupted."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from contracts.errors import BadInputError, DependencyError
from contracts.verdicts import Verdict
from features.config import FeaturesConfig
from features.lookup import lookup
from features.online.rows import Written
from features.rebuild import Mark, rebuild
from features.store import open_store
from features.writer import open_writer
from streams.commands.rebuild import rebuild as rebuild_command
from tests.redis_server import RedisServer
from tests.warehouse.owners import Owner, running_owner
from tests.warehouse.samples import START, verdict
from warehouse.address import connect
from warehouse.migrate import migrate
from warehouse.sink import VerdictSink
from warehouse.verdict_history import Hour

NOON = (START - timedelta(days=40)).replace(hour=12, minute=0, second=0, microsecond=0)


def judged(number: int, *, hours: float, version: int = 1, release: int = 1) -> Verdict:
    """A verdict on a version of video `number` that came so many hours after noon."""
    at = NOON + timedelta(hours=hours)
    return verdict(
        number, event_id=f"e-{number}-{version}", occurred_at=at, scored_at=at + timedelta(seconds=1),
        release_version=release,
    )  # fmt: skip


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as started:
        yield started


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Owner]:
    with running_owner(tmp_path / "data", tmp_path / "log") as owner:
        migrate(owner.address)
        yield owner


def write(config: FeaturesConfig, *verdicts: Verdict) -> None:
    async def run() -> None:
        writer = open_writer(config)
        await writer.write(verdicts)
        await writer.close()

    asyncio.run(run())


def test_a_redis_that_lost_all_is_written_anew_by_the_newest_versions_and_nothing_newer_is_touched(
    redis: RedisServer, warehouse: Owner, tmp_path: Path
) -> None:
    config = FeaturesConfig(online=redis.url, registry=tmp_path / "registry", offline=f"parquet:///{tmp_path}/history")
    verdicts = [judged(n, hours=n / 4) for n in range(1_200)]
    verdicts += [judged(n, hours=400 + n, version=2, release=2) for n in range(5)]  # later versions, in later hours
    VerdictSink(connect(warehouse.address)).insert(verdicts)
    write(config, *verdicts)
    ids = sorted({one.video_id for one in verdicts})
    store = open_store(config)
    before = lookup(store, ids, NOON).to_dicts()
    redis.kill()
    redis.start_again()
    assert {one["state"] for one in lookup(store, ids, NOON).to_dicts()} == {"unknown"}
    meanwhile = judged(7, hours=9_000, version=3, release=3)  # a worker has gone on
    write(config, meanwhile)

    environment = {
        "PRECEDENT_ONLINE_STORE": redis.url,
        "PRECEDENT_WAREHOUSE": warehouse.address.url,
        "PRECEDENT_FEATURES_REGISTRY": str(tmp_path / "registry"),
    }
    mark = tmp_path / "mark.json"
    call = CliRunner().invoke(
        rebuild_command, ["--mark", str(mark)], env=environment, catch_exceptions=False, color=False
    )
    assert call.exit_code == 0, call.output
    said = json.loads(call.stdout)
    assert (said["videos"], said["authors"]["written"] > 0) == ({"written": 1_199, "stale": 6}, True)
    assert not mark.exists()
    changed = {meanwhile.video_id}
    after = lookup(store, ids, NOON).to_dicts()
    assert [one for one in after if one["video_id"] not in changed] == [
        one for one in before if one["video_id"] not in changed
    ]
    assert [one["release_version"] for one in after if one["video_id"] in changed] == [3]


class FailingArchive:
    """Verdicts by hour; the hour that it is told fails once half of it was given."""

    def __init__(self, verdicts: Sequence[Verdict], *, fails_at: datetime | None = None) -> None:
        self._verdicts = verdicts
        self.fails_at = fails_at
        self.asked: list[datetime] = []

    def hours(self, *, since: datetime, until: datetime) -> list[Hour]:
        starts = [one.occurred_at.replace(minute=0, second=0, microsecond=0) for one in self._verdicts]
        inside = {start for start in starts if since <= start <= until}
        return [Hour(start, starts.count(start)) for start in sorted(inside, reverse=True)]

    def of_hour(self, start: datetime) -> Iterable[list[Verdict]]:
        self.asked.append(start)
        given = [one for one in self._verdicts if start <= one.occurred_at < start + timedelta(hours=1)]
        yield given[: len(given) // 2]
        if start == self.fails_at:
            raise DependencyError("the warehouse is away")
        yield given[len(given) // 2 :]


def test_what_was_interrupted_goes_on_with_the_hour_that_was_not_done(tmp_path: Path) -> None:
    config = FeaturesConfig(online=f"sqlite:///{tmp_path}/online.db")
    hour = [NOON + timedelta(hours=n) for n in range(3)]
    archive = FailingArchive([judged(n, hours=n % 3 + 0.25) for n in range(30)], fails_at=hour[1])
    path, bar = tmp_path / "state" / "mark.json", list[tuple[int, int]]()

    def run(mark: Mark) -> Mark:
        async def write_anew() -> Mark:
            writer = open_writer(config)
            try:
                return await rebuild(archive, writer, mark, path, done=lambda rows, all_: bar.append((rows, all_)))
            finally:
                await writer.close()

        return asyncio.run(write_anew())

    with pytest.raises(DependencyError):
        run(Mark("a store", NOON, NOON + timedelta(hours=3)))
    assert archive.asked == [hour[2], hour[1]]
    kept = Mark.read(path, store="a store")
    assert (kept.done, kept.written) == (hour[2], Written(10, 0))

    archive.fails_at, archive.asked = None, []
    last = run(kept)
    assert archive.asked == [hour[1], hour[0]]
    assert last.written.written + last.written.stale == 30
    assert bar[-1] == (20, 20)
    assert not path.exists()


def test_a_mark_of_another_store_or_of_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mark.json"
    with pytest.raises(BadInputError, match="there is none"):
        Mark.read(path, store="redis://a:1")
    now = datetime.now(UTC)
    Mark("redis://a:1", NOON, now, done=NOON, written=Written(3, 1)).write(path)
    assert Mark.read(path, store="redis://a:1") == Mark("redis://a:1", NOON, now, NOON, Written(3, 1))
    with pytest.raises(BadInputError, match="is of redis://a:1, must be of redis://b:1"):
        Mark.read(path, store="redis://b:1")
    path.write_text("{}")
    with pytest.raises(BadInputError, match="is not the mark of a rebuilding"):
        Mark.read(path, store="redis://a:1")
