"""An ONNX model's own inputs and outputs in, the `config.pbtxt` that serves it out.

The embedded server runs the Python backend, one request at a time; a cluster runs the onnxruntime backend
with dynamic batching, instance groups, TensorRT and warm-up. An ensemble joins both models of a pin.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from contracts.errors import BadInputError
from contracts.releases import InputShape
from serving.buckets import INPUTS, OUTPUTS, Buckets, Shapes

# ONNX element type -> Triton data type, and bytes an element.
_DATA_TYPES = {1: "TYPE_FP32", 2: "TYPE_UINT8", 3: "TYPE_INT8", 6: "TYPE_INT32", 7: "TYPE_INT64", 8: "TYPE_STRING"}


class Backend(StrEnum):
    """Which of Triton's backends runs the ONNX models."""

    PYTHON = "python"
    ONNXRUNTIME = "onnxruntime"


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """How a repository's models are run.

    instances: copies of each model, per GPU if `gpu`. threads: of each instance on the CPU.
    tensorrt: "" for none, else the student's precision, FP32 or FP16. queue_delay_us: how long the
    onnxruntime backend waits to join requests into one batch. warm: run every shape of the buckets on loading.
    """

    backend: Backend = Backend.PYTHON
    instances: int = 1
    threads: int = 1
    gpu: bool = False
    tensorrt: str = ""
    queue_delay_us: int = 500
    warm: bool = True
    buckets: Buckets = field(default_factory=Buckets)

    def __post_init__(self) -> None:
        if self.tensorrt not in {"", "FP32", "FP16"}:
            raise BadInputError(f"tensorrt == {self.tensorrt!r}, must be '', 'FP32' or 'FP16' (Triton repository)")
        if self.tensorrt and not (self.gpu and self.backend is Backend.ONNXRUNTIME):
            raise BadInputError("tensorrt needs the onnxruntime backend on a GPU (Triton repository)")


@dataclass(frozen=True, slots=True)
class Signature:
    """The tensors of a model: (name, Triton data type, dims without the batch; -1 where they vary)."""

    inputs: tuple[tuple[str, str, tuple[int, ...]], ...]
    outputs: tuple[tuple[str, str, tuple[int, ...]], ...]


