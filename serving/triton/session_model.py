"""Requests in, one ONNX Runtime session's answers out: the `model.py` of Triton's Python backend.

The repository writer copies this file beside each `model.onnx`, so it imports nothing of the project; the
in-process scorer opens its sessions by the same function. Tensors pass as DLPack, without a copy: the stub
was built against NumPy 1 and misreads the arrays of NumPy 2.
"""

import ctypes
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

_NUMPY_TYPES = {"TYPE_UINT8": np.uint8, "TYPE_INT32": np.int32, "TYPE_INT64": np.int64, "TYPE_FP32": np.float32}
_USED = b"used_dltensor"
_set_name = ctypes.pythonapi.PyCapsule_SetName
_set_name.argtypes = (ctypes.py_object, ctypes.c_char_p)


NGRAMS_A_SLICE = 16_384


def open_session(path: Path, *, threads: int = 1) -> ort.InferenceSession:
    """Open a model on the CPU with `threads` threads that do not spin.

    The arena stays (without it every large tensor is mapped and unmapped anew, at three times the cost) but
    keeps no plan per shape; requests come in a few fixed shapes, which bound it.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(session: ort.InferenceSession, outputs: list[str], tensors: dict[str, Any]) -> list[Any]:
    """Answer a batch in slices: the rows gathered for 16,384 n-grams fit the cache, which halves the cost of more."""
    ngrams = tensors.get("ngram_ids")
    rows = 0 if ngrams is None else max(1, NGRAMS_A_SLICE // max(1, ngrams.shape[1]))
    if ngrams is None or len(ngrams) <= rows:
        return list(session.run(outputs, tensors))
    parts = [
        session.run(outputs, {name: tensor[start : start + rows] for name, tensor in tensors.items()})
        for start in range(0, len(ngrams), rows)
    ]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


class TritonPythonModel:
    """One model instance: a session, answering request by request, so that shapes stay those of the buckets."""

    def initialize(self, args: dict[str, str]) -> None:
        self.triton = importlib.import_module("triton_python_backend_utils")
        config = json.loads(args["model_config"])
        threads = int(config["parameters"]["threads"]["string_value"])
        folder = Path(args["model_repository"]) / args["model_version"]
        self.session = open_session(folder / "model.onnx", threads=threads)
        self.inputs = [tensor["name"] for tensor in config["input"]]
        self.outputs = [tensor["name"] for tensor in config["output"]]
        for tensors in json.loads(config["parameters"]["warmup"]["string_value"]):
            zeros = {name: np.zeros(shape, _NUMPY_TYPES[kind]) for name, kind, shape in tensors}
            run(self.session, self.outputs, zeros)

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        tensor_of = self.triton.get_input_tensor_by_name
        tensors = {name: np.from_dlpack(tensor_of(request, name)) for name in self.inputs}
        try:
            arrays = run(self.session, self.outputs, tensors)
        except Exception as error:  # noqa: BLE001  the request's fault or the model's: its sender is told which
            reason = self.triton.TritonError(str(error), self.triton.TritonError.INVALID_ARG)
            return self.triton.InferenceResponse(error=reason)
        named = zip(self.outputs, arrays, strict=True)
        return self.triton.InferenceResponse([self._tensor(name, array) for name, array in named])

    def _tensor(self, name: str, array: Any) -> Any:
        """Hand an array over; the stub marks its capsule with a name that NumPy would report as an error."""
        capsule = array.__dlpack__()
        tensor = self.triton.Tensor.from_dlpack(name, capsule)
        _set_name(capsule, _USED)
        return tensor
