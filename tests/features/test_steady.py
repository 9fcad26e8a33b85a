"""A recommender is never slowed: a store that is frozen, killed or refuses is answered as unavailable, and counted."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import reduce
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import BadInputError
from contracts.histories import AuthorHistory
from contracts.verdicts import Decision, Verdict
from features.lookup import DECISIONS, Freshness, ViewerFeatures
from features.online.columns import Columns
from features.rank import Candidates, rank
from features.steady import Circuit, SteadyLookups, SteadySettings
from features.store import OpenStore, open_store
from features.views import View
from features.writer import open_writer
from tests.features.conftest import NOON, make_config, verdict
from tests.redis_server import RedisServer

SETTINGS = SteadySettings(deadline_s=0.5, failures=2, pause_s=30.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as started:
        yield started


@pytest.fixture
def opened(server: RedisServer, tmp_path: Path) -> OpenStore:
    return open_store(make_config(tmp_path, server.url))


def write(store: OpenStore, *verdicts: Verdict) -> None:
    async def run() -> None:
        writer = open_writer(store.config)
        await writer.write(verdicts)
        day = NOON - timedelta(days=1)
        await writer.write_authors(
            [AuthorHistory.from_counts("author-1", verdicts=9, violative=3, removed=0, as_of=day, computed_at=day)]
        )
        await writer.close()

    asyncio.run(run())


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Asked:
    """Lookups of three videos through a clock that stands still, and what was counted."""

    store: OpenStore
    settings: SteadySettings = SETTINGS
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.lookups = SteadyLookups(self.store, self.settings, clock=self.clock)

    def states(self) -> set[str]:
        return {one["state"] for one in self.lookups.videos(["video-1", "video-2", "video-3"], NOON).to_dicts()}

    def value(self, name: str, **labels: str) -> float:
        return self.lookups.registry.get_sample_value(name, labels) or 0.0

    @property
    def counted(self) -> list[int]:
        outcomes = ("answered", "failed", "skipped")
        return [int(self.value("precedent_lookups_total", outcome=one)) for one in outcomes]


THREE = [verdict(f"video-{n}") for n in (1, 2, 3)]


def test_a_frozen_redis_costs_the_deadline_a_few_times_and_then_nothing(server: RedisServer, opened: OpenStore) -> None:
    write(opened, *THREE)
    asked = Asked(opened)
    assert asked.states() == {"fresh"}
    server.freeze()
    began = time.monotonic()
    for _ in range(2):
        assert asked.states() == {"unavailable"}
    assert 2 * SETTINGS.deadline_s <= time.monotonic() - began
    assert asked.value("precedent_lookups_paused") == 1.0
    for _ in range(1_000):  # if each waited for its deadline, this would take minutes
        assert asked.states() == {"unavailable"}
    assert asked.counted == [1, 2, 1_000]
    assert asked.lookups.viewer("user-1", NOON) == ViewerFeatures.unavailable("user-1")
    assert asked.lookups.authors(["author-1"], NOON).state_N.tolist() == [Freshness.UNAVAILABLE]

    server.thaw()
    assert asked.states() == {"unavailable"}  # it is left alone for as long as was said
    asked.clock.now += SETTINGS.pause_s
    assert asked.states() == {"fresh"}
    assert asked.value("precedent_lookups_paused") == 0.0
    assert asked.lookups.authors(["author-1"], NOON).state_N.tolist() == [Freshness.FRESH]


def test_an_answer_that_comes_too_late_is_never_taken_for_the_next_one(server: RedisServer, opened: OpenStore) -> None:
    write(opened, verdict("video-1", toxicity=0.25), verdict("video-2", toxicity=0.75))
    asked = Asked(opened, SteadySettings(deadline_s=0.5, failures=9))
    assert asked.lookups.videos(["video-1"], NOON).toxicity_N.tolist() == [0.25]
    server.freeze()
    assert asked.lookups.videos(["video-1"], NOON).state_N.tolist() == [Freshness.UNAVAILABLE]
    server.thaw()
    assert asked.lookups.videos(["video-2"], NOON).toxicity_N.tolist() == [0.75]


def test_a_killed_redis_that_comes_back_empty_knows_nothing_until_it_is_written_again(
    server: RedisServer, opened: OpenStore
) -> None:
    write(opened, *THREE)
    asked = Asked(opened)
    assert asked.states() == {"fresh"}
    server.kill()
    assert [asked.states() for _ in range(3)] == [{"unavailable"}] * 3
    assert asked.counted == [1, 2, 1]
    asked.clock.now += SETTINGS.pause_s
    assert asked.states() == {"unavailable"}  # one lookup tries, and the pause begins anew
    assert asked.counted == [1, 3, 1]
    assert asked.states() == {"unavailable"}
    assert asked.counted == [1, 3, 2]

    server.start_again()
    asked.clock.now += SETTINGS.pause_s
    assert asked.states() == {"unknown"}
    write(opened, *THREE)
    assert asked.states() == {"fresh"}


def test_a_removal_that_was_read_holds_while_the_store_is_away_and_falls_when_it_is_lifted(
    server: RedisServer, opened: OpenStore
) -> None:
    removed = verdict("video-2", decision=Decision.REMOVE)
    write(opened, THREE[0], removed)
    asked = Asked(opened, SteadySettings(deadline_s=0.5, failures=1, pause_s=1.0))

    def dropped() -> tuple[str, ...]:
        offered = Candidates(("video-1", "video-2"), np.array([0.5, 1.0]))
        features = asked.lookups.videos(offered.video_ids, NOON)
        ranked = rank(offered, features, asked.lookups.viewer("user-1", NOON))
        return ranked.dropped

    assert dropped() == ("video-2",)
    server.freeze()
    assert dropped() == ("video-2",)
    server.thaw()
    asked.clock.now += 1.0
    write(opened, verdict("video-2", occurred_s=9, decision=Decision.ALLOW))
    assert dropped() == ()
    server.freeze()
    assert dropped() == ()


def test_no_more_removals_are_remembered_than_was_said(server: RedisServer, opened: OpenStore) -> None:
    write(opened, *(verdict(f"video-{n}", decision=Decision.REMOVE) for n in (1, 2, 3)))
    asked = Asked(opened, SteadySettings(deadline_s=0.5, failures=1, remembered=2))
    for video in ("video-1", "video-2", "video-1", "video-3"):
        asked.lookups.videos([video], NOON)
    server.kill()
    found = asked.lookups.videos(["video-1", "video-2", "video-3"], NOON)
    assert [one == DECISIONS.index(Decision.REMOVE) for one in found.decision_N] == [True, False, True]


def test_a_store_that_refuses_the_password_is_unavailable_too(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", "--requirepass", "right", login=":right@") as server:
        store = open_store(make_config(tmp_path, server.url.replace("right", "wrong")))
        asked = Asked(store)
        assert asked.states() == {"unavailable"}
        assert asked.counted == [0, 1, 0]


def test_sqlite_answers_through_the_same_lookups(sqlite_store: OpenStore) -> None:
    assert Asked(sqlite_store).lookups.videos(["video-never"], NOON).state_N.tolist() == [Freshness.UNKNOWN]


def test_sqlite_is_read_while_a_writer_holds_the_file(sqlite_store: OpenStore) -> None:
    write(sqlite_store, verdict("v-1"))
    with closing(sqlite3.connect(sqlite_store.config.sqlite_path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        lookups = SteadyLookups(sqlite_store, SETTINGS)
        assert lookups.videos(["v-1", "v-2"], NOON).state_N.tolist() == [Freshness.FRESH, Freshness.UNKNOWN]


class Garbled:
    """A reader that meets bytes which it cannot read."""

    def within(self, deadline_s: float) -> "Garbled":
        return self

    def read(self, view: View, ids: Sequence[str]) -> Columns:
        raise ValueError("a row ends in the middle")


def test_a_row_that_nobody_can_read_makes_videos_unavailable_and_raises_nothing(sqlite_store: OpenStore) -> None:
    asked = Asked(replace(sqlite_store, reader=Garbled()))
    assert asked.lookups.videos(["v-1"], NOON).state_N.tolist() == [Freshness.UNAVAILABLE]
    assert asked.counted == [0, 1, 0]


def test_a_circuit_pauses_after_failures_in_a_row_lets_one_try_and_closes_on_an_answer() -> None:
    settings = SteadySettings(failures=2, pause_s=10.0)
    steps = {
        "refused at 1": (lambda c: c.refused(1.0, settings), Circuit(1, 0.0)),
        "answered": (lambda c: c.answered(), Circuit(0, 0.0)),
        "refused at 2": (lambda c: c.refused(2.0, settings), Circuit(1, 0.0)),
        "refused at 3": (lambda c: c.refused(3.0, settings), Circuit(2, 13.0)),
        "one tries at 13": (lambda c: c.tried(13.0, settings), Circuit(2, 23.0)),
        "refused at 14": (lambda c: c.refused(14.0, settings), Circuit(3, 24.0)),
        "answered at last": (lambda c: c.answered(), Circuit(0, 0.0)),
        "one of many tries": (lambda c: c.tried(30.0, settings), Circuit(0, 0.0)),
    }
    seen = reduce(lambda so_far, step: [*so_far, step[0](so_far[-1])], steps.values(), [Circuit()])[1:]
    assert dict(zip(steps, seen, strict=True)) == {name: expected for name, (_, expected) in steps.items()}
    assert [Circuit(2, 13.0).paused(now) for now in (12.9, 13.0)] == [True, False]


def test_settings_come_from_the_environment() -> None:
    given = {"PRECEDENT_LOOKUP_DEADLINE_S": "0.02", "PRECEDENT_LOOKUP_FAILURES": "5"}
    assert SteadySettings.from_environment(given) == SteadySettings(deadline_s=0.02, failures=5)
    assert SteadySettings.from_environment({}).deadline_s == 0.05
    with pytest.raises(BadInputError, match=r"PRECEDENT_LOOKUP_PAUSE_S == 'soon', must be a number"):
        SteadySettings.from_environment({"PRECEDENT_LOOKUP_PAUSE_S": "soon"})
    with pytest.raises(BadInputError, match=r"deadline_s == 0\.0, must be over 0"):
        SteadySettings(deadline_s=0.0)
