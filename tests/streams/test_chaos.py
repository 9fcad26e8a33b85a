"""Faults drawn beforehand, recoveries read off a ledger, and a handful of faults played on a real Kafka and Redis."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bench.chaos.recovery import Timeline, repeats_of
from bench.chaos.run import Act, play
from bench.chaos.schedule import BRIEF, Choice, Kind, Target, draw, menu
from contracts.errors import BadInputError
from streams.load import plan as planned
from streams.load.ledger import Ledger
from streams.load.plan import LoadPlan, Mix
from tests.redis_server import needs_redis
from tests.streams.conftest import needs_kafka

EVERYTHING = menu(Target.REDIS, disk=True)


def test_the_same_seed_draws_the_same_faults_and_another_others():
    drawn = draw(EVERYTHING, count=25, length_s=600.0, seed=7)
    assert drawn == draw(EVERYTHING, count=25, length_s=600.0, seed=7)
    assert drawn != draw(EVERYTHING, count=25, length_s=600.0, seed=8)


def test_faults_are_spread_over_the_whole_time_one_in_the_first_quarter_of_each_part():
    for seed in range(20):
        faults = draw(EVERYTHING, count=50, length_s=1_200.0, seed=seed)
        assert [fault.number for fault in faults] == list(range(50))
        assert all(24.0 * fault.number <= fault.at_s <= 24.0 * fault.number + 6.0 for fault in faults)


def test_each_choice_comes_once_before_any_comes_twice():
    faults = draw(EVERYTHING, count=2 * len(EVERYTHING), length_s=100.0, seed=3)
    for some in (faults[: len(EVERYTHING)], faults[len(EVERYTHING) :]):
        moved = sum(fault.kind in {Kind.JOIN, Kind.LEAVE} for fault in some)
        rest = Counter((f.kind, f.target) for f in some if f.kind not in {Kind.JOIN, Kind.LEAVE})
        wanted = Counter((c.kind, c.target) for c in EVERYTHING if c.kind not in {Kind.JOIN, Kind.LEAVE})
        assert (moved, rest) == (2, wanted)


def test_workers_that_join_and_leave_take_turns_so_that_there_are_never_fewer_than_at_first():
    for seed in range(50):
        faults = draw(EVERYTHING, count=60, length_s=100.0, seed=seed)
        extra = np.cumsum([{Kind.JOIN: 1, Kind.LEAVE: -1}.get(fault.kind, 0) for fault in faults])
        assert set(extra.tolist()) <= {0, 1}


def test_how_long_a_part_is_away_lies_between_the_bounds_of_its_choice():
    faults = draw((Choice(Kind.STOP, Target.SINK, 2.0, 3.0),), count=100, length_s=100.0, seed=1)
    away = [fault.down_s for fault in faults]
    assert 2.0 <= min(away) < 2.1
    assert 2.9 < max(away) <= 3.0


def test_a_schedule_without_faults_or_time_is_refused():
    for count, length_s in ((0, 10.0), (1, 0.0), (1, float("nan"))):
        with pytest.raises(BadInputError, match="must be one at least"):
            draw(EVERYTHING, count=count, length_s=length_s, seed=0)


def timeline(due: list[float], done: list[float], *, steady: float = 2.0) -> Timeline:
    return Timeline(np.array(due), np.array(done), steady=steady)


# ten events, one a second; from 3 s to 6.5 s nothing is done, then four at once, then each 0.1 s after it was due
STALLED = timeline(list(range(10)), [0.1, 1.1, 2.1, 6.5, 6.5, 6.6, 6.7, 7.1, 8.1, 9.1])


def test_a_path_is_well_when_an_event_due_after_the_end_of_the_fault_is_done():
    assert STALLED.well_after(5.0) == pytest.approx(6.6 - 5.0)
    assert STALLED.well_after(6.9) == pytest.approx(7.1 - 6.9)


def test_a_path_with_more_open_events_than_usual_is_not_well_although_new_ones_are_done():
    # 0 to 3 wait until 8.0, 8.1, 8.2, 8.3, while each later one is done at once: from 8.1 on two are open
    waits = timeline([0, 1, 2, 3, 4, 5, 6, 7, 20], [8.0, 8.1, 8.2, 8.3, 4.1, 5.1, 6.1, 7.1, 20.1])
    assert waits.well_after(4.0) == pytest.approx(8.1 - 4.0)


def test_a_path_that_falls_behind_again_within_two_seconds_was_not_well_yet():
    # at 5.1 the event of 5.0 is done, but from 6.2 on three are open, until 7.0
    again = timeline([5.0, 6.0, 6.1, 6.2, 12.0], [5.1, 7.0, 7.1, 7.2, 12.1])
    assert again.well_after(4.5) == pytest.approx(7.0 - 4.5)
    assert again.well_after(4.5, until_s=6.15) == pytest.approx(5.1 - 4.5)


def test_a_path_on_which_nothing_is_done_any_more_is_never_well():
    assert timeline([0, 1, 2], [0.1, np.inf, np.inf]).well_after(0.5) is None
    assert STALLED.well_after(5.0, until_s=6.0) is None


def test_the_longest_wait_is_of_an_event_that_was_due_in_that_time():
    assert STALLED.longest_wait(2.5, 5.5) == pytest.approx(3.5)  # due at 3, done at 6.5
    assert STALLED.longest_wait(6.5, 9.5) == pytest.approx(0.1)
    assert timeline([0, 1], [0.1, np.inf]).longest_wait(0.0, 2.0) is None


def test_repeats_belong_to_the_first_fault_that_ended_after_their_verdict(tmp_path: Path):
    ledger = Ledger.create(tmp_path / "ledger", LoadPlan("run", count=6, rate=1.0, mix=Mix({planned.Kind.TEXT: 1.0})))
    ledger.rows["produced_s"] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    ledger.rows["verdicts"] = [1, 2, 1, 3, 1, 2]
    assert repeats_of(ledger, [2.5, 5.5]) == [1, 3]
    assert repeats_of(ledger, []) == []


@pytest.mark.kafka
@needs_kafka
@needs_redis
def test_a_handful_of_faults_lose_nothing_and_repeat_nothing_but_verdicts_on_the_raw_topic(
    capsys: pytest.CaptureFixture[str],
):
    act = Act(1, Target.REDIS, BRIEF, count=len(BRIEF), length_s=7.0 * len(BRIEF), rate=150.0, seed=5, triton=False)
    lines = ["", str(act)]
    figures = play(act, tell=lines.append)
    with capsys.disabled():
        print("\n".join(lines))  # noqa: T201
    assert figures["found"] == dict.fromkeys(figures["found"], 0)
    assert figures["sent"] == 150 * 55
    assert figures["verdicts"] + figures["letters"] > 0.9 * figures["sent"]  # all but repeats and reports
    assert figures["repeated_verdicts"] <= figures["most_repeated"]
    assert len(figures["faults"]) == len(BRIEF)
    assert all(fault["rows_s"] is not None for fault in figures["faults"])
    assert all(code == 0 for _, code in figures["exit_codes"])
