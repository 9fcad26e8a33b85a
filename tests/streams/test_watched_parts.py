"""The parts as an operator watches them: real processes, their ready lines, /ready and /metrics, their logs as JSON."""

import json
from collections.abc import Iterator
from functools import partial

import pytest

from bench.stand_in import point_to, random_casebook, write_release
from contracts.topics import VIDEOS_UPLOADED, VIDEOS_VERDICTS
from streams.processes import Part
from streams.stack import Stack, embedded_stack
from tests.streams.conftest import Topics
from tests.streams.watching import event, metric, named, status, until


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("watched")
    root = folder / "releases"
    point_to(root, write_release(root, 1, random_casebook(50)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRECEDENT_LOG", "json")
        with embedded_stack(folder / "state", root, workers=1, triton=False) as running:
            yield running


def ready(part: Part) -> bool:
    return status(part, "/ready") == 200


@pytest.fixture
def topics(stack: Stack) -> Iterator[Topics]:
    opened = Topics(stack.kafka)
    opened.watch(VIDEOS_VERDICTS.name)
    yield opened
    opened.close()


def test_worker_sink_and_recorder_are_live_and_ready_and_count_what_they_carry(stack: Stack, topics: Topics):
    worker, sink, recorder = map(stack.part, ("worker-1", "sink", "recorder"))
    for part in (worker, sink, recorder):
        until(partial(ready, part))
        assert status(part, "/live") == 200
        assert metric(part, "process_resident_memory_bytes") > 1e7
    topics.send(VIDEOS_UPLOADED.name, *(event(f"seen{n}") for n in range(40)), b'{"video_id": "v-poison"}')
    topics.read(VIDEOS_VERDICTS.name, 40, where=named("seen"))

    until(lambda: metric(worker, 'precedent_events_total{outcome="verdict"}') == 40)
    until(lambda: metric(worker, 'precedent_dead_letters_total{reason="contract"}') == 1)
    until(lambda: metric(worker, "precedent_lag_events") == 0)
    for stage in ("check", "preprocess", "score", "judge", "features", "deliver"):
        assert metric(worker, f'precedent_stage_seconds_count{{stage="{stage}"}}') >= 1
    assert metric(worker, "precedent_feature_latency_seconds_count") == 40
    until(lambda: metric(sink, 'precedent_ingest_rows_total{topic="videos.verdicts"}') == 40)
    until(lambda: metric(sink, "precedent_ingest_row_latency_seconds_count") >= 80)
    until(lambda: metric(sink, "precedent_lag_events") == 0)
    assert metric(sink, 'precedent_ingest_insert_seconds_count{topic="videos.uploaded"}') >= 1


def test_a_dead_letter_is_one_json_line_of_the_worker_s_log_with_the_release_that_judged(stack: Stack, topics: Topics):
    topics.send(VIDEOS_UPLOADED.name, b'{"video_id": "v-told"}')
    log = stack.part("worker-1").log
    until(lambda: "v-told" in log.read_text())
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    [line] = [line for line in lines if line.get("video_id") == "v-told"]
    assert {name: line[name] for name in ("part", "release", "casebook", "reason", "topic")} == {
        "part": "worker",
        "release": 1,
        "casebook": 1,
        "reason": "contract",
        "topic": "videos.uploaded",
    }
