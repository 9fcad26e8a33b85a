"""Zero loss on a real Kafka: events sent, workers killed in between, every verdict, feature and row found."""

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from bench.stand_in import point_to, random_casebook, write_release
from contracts.dead_letters import DeadLetter
from contracts.topics import VIDEOS_UPLOADED, VIDEOS_VERDICTS
from streams.kafka.connection import Connection
from streams.stack import Stack, embedded_stack
from tests.streams.conftest import Topics, needs_kafka
from tests.streams.stacks import features_found, rows_in_warehouse
from tests.streams.watching import event, named, until

N_BATCHES, N_EACH = 20, 200

pytestmark = [pytest.mark.kafka, needs_kafka]


@pytest.fixture(scope="module")
def stack(real: Connection, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("ledger")
    point_to(folder / "releases", write_release(folder / "releases", 1, random_casebook(50)))
    with embedded_stack(folder / "state", folder / "releases", workers=2, broker=real.servers) as running:
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

    until(all_came, within_s=240)
    with capsys.disabled():
        print(f"\n{len(wanted)} events, {seen.total() - len(wanted)} repeated verdicts, 2 workers killed")  # noqa: T201
    until(lambda: rows_in_warehouse(stack, "e-ledger-") == len(names), within_s=30)
    assert features_found(stack, [f"v-{name}" for name in names]) == len(names)
    ours = lambda m: b"poison" in DeadLetter.model_validate_json(m.value()).raw  # noqa: E731
    letters = [
        DeadLetter.model_validate_json(m.value()) for m in topics.read(VIDEOS_UPLOADED.dead, N_BATCHES, where=ours)
    ]
    assert {json.loads(letter.raw)["poison"] for letter in letters} == set(range(N_BATCHES))
    assert {letter.reason.value for letter in letters} == {"contract"}
    topics.close()
