"""The job that benches carry by hand: it must be the worker's, or the figures beside each other say nothing."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bench.stand_in import point_to, random_casebook, write_release
from contracts.dead_letters import DeadLetter
from contracts.topics import VIDEOS_UPLOADED, VIDEOS_VERDICTS
from contracts.verdicts import Verdict
from streams.stack import Stack, embedded_stack
from tests.streams.conftest import Topics
from tests.streams.watching import event, named

UPLOADED, DEAD, VERDICTS = VIDEOS_UPLOADED.name, VIDEOS_UPLOADED.dead, VIDEOS_VERDICTS.name
OF_THE_MOMENT = {"scored_at", "since_upload_ms"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("rivals")
    point_to(folder / "releases", write_release(folder / "releases", 1, random_casebook(50)))
    with embedded_stack(folder / "state", folder / "releases", workers=1, warehouse=False, triton=False) as running:
        yield running


def judged(topics: Topics, copies: int) -> list[dict[str, Any]]:
    """What was said of each event, first verdicts and letters first."""
    verdicts = [Verdict.model_validate_json(m.value()) for m in topics.read(VERDICTS, 20 * copies, where=named("same"))]
    letters = [DeadLetter.model_validate_json(m.value()) for m in topics.read(DEAD, 2 * copies)]
    by_event = sorted((v.model_dump(exclude=OF_THE_MOMENT) for v in verdicts), key=lambda v: v["event_id"])
    by_place = sorted(
        (x.model_dump(exclude={"refused_at"}) for x in letters), key=lambda x: (x["partition"], x["offset"])
    )
    return by_event + by_place


def test_by_hand_the_same_events_become_the_same_verdicts_and_dead_letters(stack: Stack):
    topics = Topics(stack.kafka)
    topics.watch(VERDICTS, DEAD)
    topics.send(UPLOADED, *(event(f"same-{n}", title=f"第{n}个标题" * n) for n in range(20)), b"{", b"")
    by_worker = judged(topics, 1)

    stack.environment["PRECEDENT_GROUP"] = "by-hand"  # a group that reads the same events again
    command = [sys.executable, "-m", "bench.load.rivals.by_hand", "--in-process"]
    rival = stack.parts.start("by-hand", command, env=stack.environment, log=stack.state / "logs" / "by-hand.log")
    by_both = judged(topics, 2)
    topics.close()

    assert by_both == [one for one in by_worker for _ in range(2)]
    assert rival.end() == 0, rival.complaints()
