"""The real Triton: equal to ONNX Runtime in this process, exactly pinned, published and killed under load."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc.aio as triton_client
from click.testing import CliRunner

from bench.stand_in import SHAPE, point_to, publish_casebook, random_casebook, random_inputs, write_release
from contracts.errors import BadInputError, DependencyError
from contracts.releases import Pin
from serving.commands import triton as triton_command
from serving.in_process import InProcessScorer
from serving.preprocess.inputs import ModelInputs
from serving.releases import ReleasesRoot
from serving.scorer import Scores
from serving.triton import shared_frames
from serving.triton.client import TritonScorer, TritonSettings
from serving.triton.configs import Backend, ServingOptions
from serving.triton.embedded import EmbeddedTriton, RemoteTriton
from serving.triton.follow import TritonControl
from serving.triton.repository import ModelRepository
from serving.triton.shared_frames import SHARED_MEMORY, WORTH_SHARING

FIRST = Pin(release_version=1, casebook_version=1)
LARGER = SHAPE.model_copy(update={"n_frames": 9, "frame_px": 32})
NEVER = Pin(release_version=99, casebook_version=99)


class Served:
    """A releases root served by a Triton; each test publishes casebook versions of its own."""

    def __init__(self, root: Path, triton: EmbeddedTriton) -> None:
        self.root = root
        self.triton = triton
        self._version = 1

    def publish(self) -> Pin:
        """Publish a casebook that cites `v<version>-...` and point to it; `step` makes it served."""
        self._version += 1
        pin = Pin(release_version=1, casebook_version=self._version)
        publish_casebook(self.root, self._version, random_casebook(300, prefix=f"v{self._version}"))
        point_to(self.root, pin)
        return pin

    def until_served(self, pin: Pin) -> None:
        until = time.monotonic() + 30
        self.triton.step()
        while pin not in self.triton.follower.served:
            assert time.monotonic() < until, self.triton.follower.broken
            self.triton.step()

    def until_restarted(self) -> None:
        """Start a killed server anew, once it is gone."""
        while self.triton.server.running:
            time.sleep(0.01)
        self.triton.step()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("releases")
    write_release(root, 1, random_casebook(300))
    point_to(root, FIRST)
    with EmbeddedTriton(root, grace_s=0.5) as triton:
        yield Served(root, triton)


@asynccontextmanager
async def scorer_of(served: Served, settings: TritonSettings | None = None) -> AsyncIterator[TritonScorer]:
    scorer = TritonScorer(served.triton.address, settings)
    try:
        yield scorer
    finally:
        await scorer.close()


def scored(served: Served, inputs: ModelInputs, pin: Pin, settings: TritonSettings | None = None) -> Scores:
    async def once() -> Scores:
        async with scorer_of(served, settings) as scorer:
            return await scorer.score(inputs, pin)

    return asyncio.run(once())


def assert_equal(found: Scores, expected: Scores) -> None:
    for name in ("probabilities", "classifier", "cited_ids", "cited_categories", "cited_similarities"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name


@pytest.fixture
def first(served: Served) -> Pin:
    """The first pin, live."""
    point_to(served.root, FIRST)
    served.until_served(FIRST)
    return FIRST


@pytest.mark.parametrize(("n", "n_ngrams", "media"), [(0, 5, False), (1, 5, False), (300, 150, False), (50, 90, True)])
def test_triton_and_onnx_runtime_in_process_give_the_same_bits(
    served: Served, first: Pin, n: int, n_ngrams: int, media: bool
) -> None:
    inputs = random_inputs(n, n_ngrams=n_ngrams, media=media)
    assert_equal(scored(served, inputs, first), InProcessScorer(served.root).score_now(inputs, first))


def test_rows_of_a_mixed_batch_come_back_in_their_order(served: Served, first: Pin) -> None:
    inputs = random_inputs(70, n_ngrams=900, media=True)
    rng = np.random.default_rng(3)
    lengths = rng.choice([3, 60, 400, 900], 70)
    inputs.ngram_counts[np.arange(900) >= lengths[:, None]] = 0
    inputs.present[:, 0] = rng.random(70) < 0.5
    found = scored(served, inputs, first)
    assert_equal(found, InProcessScorer(served.root).score_now(inputs, first))
    for row in (0, 33, 69):
        alone = scored(served, inputs.take([row]), first)
        assert alone.probabilities[0] == pytest.approx(found.probabilities[row], abs=1e-6)


def test_a_casebook_published_under_load_interrupts_nobody_and_is_cited_at_once(served: Served, first: Pin) -> None:
    inputs = random_inputs(32)

    async def run() -> tuple[int, Scores]:
        async with scorer_of(served) as scorer:
            done = asyncio.Event()
            answers: list[Scores] = []

            async def keep_asking() -> None:
                while not done.is_set():
                    answers.append(await scorer.score(inputs, first))

            asking = [asyncio.create_task(keep_asking()) for _ in range(3)]
            pin = await asyncio.to_thread(served.publish)
            await asyncio.to_thread(served.until_served, pin)
            new = await scorer.score(inputs, pin)
            n_before = len(answers)
            await scorer.score(inputs, first)
            done.set()
            await asyncio.gather(*asking)
            assert {str(answer.cited_ids[0, 0])[:5] for answer in answers} == {"case-"}
            return n_before, new

    n_before, new = asyncio.run(run())
    assert n_before > 0
    assert new.cited_ids[0, 0].startswith("v")


def test_a_pin_answers_until_it_is_unloaded_and_then_is_waited_for(served: Served, first: Pin) -> None:
    pin = served.publish()
    served.until_served(pin)
    inputs = random_inputs(2)
    assert len(scored(served, inputs, first)) == 2
    until = time.monotonic() + 20
    while first in served.triton.follower.served:
        assert time.monotonic() < until
        served.triton.step()
        time.sleep(0.05)
    with pytest.raises(DependencyError, match=r"did not answer for precedent_r1_c1 within 0\.3 s"):
        scored(served, inputs, first, TritonSettings(deadline_s=0.3))
    assert len(scored(served, inputs, pin)) == 2


def test_a_pin_that_is_not_served_is_not_ready_and_waited_for_until_the_deadline(served: Served) -> None:
    async def run() -> bool:
        async with scorer_of(served, TritonSettings(deadline_s=0.3)) as scorer:
            ready = await scorer.ready(NEVER)
            with pytest.raises(DependencyError, match=r"precedent_r99_c99 within 0\.3 s"):
                await scorer.score(random_inputs(1), NEVER)
            return ready

    assert not asyncio.run(run())


def test_tensors_that_the_model_refuses_are_bad_input_and_not_tried_again(served: Served, first: Pin) -> None:
    out_of_range = random_inputs(1)
    out_of_range.ngram_ids[0, 0] = 1_000_000
    with pytest.raises(BadInputError, match="precedent_r1_c1"):
        scored(served, out_of_range, first)


def test_a_client_whose_server_was_killed_waits_and_goes_on(served: Served, first: Pin) -> None:
    inputs = random_inputs(8)

    async def run() -> tuple[Scores, Scores]:
        async with scorer_of(served, TritonSettings(deadline_s=60.0)) as scorer:
            before = await scorer.score(inputs, first)
            assert served.triton.server.pid is not None
            os.kill(served.triton.server.pid, signal.SIGKILL)
            waiting = asyncio.create_task(scorer.score(inputs, first))
            await asyncio.to_thread(served.until_restarted)
            return before, await waiting

    assert_equal(*asyncio.run(run()))


def test_frames_travel_by_shared_memory_that_outlives_neither_server_nor_client(served: Served, first: Pin) -> None:
    inputs = random_inputs(64, media=True, shape=LARGER, n_ngrams=40)
    assert inputs.frames[:32].nbytes > WORTH_SHARING
    expected = InProcessScorer(served.root).score_now(inputs, first)

    async def run() -> None:
        async with scorer_of(served, TritonSettings(deadline_s=60.0)) as scorer:
            for _ in range(3):
                assert_equal(await scorer.score(inputs, first), expected)
            names = await registered(served)
            assert names
            assert not [name for name in names if (SHARED_MEMORY / name).exists()]
            assert served.triton.server.pid is not None
            os.kill(served.triton.server.pid, signal.SIGKILL)
            await asyncio.to_thread(served.until_restarted)
            assert_equal(await scorer.score(inputs, first), expected)
        assert await registered(served) == set()

    asyncio.run(run())


async def registered(served: Served) -> set[str]:
    """The regions of shared memory that the server knows."""
    async with triton_client.InferenceServerClient(served.triton.address) as client:
        status = await client.get_system_shared_memory_status()
        return set(status.regions)


def test_a_server_that_cannot_open_the_memory_is_sent_the_frames(
    served: Served, first: Pin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shared_frames, "SHARED_MEMORY", tmp_path)
    inputs = random_inputs(32, media=True, shape=LARGER, n_ngrams=40)
    expected = InProcessScorer(served.root).score_now(inputs, first)
    assert_equal(scored(served, inputs, first), expected)
    assert list(tmp_path.iterdir()) == []


def test_no_server_at_all_is_a_dependency_that_is_away() -> None:
    async def run() -> None:
        scorer = TritonScorer("127.0.0.1:1", TritonSettings(deadline_s=0.3))
        try:
            assert not await scorer.ready(FIRST)
            with pytest.raises(DependencyError, match=r"127\.0\.0\.1:1"):
                await scorer.score(random_inputs(1), FIRST)
        finally:
            await scorer.close()

    asyncio.run(run())


def test_triton_reads_the_cluster_configuration_up_to_the_backend_it_lacks(served: Served, tmp_path: Path) -> None:
    options = ServingOptions(Backend.ONNXRUNTIME, instances=2)
    root = ReleasesRoot(served.root)
    ModelRepository(tmp_path, options).publish(FIRST, root.student_of(FIRST), root.open_pin(FIRST)[1], SHAPE)
    shutil.copytree(tmp_path / "student_r1", served.triton.server.repository / "student_r1_cluster")
    config = served.triton.server.repository / "student_r1_cluster" / "config.pbtxt"
    config.write_text(config.read_text().replace("student_r1", "student_r1_cluster"))
    with pytest.raises(BadInputError, match="unable to find backend library for backend 'onnxruntime'"):
        TritonControl(served.triton.address).load("student_r1_cluster")


def test_a_triton_that_runs_elsewhere_is_followed_by_its_shared_repository(served: Served, first: Pin) -> None:
    pin = served.publish()
    repository = served.triton.server.repository
    with RemoteTriton(served.root, served.triton.address, repository=repository, options=ServingOptions()) as remote:
        assert remote.follower.served == {pin}
    assert scored(served, random_inputs(2), pin).cited_ids[0, 0].startswith("v")
    served.until_served(pin)


def start_command(root: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "cli", "triton", "--releases", str(root), "--port", "0"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def group_of(pid: int) -> set[int]:
    """The living processes whose parent, or parent's parent, is `pid`."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(stat.parent.name)] = int(fields[1])
    children = {child for child, parent in parents.items() if parent == pid}
    return children | {child for child, parent in parents.items() if parent in children}


@pytest.mark.parametrize("wrong", [["--gpu"], ["--server", "127.0.0.1:1"]])
def test_options_that_do_not_go_together_are_bad_input(wrong: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(triton_command, ["--releases", str(tmp_path), *wrong])
    assert isinstance(result.exception, BadInputError)
    assert wrong[0] in str(result.exception)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_command_says_where_it_listens_and_leaves_nothing_behind(how: signal.Signals, served: Served) -> None:
    point_to(served.root, FIRST)
    with start_command(served.root) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert (ready["part"], ready["served"]) == ("triton", 1)
        assert ready["address"].startswith("127.0.0.1:")
        started = group_of(process.pid)
        assert len(started) >= 3
        process.send_signal(how)
        out, err = process.communicate(timeout=30)
        assert out == ""
        assert process.returncode == (0 if how is signal.SIGTERM else -signal.SIGKILL), err
        until = time.monotonic() + 20
        while left := [pid for pid in started if Path(f"/proc/{pid}").exists() and not is_zombie(pid)]:
            assert time.monotonic() < until, left
            time.sleep(0.05)


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
