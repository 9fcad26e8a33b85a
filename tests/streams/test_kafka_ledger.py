"""Zero loss on a real Kafka: events sent, workers killed in between, every verdict, feature and row found."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.stand_in import point_to, random_casebook, write_release
from contracts.dead_letters import DeadLetter
from contracts.topics import VIDEOS_UPLOADED, VIDEOS_VERDICTS
from streams.processes import start_part
from streams.stack import Stack, embedded_stack
from tests.streams.conftest import Topics
from tests.streams.test_stack import features_found, rows_in_warehouse
from tests.streams.watching import event, named, until

RUN = Path(__file__).parents[2] / "deploy" / "kafka" / "run"
ABSENT = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
N_BATCHES, N_EACH = 20, 200

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(bool(ABSENT), reason=f"a real Kafka needs {' and '.join(ABSENT)} on PATH"),
]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("kafka")
    command = [str(RUN), "--port", "0", "--state-dir", str(folder / "state"), "--partitions", "6"]
    part = start_part("kafka", command, log=folder / "log", ready_within_s=300.0)
    try:
        yield part.address
    finally:
        assert part.end(within_s=40) == 0


@pytest.fixture(scope="module")
def stack(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("ledger")
    point_to(folder / "releases", write_release(folder / "releases", 1, random_casebook(50)))
    with embedded_stack(folder / "state", folder / "releases", workers=2, broker=kafka) as running:
        yield running


def test_the_ledger_balances_although_workers_are_killed(stack: Stack, capsys: pytest.CaptureFixture[str]):
    topics = Topics(stack.kafka)
    topics.watch(VIDEOS_VERDICTS.name, VIDEOS_UPLOADED.dead)
    names = [f"ledger-{batch}-{n}" for batch in range(N_BATCHES) for n in range(N_EACH)]
    for batch in range(N_BATCHES):
        topics.send(VIDEOS_UPLOADED.name, *(event(f"ledger-{batch}-{n}") for n in range(N_EACH)))
        topics.send(VIDEOS_UPLOADED.name, b'{"poison": %d}' % batch)
        if batch in {5, 12}:
            stack.workers[batch // 12].kill()
            stack.start_worker()

    wanted = {f"v-{name}".encode() for name in names}
    seen = Counter()

    def all_came() -> bool:
        seen.clear()
        seen.update(m.key() for m in topics.read(VIDEOS_VERDICTS.name, 0, where=named("ledger")))
        return set(seen) == wanted

    until(all_came, within_s=90)
    with capsys.disabled():
        print(f"\n{len(wanted)} events, {seen.total() - len(wanted)} repeated verdicts, 2 workers killed")  # noqa: T201
    until(lambda: rows_in_warehouse(stack, "e-ledger-") == len(names), within_s=30)
    assert features_found(stack, [f"v-{name}" for name in names]) == len(names)
    letters = [DeadLetter.model_validate_json(m.value()) for m in topics.read(VIDEOS_UPLOADED.dead, N_BATCHES)]
    assert {json.loads(letter.raw)["poison"] for letter in letters} == set(range(N_BATCHES))
    assert {letter.reason.value for letter in letters} == {"contract"}
    topics.close()