def read_signature(path: Path) -> Signature:
    """Read what a model takes and gives; raises `BadInputError` when it is not ONNX or its batch is fixed."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except (OSError, DecodeError) as error:
        raise BadInputError(f"{path}: is not an ONNX model ({error})") from error
    if not graph.output:
        raise BadInputError(f"{path}: is not an ONNX model (it has no outputs)")
    weights = {tensor.name for tensor in graph.initializer}
    given = [value for value in graph.input if value.name not in weights]
    return Signature(_tensors(path, given), _tensors(path, graph.output))


def check_pair(student: Signature, casebook: Signature) -> None:
    """Raise `BadInputError` unless the two take and give together what an ensemble of a pin must."""
    taken, handed = _names(student.inputs), _names(student.outputs)
    if taken != set(INPUTS):
        raise BadInputError(f"the student's inputs are {sorted(taken)}, must be {sorted(INPUTS)} (Triton repository)")
    if missing := sorted(_names(casebook.inputs) - handed):
        raise BadInputError(f"the student does not give {missing[0]!r}, the casebook needs it (Triton repository)")
    if missing := sorted(set(OUTPUTS) - handed - _names(casebook.outputs)):
        raise BadInputError(f"neither the student nor the casebook gives {missing[0]!r} (Triton repository)")


def model_config(name: str, signature: Signature, options: ServingOptions, *, warmups: Iterable[Shapes] = ()) -> Any:
    """Build the configuration of the student or the casebook search."""
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    config = ModelConfig(name=name, backend=options.backend.value, max_batch_size=options.buckets.largest_batch)
    _add_tensors(config, signature)
    kind = "KIND_GPU" if options.gpu else "KIND_CPU"
    config.instance_group.add(count=options.instances, kind=kind)
    warmed = [_zeros(signature, shapes) for shapes in warmups] if options.warm else []
    if options.backend is Backend.PYTHON:
        config.parameters["threads"].string_value = str(options.threads)
        config.parameters["warmup"].string_value = json.dumps(warmed)
    else:
        config.dynamic_batching.preferred_batch_size.extend(size for size in options.buckets.batches if size > 1)
        config.dynamic_batching.max_queue_delay_microseconds = options.queue_delay_us
        config.parameters["intra_op_thread_count"].string_value = str(options.threads)
        config.parameters["memory.enable_memory_arena_shrinkage"].string_value = "gpu:0" if options.gpu else "cpu:0"
        _add_warmups(config, warmed)
    return config


def accelerate(config: Any, options: ServingOptions) -> None:
    """Ask for TensorRT, whose engines are kept beside the model between starts."""
    if not options.tensorrt:
        return
    accelerator = config.optimization.execution_accelerators.gpu_execution_accelerator.add(name="tensorrt")
    accelerator.parameters["precision_mode"] = options.tensorrt
    accelerator.parameters["max_workspace_size_bytes"] = str(1 << 30)
    accelerator.parameters["trt_engine_cache_enable"] = "true"
    accelerator.parameters["trt_engine_cache_path"] = "/tmp/precedent-tensorrt"


def ensemble_config(
    name: str, student: tuple[str, int, Signature], casebook: tuple[str, int, Signature], options: ServingOptions
) -> Any:
    """Build the ensemble that answers one call by both models of a pin, each by name and version."""
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    config = ModelConfig(name=name, platform="ensemble", max_batch_size=options.buckets.largest_batch)
    given = {tensor[0]: tensor for _, _, signature in (student, casebook) for tensor in signature.outputs}
    _add_tensors(config, Signature(student[2].inputs, tuple(given[output] for output in OUTPUTS)))
    for model_name, version, signature in (student, casebook):
        step = config.ensemble_scheduling.step.add(model_name=model_name, model_version=version)
        for tensor, _, _ in signature.inputs:
            step.input_map[tensor] = tensor
        for tensor, _, _ in signature.outputs:
            step.output_map[tensor] = tensor
    return config


def student_warmups(options: ServingOptions, shape: InputShape) -> list[Shapes]:
    """Every shape that a request to the student can have."""
    frame = (shape.n_frames, shape.frame_px, shape.frame_px, 3)
    return list(options.buckets.shapes(frame=frame, max_ngrams=shape.max_ngrams))


def casebook_warmups(options: ServingOptions, student: Signature) -> list[Shapes]:
    """Every shape that the student hands to the casebook search; on a CPU small ones do, a search is long."""
    if any(-1 in dims for _, _, dims in student.outputs):
        return []
    sizes = [size for size in options.buckets.batches if options.gpu or size <= 32]
    return [{name: (size, *dims) for name, _, dims in student.outputs} for size in sizes]


def _names(tensors: Iterable[tuple[str, str, tuple[int, ...]]]) -> set[str]:
    return {name for name, _, _ in tensors}


def _tensors(path: Path, values: Any) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    found = []
    for value in values:
        tensor = value.type.tensor_type
        dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
        if not dims or dims[0] != -1:
            raise BadInputError(f"{path}: {value.name} has shape {dims}, its first dimension must be the batch")
        if tensor.elem_type not in _DATA_TYPES:
            raise BadInputError(f"{path}: {value.name} has ONNX type {tensor.elem_type}, which is not served")
        found.append((value.name, _DATA_TYPES[tensor.elem_type], tuple(dims[1:])))
    return tuple(found)


def _add_tensors(config: Any, signature: Signature) -> None:
    for field_of_config, tensors in ((config.input, signature.inputs), (config.output, signature.outputs)):
        for name, data_type, dims in tensors:
            field_of_config.add(name=name, data_type=data_type, dims=dims)


def _zeros(signature: Signature, shapes: Shapes) -> list[tuple[str, str, tuple[int, ...]]]:
    """A request of zeros: (name, Triton data type, shape with the batch) of each input."""
    return [(name, data_type, shapes[name]) for name, data_type, _ in signature.inputs]


def _add_warmups(config: Any, warmed: Iterable[list[tuple[str, str, tuple[int, ...]]]]) -> None:
    """Triton warms a backend with `batch_size` requests of one row, which only a batching backend joins."""
    from tritonclient.grpc.model_config_pb2 import DataType

    for i, tensors in enumerate(warmed):
        sample = config.model_warmup.add(name=f"shape-{i}", batch_size=tensors[0][2][0])
        for name, data_type, shape in tensors:
            tensor = sample.inputs[name]
            tensor.data_type = DataType.Value(data_type)
            tensor.dims.extend(shape[1:])
            tensor.zero_data = True
