"""The model repository as files: configurations from the models' own tensors, whole or not there, never rewritten."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig, ModelInstanceGroup

from bench.stand_in import SHAPE, random_casebook, write_release, write_student
from contracts.errors import BadInputError
from contracts.releases import Pin
from serving.buckets import Buckets
from serving.casebook import onnx_model, write_casebook
from serving.releases import ReleasesRoot
from serving.triton.configs import Backend, ServingOptions, read_signature
from serving.triton.repository import ModelRepository, model_names

PIN = Pin(release_version=3, casebook_version=7)
CLUSTER = ServingOptions(backend=Backend.ONNXRUNTIME, gpu=True, instances=2, tensorrt="FP16")


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    student, casebook = tmp_path / "student.onnx", tmp_path / "casebook.onnx"
    write_student(student)
    write_casebook(random_casebook(20), casebook)
    return student, casebook


def published(folder: Path, models: tuple[Path, Path], options: ServingOptions | None = None) -> ModelRepository:
    repository = ModelRepository(folder / "models", options)
    repository.publish(PIN, *models, SHAPE)
    return repository


def config_of(repository: ModelRepository, name: str) -> Any:
    return text_format.Parse((repository.path / name / "config.pbtxt").read_text(), ModelConfig())


def test_each_pin_is_three_models_whose_versions_are_the_release_and_the_casebook(
    tmp_path: Path, models: tuple[Path, Path]
) -> None:
    repository = published(tmp_path, models)
    assert repository.models() == {"student_r3", "casebook_r3_c7", "precedent_r3_c7"}
    assert (repository.path / "student_r3" / "3" / "model.onnx").read_bytes() == models[0].read_bytes()
    assert (repository.path / "casebook_r3_c7" / "7" / "model.py").is_file()
    assert list((repository.path / "precedent_r3_c7" / "1").iterdir()) == []


def test_the_tensors_of_a_configuration_are_the_models_own(tmp_path: Path, models: tuple[Path, Path]) -> None:
    config = config_of(published(tmp_path, models), "student_r3")
    given = {tensor.name: (DataType.Name(tensor.data_type), list(tensor.dims)) for tensor in config.input}
    assert given == {
        "frames": ("TYPE_UINT8", [-1, -1, -1, 3]),
        "ngram_ids": ("TYPE_INT32", [-1]),
        "ngram_counts": ("TYPE_UINT8", [-1]),
        "signals": ("TYPE_FP32", [15]),
        "present": ("TYPE_UINT8", [5]),
    }
    assert [(tensor.name, list(tensor.dims)) for tensor in config.output] == [("classifier", [16]), ("embedding", [64])]
    assert config.max_batch_size == 256


def test_the_ensemble_steps_ask_for_exactly_the_pinned_versions(tmp_path: Path, models: tuple[Path, Path]) -> None:
    config = config_of(published(tmp_path, models), "precedent_r3_c7")
    steps = [(step.model_name, step.model_version) for step in config.ensemble_scheduling.step]
    assert steps == [("student_r3", 3), ("casebook_r3_c7", 7)]
    assert [tensor.name for tensor in config.output] == [
        "probabilities",
        "classifier",
        "cited_ids",
        "cited_categories",
        "cited_similarities",
    ]


def test_the_embedded_server_runs_each_request_by_itself_in_the_python_backend(
    tmp_path: Path, models: tuple[Path, Path]
) -> None:
    config = config_of(published(tmp_path, models, ServingOptions(threads=2)), "student_r3")
    assert config.backend == "python"
    assert config.parameters["threads"].string_value == "2"
    assert not config.HasField("dynamic_batching")


def test_a_cluster_batches_dynamically_on_gpus_with_tensorrt_for_the_student(
    tmp_path: Path, models: tuple[Path, Path]
) -> None:
    repository = published(tmp_path, models, CLUSTER)
    student, casebook = config_of(repository, "student_r3"), config_of(repository, "casebook_r3_c7")
    for config in (student, casebook):
        assert config.backend == "onnxruntime"
        assert config.dynamic_batching.max_queue_delay_microseconds == 500
        assert list(config.dynamic_batching.preferred_batch_size) == [2, 4, 8, 16, 32, 64, 128, 256]
        assert [(group.count, group.kind) for group in config.instance_group] == [(2, ModelInstanceGroup.KIND_GPU)]
        assert not (repository.path / config.name / "3" / "model.py").exists()
    (accelerator,) = student.optimization.execution_accelerators.gpu_execution_accelerator
    assert (accelerator.name, accelerator.parameters["precision_mode"]) == ("tensorrt", "FP16")
    assert not casebook.HasField("optimization")


FRAME = (SHAPE.n_frames, SHAPE.frame_px, SHAPE.frame_px, 3)
EVERY_SHAPE = list(Buckets().shapes(frame=FRAME, max_ngrams=SHAPE.max_ngrams))


def test_a_cluster_warms_up_every_shape_of_the_buckets(tmp_path: Path, models: tuple[Path, Path]) -> None:
    repository = published(tmp_path, models, CLUSTER)
    samples = config_of(repository, "student_r3").model_warmup
    warmed = [{name: (sample.batch_size, *tensor.dims) for name, tensor in sample.inputs.items()} for sample in samples]
    assert warmed == EVERY_SHAPE
    sizes = [sample.batch_size for sample in config_of(repository, "casebook_r3_c7").model_warmup]
    assert sizes == [1, 2, 4, 8, 16, 32, 64, 128, 256]


def test_the_python_backend_warms_up_by_itself_since_triton_would_send_it_single_rows(
    tmp_path: Path, models: tuple[Path, Path]
) -> None:
    config = config_of(published(tmp_path, models), "student_r3")
    warmed = json.loads(config.parameters["warmup"].string_value)
    assert [{name: tuple(shape) for name, _, shape in tensors} for tensors in warmed] == EVERY_SHAPE
    assert len(config.model_warmup) == 0


def test_what_is_there_is_not_rewritten_unless_it_is_another_file_than_was_verified(
    tmp_path: Path, models: tuple[Path, Path]
) -> None:
    repository = published(tmp_path, models)
    before = {path: path.stat().st_mtime_ns for path in repository.path.rglob("*")}
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(models[0].read_bytes())
    repository.publish(PIN, copy, models[1], SHAPE)
    assert {path: path.stat().st_mtime_ns for path in repository.path.rglob("*")} == before
    write_student(copy, seed=9)
    repository.publish(PIN, copy, models[1], SHAPE)
    assert (repository.path / "student_r3" / "3" / "model.onnx").read_bytes() == copy.read_bytes()


def test_two_pins_of_a_release_share_its_student(tmp_path: Path, models: tuple[Path, Path]) -> None:
    repository = published(tmp_path, models)
    later = Pin(release_version=3, casebook_version=8)
    repository.publish(later, *models, SHAPE)
    assert repository.models() == {*model_names(PIN), *model_names(later)}
    assert len(repository.models()) == 5


@pytest.mark.parametrize("content", [b"not a model", b""])
def test_a_broken_model_leaves_nothing_behind(content: bytes, tmp_path: Path, models: tuple[Path, Path]) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(content)
    repository = ModelRepository(tmp_path / "models")
    with pytest.raises(BadInputError, match=r"broken\.onnx: is not an ONNX model"):
        repository.publish(PIN, models[0], broken, SHAPE)
    assert list(repository.path.iterdir()) == []


def test_models_that_do_not_fit_together_are_refused(tmp_path: Path, models: tuple[Path, Path]) -> None:
    repository = ModelRepository(tmp_path / "models")
    with pytest.raises(BadInputError, match="the student does not give 'frames', the casebook needs it"):
        repository.publish(PIN, models[0], models[0], SHAPE)
    with pytest.raises(BadInputError, match=r"the student's inputs are .'classifier', 'embedding'., must be"):
        repository.publish(PIN, models[1], models[1], SHAPE)
    assert repository.models() == set()


def test_pruning_removes_the_pins_that_are_not_kept_and_nothing_else(tmp_path: Path, models: tuple[Path, Path]) -> None:
    repository = published(tmp_path, models)
    later = Pin(release_version=3, casebook_version=8)
    repository.publish(later, *models, SHAPE)
    foreign = repository.path / "somebody_elses"
    foreign.mkdir()
    (foreign / "config.pbtxt").write_text("")
    assert repository.prune([later]) == {"casebook_r3_c7", "precedent_r3_c7"}
    assert repository.models() == set(model_names(later))
    assert foreign.is_dir()


def test_a_casebook_in_two_files_is_published_with_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, models: tuple[Path, Path]
) -> None:
    monkeypatch.setattr(onnx_model, "EMBEDDED_BYTES", 0)
    write_casebook(random_casebook(20), models[1])
    folder = published(tmp_path, models).path / "casebook_r3_c7" / "7"
    assert {"model.onnx", "casebook.onnx.data"} <= {path.name for path in folder.iterdir()}


def test_a_release_folder_can_be_read_as_it_was_written(tmp_path: Path) -> None:
    pin = write_release(tmp_path, 1, random_casebook(5))
    outputs = read_signature(ReleasesRoot(tmp_path).open_pin(pin)[1]).outputs
    assert [(name, dims) for name, _, dims in outputs] == [
        ("probabilities", (16,)),
        ("cited_ids", (5, -1)),
        ("cited_categories", (5,)),
        ("cited_similarities", (5,)),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"tensorrt": "INT4"}, "tensorrt == 'INT4'"), ({"tensorrt": "FP16"}, "tensorrt needs the onnxruntime backend")],
)
def test_options_that_cannot_be_met_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        ServingOptions(**options)
