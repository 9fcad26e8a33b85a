"""First scores go first: re-scores wait while the workers are far behind, trickle after long, and none is lost."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import pytest
from confluent_kafka import Consumer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import BadInputError, DependencyError
from contracts.topics import VIDEOS_UPLOADED
from streams.clerk.duties.rescoring import RescoringRounds, rescore
from streams.clerk.duties.shedding import Allowed, Shedding, SheddingSettings, allow
from streams.clerk.notebook import Notebook
from streams.kafka.connection import Connection
from streams.kafka.lag import GroupLag
from tests.streams.conftest import Topics
from tests.streams.stand_ins import Gauges
from tests.streams.test_clerk_rescoring import Broker, Look, Uploads, counts
from tests.streams.watching import event

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
SETTINGS = SheddingSettings(lag_events=1_000, share=0.25, patience=timedelta(minutes=15), trickle=10)


def at(minute: float) -> datetime:
    return NOON + timedelta(minutes=minute)


def test_re_scores_wait_beyond_the_lag_trickle_after_long_and_come_back_when_it_has_halved() -> None:
    seen = {0: 0, 1: 400, 2: 1_000, 3: 1_001, 4: 999, 17: 5_000, 18: 5_000, 19: 501, 20: 500, 21: 1_000, 22: 1_001}

    def step(before: Allowed, look: tuple[float, int]) -> Allowed:
        return allow(look[1], before.waiting_since, at(look[0]), SETTINGS)

    rounds = list(accumulate(seen.items(), step, initial=Allowed(0, None)))[1:]
    assert dict(zip(seen, rounds, strict=True)) == {
        0: Allowed(250, None),  # a quarter of the room below 1,000
        1: Allowed(150, None),
        2: Allowed(1, None),
        3: Allowed(0, at(3)),
        4: Allowed(0, at(3)),  # it is not half of the limit yet
        17: Allowed(0, at(3)),
        18: Allowed(10, at(3)),  # 15 minutes are over
        19: Allowed(10, at(3)),
        20: Allowed(125, None),
        21: Allowed(1, None),
        22: Allowed(0, at(22)),
    }


@given(st.lists(st.integers(0, 3_000), max_size=60))
def test_no_round_fills_the_room_and_nothing_waits_for_good(lags: list[int]) -> None:
    since, silent = None, 0
    for minute, lag in enumerate(lags):
        events, since = allow(lag, since, at(minute), SETTINGS)
        assert events <= max(SETTINGS.trickle, SETTINGS.lag_events // 4)
        assert lag + events <= SETTINGS.lag_events or events <= SETTINGS.trickle
        silent = 0 if events else silent + 1
        assert silent <= 15


@pytest.mark.parametrize("broken", [{"lag_events": 1}, {"share": 0.0}, {"share": 1.5}, {"trickle": 0}])
def test_settings_that_would_stop_re_scoring_are_refused(broken: dict[str, float]) -> None:
    with pytest.raises(BadInputError, match="lag_events must be over 1"):
        SheddingSettings(**broken)


def test_what_waits_is_kept_counted_and_sent_with_its_newest_feedback(notebook: Notebook) -> None:
    archive, broker, gauges = Uploads(a=None, b=None, c=None), Broker(), Gauges()
    look, rounds, lag = Look(a=(300, 0.0), b=(900, 0.0), c=(500, 0.0)), RescoringRounds(at_most=2), [9_000]
    gate = Shedding(lambda: lag[0], notebook, gauges, SETTINGS)

    def round_at(minute: float) -> int:
        return rescore(archive, look, notebook, broker, now=at(minute), rounds=rounds, gate=gate)

    assert [round_at(0), round_at(1)] == [0, 0]
    assert (broker.records, gauges.waiting, gauges.behind) == ([], {"rescore": 3}, 9_000)
    assert notebook.n_unsent() == 2  # a round's worth is written down, the third is still in the window
    look.counts["b"] = (2_000, 0.0)
    assert (round_at(2), gauges.waiting) == (0, {"rescore": 4})  # what was written down of it, and what it has by now
    lag[0] = 0
    assert [round_at(3), round_at(4), round_at(5)] == [2 + 2, 0, 0]
    assert counts(broker) == [("b", 900, 0), ("c", 500, 0), ("a", 300, 0), ("b", 2_000, 0)]
    assert (notebook.n_unsent(), gauges.waiting) == (0, {"rescore": 0})


def test_since_when_they_wait_is_remembered_by_the_next_clerk(notebook: Notebook) -> None:
    gauges = Gauges()
    assert Shedding(lambda: 9_000, notebook, gauges, SETTINGS).allowed("rescore", at(0)) == 0
    again = Shedding(lambda: 9_000, notebook, gauges, SETTINGS)
    assert [again.allowed("rescore", at(minute)) for minute in (14, 15)] == [0, 10]
    assert again.allowed("rejudge", at(15)) == 0  # each duty waits for itself


@pytest.fixture
def lag(broker: Connection) -> Iterator[GroupLag]:
    opened = GroupLag(broker, VIDEOS_UPLOADED.name, "group-of-shedding")
    yield opened
    opened.close()


def test_while_a_worker_of_a_real_broker_stands_still_re_scores_wait_and_go_on_with_it(
    broker: Connection, topics: Topics, lag: GroupLag, notebook: Notebook
) -> None:
    worker = Consumer(broker.client({"group.id": "group-of-shedding", "enable.auto.commit": False}))
    name = VIDEOS_UPLOADED.name
    places = [TopicPartition(name, p) for p in worker.list_topics(name, timeout=10).topics[name].partitions]

    def commit_to_the_end() -> None:
        ends = [worker.get_watermark_offsets(place, timeout=10)[1] for place in places]
        done = [TopicPartition(name, place.partition, end) for place, end in zip(places, ends, strict=True)]
        worker.commit(offsets=done, asynchronous=False)

    commit_to_the_end()
    archive, sent, gauges = Uploads(a=None), Broker(), Gauges()
    gate = Shedding(lag, notebook, gauges, SETTINGS)

    def round_at(minute: float) -> int:
        return rescore(archive, Look(a=(300, 0.0)), notebook, sent, now=at(minute), gate=gate)

    assert lag() == 0
    topics.send(name, *(event(f"shed-{n}") for n in range(1_200)))
    assert (round_at(0), gauges.behind, gauges.waiting) == (0, 1_200, {"rescore": 1})
    commit_to_the_end()
    assert (round_at(1), gauges.behind, gauges.waiting) == (1, 0, {"rescore": 0})
    assert counts(sent) == [("a", 300, 0)]
    worker.close()


def test_a_group_that_never_committed_has_everything_before_it(broker: Connection, topics: Topics) -> None:
    name = VIDEOS_UPLOADED.name
    topics.send(name, event("shed-first"))
    fresh = GroupLag(broker, name, "group-that-is-new")
    assert fresh() >= 1
    fresh.close()


def test_a_broker_that_is_away_is_waited_for() -> None:
    away = GroupLag(Connection("127.0.0.1:1"), VIDEOS_UPLOADED.name, "g", within_s=0.2)
    with pytest.raises(DependencyError, match="the lag of group 'g' is not to be had"):
        away()
    away.close()
