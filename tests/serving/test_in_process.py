"""The in-process scorer on a stand-in student and a real casebook."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from bench.stand_in import point_to, publish_casebook, random_casebook, random_inputs, write_release
from contracts.errors import BadInputError
from contracts.releases import Pin
from serving.casebook import search
from serving.in_process import InProcessScorer
from serving.preprocess.inputs import ModelInputs
from serving.releases import ReleasesRoot
from serving.scorer import Scores
from serving.triton.session_model import open_session


def scored(scorer: InProcessScorer, inputs: ModelInputs, pin: Pin) -> Scores:
    async def once() -> Scores:
        try:
            return await scorer.score(inputs, pin)
        finally:
            await scorer.close()

    return asyncio.run(once())


def test_a_score_is_the_student_then_the_casebook(tmp_path: Path) -> None:
    casebook = random_casebook(300)
    pin = write_release(tmp_path, 1, casebook)
    inputs = random_inputs(20, n_ngrams=40, media=True)
    student = open_session(ReleasesRoot(tmp_path).student_of(pin))
    classifier, embedding = student.run(["classifier", "embedding"], inputs.tensors())
    expected = search(casebook, embedding, classifier)
    found = scored(InProcessScorer(tmp_path), inputs, pin)
    assert found.classifier == pytest.approx(classifier, abs=1e-6)
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-5)
    assert found.probabilities.sum(axis=1) == pytest.approx(np.ones(20), abs=1e-5)
    assert np.array_equal(found.cited_ids, expected.cited_ids)
    assert (found.probabilities != found.classifier).any()


def test_a_row_scores_the_same_alone_and_in_a_mixed_batch(tmp_path: Path) -> None:
    pin = write_release(tmp_path, 1, random_casebook(300))
    inputs = random_inputs(40, n_ngrams=90)
    whole = scored(InProcessScorer(tmp_path), inputs, pin)
    alone = scored(InProcessScorer(tmp_path), inputs.take([7]), pin)
    assert alone.probabilities[0] == pytest.approx(whole.probabilities[7], abs=1e-6)
    assert alone.cited_ids[0].tolist() == whole.cited_ids[7].tolist()


def test_a_casebook_published_between_releases_serves_its_own_pin_only(tmp_path: Path) -> None:
    first = write_release(tmp_path, 1, random_casebook(300))
    publish_casebook(tmp_path, 5, random_casebook(300, prefix="later"))
    later = Pin(release_version=1, casebook_version=5)
    inputs = random_inputs(8)
    assert scored(InProcessScorer(tmp_path), inputs, first).cited_ids[0, 0].startswith("case-")
    assert scored(InProcessScorer(tmp_path), inputs, later).cited_ids[0, 0].startswith("later-")


def test_a_pin_without_files_is_bad_input_and_not_ready(tmp_path: Path) -> None:
    pin = write_release(tmp_path, 1, random_casebook(10))
    point_to(tmp_path, pin)
    absent = Pin(release_version=9, casebook_version=9)
    for scorer in (InProcessScorer(tmp_path), InProcessScorer({})):
        assert not asyncio.run(scorer.ready(absent))
        with pytest.raises(BadInputError, match=r"releases/9: is not a release|release_version=9"):
            scored(scorer, random_inputs(1), absent)
    assert asyncio.run(InProcessScorer(tmp_path).ready(pin))


def test_a_broken_model_file_and_refused_tensors_are_bad_input(tmp_path: Path) -> None:
    pin = write_release(tmp_path, 1, random_casebook(10))
    ids_out_of_range = random_inputs(1)
    ids_out_of_range.ngram_ids[0, 0] = 1_000_000
    with pytest.raises(BadInputError, match="the model refuses the batch"):
        scored(InProcessScorer(tmp_path), ids_out_of_range, pin)
    student, casebook = (ReleasesRoot(tmp_path).release_path(1) / name for name in ("student.onnx", "casebook.onnx"))
    with pytest.raises(BadInputError, match=r"casebook\.onnx: inputs are \['classifier', 'embedding'\], must be"):
        scored(InProcessScorer({pin: (casebook, student)}), random_inputs(1), pin)
    student.write_bytes(b"not a model")
    with pytest.raises(BadInputError, match="does not load"):
        scored(InProcessScorer({pin: (student, casebook)}), random_inputs(1), pin)


@pytest.mark.parametrize("name", ["releases/1/student.onnx", "casebooks/5/casebook.onnx"])
def test_files_are_verified_before_they_are_loaded(tmp_path: Path, name: str) -> None:
    write_release(tmp_path, 1, random_casebook(10))
    publish_casebook(tmp_path, 5, random_casebook(10))
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b"\0")
    with pytest.raises(BadInputError, match=rf"{name}: digest is sha256:"):
        scored(InProcessScorer(tmp_path), random_inputs(1), Pin(release_version=1, casebook_version=5))


def test_a_casebook_is_refused_to_a_release_whose_student_did_not_embed_it(tmp_path: Path) -> None:
    write_release(tmp_path, 2, random_casebook(10))
    publish_casebook(tmp_path, 5, random_casebook(10))
    with pytest.raises(BadInputError, match=r"casebook\.json: is for Pin\(release_version=1, casebook_version=5\)"):
        scored(InProcessScorer(tmp_path), random_inputs(1), Pin(release_version=2, casebook_version=5))


def test_a_pin_is_ready_when_its_models_are_loaded_and_a_broken_one_is_tried_again_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pin = write_release(tmp_path, 1, random_casebook(10))
    student = ReleasesRoot(tmp_path).student_of(pin)
    whole, now = student.read_bytes(), [100.0]
    student.write_bytes(whole[:-1])
    scorer = InProcessScorer(tmp_path, clock=lambda: now[0])

    async def asked() -> list[bool]:
        answers = [await scorer.ready(pin)]
        student.write_bytes(whole)
        for now[0] in (104.9, 105.0):
            answers.append(await scorer.ready(pin))
        await scorer.close()
        return answers

    assert asyncio.run(asked()) == [False, False, True]
    assert sum("digest" in record.message for record in caplog.records) == 1


def test_only_the_pins_in_use_stay_loaded(tmp_path: Path) -> None:
    write_release(tmp_path, 1, random_casebook(10))
    pins = [Pin(release_version=1, casebook_version=version) for version in range(1, 7)]
    scorer = InProcessScorer(tmp_path)
    for pin in pins:
        if pin.casebook_version > 1:
            publish_casebook(tmp_path, pin.casebook_version, random_casebook(10))
        scorer.score_now(random_inputs(1), pin)
    assert list(scorer._loaded) == pins[-4:]
    asyncio.run(scorer.close())
