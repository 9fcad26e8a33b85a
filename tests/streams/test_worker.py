"""A worker process on the embedded broker: what it acknowledges, what it waits for, what it survives."""

import json
import signal
import sqlite3
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.dead_letters import DeadLetter
from contracts.topics import VIDEOS_UPLOADED, VIDEOS_VERDICTS
from contracts.verdicts import Verdict
from streams.processes import Part
from tests.streams.conftest import Topics
from tests.streams.events import upload

UPLOADED, DEAD, VERDICTS = VIDEOS_UPLOADED.name, VIDEOS_UPLOADED.dead, VIDEOS_VERDICTS.name


def event(name: str, **changes) -> bytes:
    return json.dumps(upload(name, **{"occurred_at": datetime.now(UTC).isoformat()} | changes)).encode()


def named(prefix: str):
    return lambda message: (message.key() or b"").startswith(b"v-" + prefix.encode())


def features(state: Path) -> dict[str, float]:
    connection = sqlite3.connect(state / "features.db")
    try:
        return dict(connection.execute("SELECT video_id, toxicity FROM features"))
    finally:
        connection.close()


def metric(worker: Part, name: str) -> float:
    with urllib.request.urlopen(f"http://{worker.address}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def status(worker: Part, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{worker.address}{path}", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def until(true, *, within_s: float = 20.0) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, f"not within {within_s} s"
        time.sleep(0.05)


def test_bad_events_are_dead_lettered_with_their_reason_and_the_good_ones_beside_them_pass(
    topics: Topics, start_stand_in, tmp_path: Path
):
    topics.watch(VERDICTS, DEAD)
    worker = start_stand_in(group="bad-input")
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    bad = {
        b"{": ("invalid_json", "value"),
        b'{"title": "\xff\xfe"}': ("invalid_utf8", "byte 11"),
        event("bad-missing", video_id=None): ("contract", "video_id"),
        event("bad-extra", surprise=1): ("contract", "surprise"),
        event("bad-range", picture_count=-1): ("contract", "picture_count"),
        event("bad-title", title="t" * 100_000): ("contract", "title"),
        event("bad-clock", occurred_at=ahead): ("clock", "occurred_at"),
        event("bad-media", media_url="gone.txt"): ("media", "unreachable"),
    }
    good = [event(f"bad-good-{n}", title=f"t 0.{n}") for n in range(10)]
    _ = worker.address
    for n, value in enumerate(bad):
        topics.send(UPLOADED, value, good[n], partition=1)
    topics.send(UPLOADED, None, *good[8:], good[0], partition=1)

    letters = [DeadLetter.model_validate_json(m.value()) for m in topics.read(DEAD, len(bad) + 1)]
    assert {letter.raw: (letter.reason.value, letter.place) for letter in letters} == {b"": ("empty", "value")} | bad
    verdicts = [Verdict.model_validate_json(m.value()) for m in topics.read(VERDICTS, 10, where=named("bad-good"))]
    assert {v.video_id for v in verdicts} == {f"v-bad-good-{n}" for n in range(10)}
    assert features(tmp_path)["v-bad-good-7"] == pytest.approx(0.7)
    assert metric(worker, "precedent_dead_letters_total") == len(bad) + 1
    assert status(worker, "/live") == 200
    assert worker.end() == 0


def test_an_older_version_that_comes_late_has_a_verdict_but_not_the_features(
    topics: Topics, start_stand_in, tmp_path: Path
):
    topics.watch(VERDICTS)
    worker = start_stand_in(group="late")
    earlier = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    _ = worker.address
    topics.send(UPLOADED, event("late", title="t 0.8"), event("late", title="t 0.1", occurred_at=earlier), key=b"k")

    verdicts = topics.read(VERDICTS, 2, where=named("late"))
    assert len(verdicts) == 2
    until(lambda: features(tmp_path).get("v-late") == pytest.approx(0.8))


def test_while_the_scorer_is_away_nothing_is_acknowledged_dropped_or_dead_and_then_all_goes_on(
    topics: Topics, start_stand_in, tmp_path: Path
):
    topics.watch(VERDICTS, DEAD)
    worker = start_stand_in(group="away")
    _ = worker.address
    (tmp_path / "away").touch()
    topics.send(UPLOADED, *(event(f"away-{n}") for n in range(500)))

    until(lambda: metric(worker, 'precedent_waiting_seconds{part="scorer"}') > 0)
    time.sleep(3.0)  # longer than a session: heartbeats go on, or the group would be rid of the worker
    assert topics.read(VERDICTS, 0, where=named("away")) == []
    assert metric(worker, "precedent_lag_events") >= 500
    assert status(worker, "/live") == 200
    assert worker.running()

    (tmp_path / "away").unlink()
    came = topics.read(VERDICTS, 500, where=named("away"))
    assert len({m.key() for m in came}) == len(came) == 500
    assert topics.read(DEAD, 0) == []
    until(lambda: metric(worker, "precedent_lag_events") == 0)
    assert "ALERT waiting for scorer" in worker.complaints()


def test_a_worker_that_is_told_to_stop_finishes_its_batch_so_that_the_next_one_repeats_nothing(
    topics: Topics, start_stand_in
):
    topics.watch(VERDICTS)
    first = start_stand_in(group="handover")
    _ = first.address
    topics.send(UPLOADED, *(event(f"handover-{n}") for n in range(2_000)))
    topics.read(VERDICTS, 100, where=named("handover"))
    assert first.end() == 0
    second = start_stand_in(group="handover")
    _ = second.address

    keys = [m.key() for m in topics.read(VERDICTS, 2_000, where=named("handover"))]
    assert len(keys) == len(set(keys)) == 2_000


def test_a_killed_worker_loses_nothing(topics: Topics, start_stand_in, tmp_path: Path):
    topics.watch(VERDICTS)
    doomed, survivor = start_stand_in(group="killed"), start_stand_in(group="killed")
    _ = doomed.address, survivor.address
    for batch in range(10):
        topics.send(UPLOADED, *(event(f"killed-{batch}-{n}") for n in range(200)))
        if batch == 5:
            doomed.kill()

    came = topics.read(VERDICTS, 2_000, within_s=60.0, where=named("killed"))
    wanted = {f"v-killed-{batch}-{n}".encode() for batch in range(10) for n in range(200)}
    if {m.key() for m in came} != wanted:  # some came twice: wait for the others
        until(lambda: {m.key() for m in topics.read(VERDICTS, 0, where=named("killed"))} == wanted, within_s=30.0)
    assert {video.encode() for video in features(tmp_path) if video.startswith("v-killed")} == wanted


def test_a_frozen_worker_that_wakes_is_fenced_and_nothing_is_lost(topics: Topics, start_stand_in, tmp_path: Path):
    topics.watch(VERDICTS)
    frozen, other = start_stand_in(group="frozen"), start_stand_in(group="frozen")
    _ = frozen.address, other.address
    frozen.signal(signal.SIGSTOP)
    topics.send(UPLOADED, *(event(f"frozen-{n}") for n in range(1_000)))
    wanted = {f"v-frozen-{n}".encode() for n in range(1_000)}
    until(lambda: {m.key() for m in topics.read(VERDICTS, 0, where=named("frozen"))} == wanted, within_s=60.0)
    frozen.signal(signal.SIGCONT)
    topics.send(UPLOADED, event("frozen-after"))
    topics.read(VERDICTS, 1_001, where=named("frozen"))
    assert frozen.running()
    assert other.running()
