"""The student in torch, the same in ONNX, and the training side's sparse tf-idf: one meaning."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX
from contracts.verdicts import MODALITIES
from policy.text_fit import TextSettings, fit_text
from policy.word_fit import WordSettings, inverse_document_frequency
from serving.export import INPUTS, OUTPUTS, export_student
from serving.preprocess.inputs import SIGNALS, ModelInputs
from serving.student import Student, StudentShape, log_probabilities

BUCKETS = 1_024
SMALL = TextSettings(text_dim=12)
EVERYTHING = np.ones(len(MODALITIES), np.uint8)


def random_inputs(n: int, *, frames: int = 3, px: int = 32, length: int = 40, seed: int = 0) -> ModelInputs:
    rng = np.random.default_rng(seed)
    return ModelInputs(
        frames=rng.integers(0, 256, (n, frames, px, px, 3), dtype=np.uint8),
        ngram_ids=rng.integers(0, 3 * BUCKETS, (n, length), dtype=np.int32),
        ngram_counts=rng.integers(0, 5, (n, length), dtype=np.uint8),
        signals=rng.normal(size=(n, len(SIGNALS))).astype(np.float32),
        present=np.tile(EVERYTHING, (n, 1)),
    )


def random_student(*, fused: bool, seed: int = 0) -> Student:
    torch.manual_seed(seed)
    student = Student(StudentShape(BUCKETS, text_dim=12, n_taught=30, picture_dim=8, hidden_dim=16, fused=fused))
    student.text.table.normal_()
    student.text.table[:, 0].uniform_(1.0, 3.0)
    student.text.shift.normal_()
    student.text.taught.normal_(std=0.3)
    student.text.taught_violative.bernoulli_()
    student.text.stack.normal_()
    student.class_bias.normal_()
    student.text.table[::7, 0] = 0.0
    student.text.unseen_idf.fill_(3.0)
    student.picture_mean.normal_()
    student.picture_whitening.normal_()
    return student.eval()


def run(student: Student, inputs: ModelInputs) -> list[np.ndarray]:
    with torch.inference_mode():
        outputs = student(**{name: torch.from_numpy(tensor) for name, tensor in inputs.tensors().items()})
    return [output.numpy() for output in outputs]


def masked(inputs: ModelInputs, **present: int) -> ModelInputs:
    flags = inputs.present.copy()
    for name, value in present.items():
        flags[:, MODALITIES.index(name)] = value  # type: ignore[arg-type]
    return ModelInputs(**{**inputs.tensors(), "present": flags})


@pytest.fixture(scope="module", params=[True, False], ids=["fused", "wide"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Student, Path]:
    student = random_student(fused=request.param)
    path = tmp_path_factory.mktemp("student") / "student.onnx"
    export_student(student, path)
    return student, path


@pytest.mark.parametrize(
    ("n", "frames", "px", "length"), [(1, 1, 8, 1), (7, 9, 64, 129), (64, 1, 8, 512), (3, 2, 33, 17)]
)
def test_onnx_equals_torch_on_every_output_at_any_shape(
    exported: tuple[Student, Path], n: int, frames: int, px: int, length: int
) -> None:
    student, path = exported
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == list(INPUTS)
    assert [o.name for o in session.get_outputs()] == list(OUTPUTS)
    inputs = random_inputs(n, frames=frames, px=px, length=length, seed=n)
    for ours, theirs in zip(run(student, inputs), session.run(None, inputs.tensors()), strict=True):
        assert np.abs(ours - theirs).max() < 1e-4


@pytest.mark.parametrize("fused", [True, False])
def test_students_of_one_shape_share_a_graph_and_no_weight(tmp_path: Path, *, fused: bool) -> None:
    one, two = (random_student(fused=fused, seed=seed) for seed in (3, 4))
    for student, name in ((one, "one"), (two, "two"), (one, "again")):
        export_student(student, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "again").read_bytes()
    inputs = random_inputs(4)
    for student, name in ((one, "one"), (two, "two")):
        session = onnxruntime.InferenceSession(str(tmp_path / name), providers=["CPUExecutionProvider"])
        for ours, theirs in zip(run(student, inputs), session.run(None, inputs.tensors()), strict=True):
            assert np.abs(ours - theirs).max() < 1e-4
    assert not np.allclose(run(one, inputs)[0], run(two, inputs)[0])


def test_probabilities_sum_to_one_and_embeddings_have_length_one() -> None:
    probabilities, embedding = run(random_student(fused=True), random_inputs(5))
    assert probabilities.shape == (5, N_CATEGORIES)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    assert np.linalg.norm(embedding, axis=1) == pytest.approx(np.ones(5), abs=1e-5)


def test_what_is_not_present_changes_nothing() -> None:
    student, inputs = random_student(fused=True), random_inputs(4)
    hidden = masked(inputs, frames=0, title=0)
    other = ModelInputs(
        **{
            **hidden.tensors(),
            "frames": inputs.frames[::-1].copy(),
            "ngram_counts": np.where(inputs.ngram_ids < BUCKETS, 3, inputs.ngram_counts).astype(np.uint8),
        }
    )
    for one, two in zip(run(student, hidden), run(student, other), strict=True):
        assert one == pytest.approx(two, abs=1e-5)
    assert not np.allclose(run(student, inputs)[0], run(student, hidden)[0])


def test_a_black_frame_counts_as_no_frame() -> None:
    student, inputs = random_student(fused=True), random_inputs(2, frames=2)
    padded = ModelInputs(
        **{**inputs.tensors(), "frames": np.concatenate([inputs.frames, np.zeros_like(inputs.frames)], axis=1)}
    )
    assert run(student, padded)[0] == pytest.approx(run(student, inputs)[0], abs=1e-5)


def test_padding_the_text_changes_nothing() -> None:
    student, inputs = random_student(fused=False), random_inputs(3)
    wider = ModelInputs(
        **{
            **inputs.tensors(),
            "ngram_ids": np.pad(inputs.ngram_ids, ((0, 0), (0, 9))),
            "ngram_counts": np.pad(inputs.ngram_counts, ((0, 0), (0, 9))),
        }
    )
    assert run(student, wider)[0] == pytest.approx(run(student, inputs)[0], abs=1e-6)


def test_the_tower_gives_what_training_was_told_it_would() -> None:
    rng = np.random.default_rng(3)
    inputs = masked(random_inputs(60), asr=0)
    # each n-gram once a document, as preprocessing gives it
    ids = np.argsort(rng.random((60, 300)), axis=1)[:, :40].astype(np.int32) * 10
    inputs = ModelInputs(**{**inputs.tensors(), "ngram_ids": ids})
    labels = rng.integers(0, N_CATEGORIES, 60)
    fit = fit_text(inputs, np.eye(N_CATEGORIES, dtype=np.float32)[labels], buckets=BUCKETS, settings=SMALL, seed=0)
    student = Student(StudentShape(BUCKETS, text_dim=12, n_taught=len(fit.taught), fused=False))
    for name in ("table", "bias", "shift", "taught", "taught_violative", "stack", "unseen_idf"):
        getattr(student.text, name).copy_(torch.from_numpy(getattr(fit, name)))
    words, embedding, _ = student.text(
        *(torch.from_numpy(inputs.tensors()[k]) for k in ("ngram_ids", "ngram_counts", "present"))
    )
    assert embedding.numpy() == pytest.approx(fit.embedding, abs=1e-4)
    assert np.exp(words.numpy()).sum(axis=1) == pytest.approx(np.ones(60), abs=1e-5)
    # in sample, 60 cases in 300 dimensions are learned by heart; out of sample they are noise
    assert (words.numpy().argmax(axis=1) == labels).mean() > 0.9
    assert (fit.out_of_sample.argmax(axis=1) == labels).mean() < 0.5


def test_the_span_of_the_cases_holds_the_same_optimum_as_all_dimensions() -> None:
    rng = np.random.default_rng(1)
    inputs = random_inputs(80, length=30)
    labels = rng.integers(13, N_CATEGORIES, 80)
    fits = [
        fit_text(
            inputs,
            np.eye(N_CATEGORIES, dtype=np.float32)[labels],
            buckets=BUCKETS,
            settings=replace(SMALL, words=WordSettings(dense_up_to=limit)),
            seed=0,
        )
        for limit in (0, 1_000)
    ]
    assert np.exp(fits[0].out_of_sample) == pytest.approx(np.exp(fits[1].out_of_sample), abs=0.01)


def test_extreme_logits_are_finite_in_onnx_as_in_torch(tmp_path: Path) -> None:
    student = random_student(fused=True)
    student.text.table.mul_(100.0)
    export_student(student, tmp_path / "student.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "student.onnx"), providers=["CPUExecutionProvider"])
    inputs = random_inputs(16)
    found = session.run(None, inputs.tensors())
    assert np.isfinite(found[0]).all()
    for ours, theirs in zip(run(student, inputs), found, strict=True):
        assert np.abs(ours - theirs).max() < 1e-4


def test_log_probabilities_are_the_product_of_violative_and_which() -> None:
    z = torch.zeros(1, N_CATEGORIES)
    z[0, -1] = -np.log(3.0)  # p(positive) = 1/4, the rest evenly over 15
    found = np.exp(log_probabilities(z).numpy())[0]
    assert found[-1] == pytest.approx(0.25)
    assert found[:-1] == pytest.approx(np.full(15, 0.05))


def test_idf_is_one_for_what_every_document_has() -> None:
    inputs = ModelInputs(
        **{
            **random_inputs(3).tensors(),
            "ngram_ids": np.array([[5, 9], [5, 0], [5, 0]], np.int32),
            "ngram_counts": np.array([[2, 1], [1, 0], [4, 0]], np.uint8),
        }
    )
    idf = inverse_document_frequency(inputs, buckets=BUCKETS)
    assert idf[5] == pytest.approx(1.0)  # log(4 / 4) + 1
    assert idf[9] == pytest.approx(np.log(2.0) + 1)  # log(4 / 2) + 1
    assert idf[0] == 0.0  # in no document: padding does not count


def test_cases_without_a_word_teach_how_frequent_each_label_is() -> None:
    inputs = random_inputs(40)
    silent = ModelInputs(**{**inputs.tensors(), "ngram_counts": np.zeros_like(inputs.ngram_counts)})
    labels = np.array([POSITIVE_INDEX] * 30 + [0] * 5 + [1] * 5)
    fit = fit_text(silent, np.eye(N_CATEGORIES, dtype=np.float32)[labels], buckets=BUCKETS, settings=SMALL, seed=0)
    found = np.exp(log_probabilities(torch.from_numpy(fit.bias[None])).numpy())[0]
    assert found[POSITIVE_INDEX] == pytest.approx(0.75)
    assert found[0] == pytest.approx(0.125, abs=0.01)
    assert not fit.table[:, : 1 + N_CATEGORIES].any()


def test_new_words_make_videos_alike_that_share_them_and_leave_what_was_taught_as_it_was() -> None:
    student = random_student(fused=False)
    student.text.table[BUCKETS // 2 : BUCKETS, :17] = 0.0  # the title's later rows were never taught
    student.text.unseen_idf.fill_(4.0)
    taught, new, other = np.array([1, 2, 3, 4, 5, 6, 8, 9, 10, 11]), np.arange(600, 610), np.arange(700, 710)
    inputs = titled([*taught], [*taught, *new], [*taught[::-1], *new[::-1]], [*taught, *other], [*new])
    embedding = run(student, inputs)[1]
    plain = student.text(*(torch.from_numpy(inputs.tensors()[k]) for k in ("ngram_ids", "ngram_counts", "present")))
    words, text, unseen = (part.numpy() for part in plain)
    # what was taught says the same with new words beside it as without them
    assert words[1:4] == pytest.approx(np.tile(words[0], (3, 1)), abs=1e-4)
    assert text[1:4] == pytest.approx(np.tile(text[0], (3, 1)), abs=1e-4)
    assert unseen[0] == pytest.approx(np.zeros(12))
    assert embedding[0] == pytest.approx([*text[0], *np.zeros(12)], abs=1e-6)
    # as long as the share of new words, by tf-idf: all of it, or by hand
    share = np.sqrt(10 * 4.0**2 / (10 * 4.0**2 + float(student.text.table[taught, 0].square().sum())))
    assert np.linalg.norm(unseen, axis=1) == pytest.approx([0.0, share, share, share, 1.0], abs=1e-5)
    assert embedding[1] @ embedding[2] == pytest.approx(1.0, abs=1e-5)
    assert embedding[1] @ embedding[2] > embedding[1] @ embedding[0]
    assert embedding[1] @ embedding[2] > embedding[1] @ embedding[3] + 0.1
    hidden = run(student, masked(inputs, title=0))[1]
    assert hidden[4] == pytest.approx(hidden[0], abs=1e-6)


def test_pictures_are_compared_whitened_and_a_video_without_one_has_none() -> None:
    student = random_student(fused=True)
    student.picture_mean.fill_(1.0)
    student.picture_whitening.copy_(torch.diag(torch.tensor([4.0, 1, 1, 1, 1, 1, 1, 1])))
    text, unseen = torch.eye(12)[:1].expand(2, 12), torch.zeros(2, 12)
    picture = torch.stack([torch.tensor([2.0, 1, 1, 1, 1, 1, 1, 4]), torch.zeros(8)])
    found = student.embed(text, unseen, picture).numpy()
    # picture - mean = (1, 0, .., 3), whitened (4, 0, .., 3), of length 5; text 0.7 and picture 1 are then made a unit
    length = np.sqrt(0.7**2 + 1.0)
    assert found[0] == pytest.approx(np.array([0.7, *np.zeros(23), 0.8, *np.zeros(6), 0.6]) / length, abs=1e-6)
    assert found[1] == pytest.approx(np.eye(32)[0], abs=1e-6)


def titled(*titles: list[int]) -> ModelInputs:
    """Videos that say n-grams of their titles, each once, and nothing else."""
    ids = np.zeros((len(titles), max(map(len, titles))), np.int32)
    for row, title in enumerate(titles):
        ids[row, : len(title)] = title
    counts = np.array([[i < len(title) for i in range(ids.shape[1])] for title in titles], np.uint8)
    some = random_inputs(len(titles))
    return ModelInputs(**{**some.tensors(), "ngram_ids": ids, "ngram_counts": counts})
