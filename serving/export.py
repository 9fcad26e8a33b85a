"""A trained student in, `student.onnx` out: dynamic batch, frames, picture size and text length.

shape -> graph, traced once a process -> the student's weights -> folded -> file
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import torch
from torch.export import Dim

from contracts.taxonomy import N_CATEGORIES
from contracts.verdicts import MODALITIES
from serving.preprocess.inputs import SIGNALS
from serving.student import Student, StudentShape

INPUTS = ("frames", "ngram_ids", "ngram_counts", "signals", "present")
OUTPUTS = ("classifier", "embedding")


def export_student(student: Student, path: Path) -> None:
    """Write the student as one ONNX file with inputs `INPUTS` and outputs `OUTPUTS`, in evaluation mode."""
    traced = _traced(student.shape)
    program = torch.onnx.ONNXProgram(traced.model.clone(), None)
    named = traced.model.graph.initializers
    program.apply_weights({name: value for name, value in student.state_dict().items() if name in named})
    with _quietly():
        program.optimize()
    program.save(str(path))


@lru_cache(maxsize=8)
def _traced(shape: StudentShape) -> torch.onnx.ONNXProgram:
    """The graph of the students of a shape, without their weights, nothing folded: tracing it takes seconds."""
    batch, frames, height, width, length = (Dim(name) for name in ("B", "F", "H", "W", "L"))
    with _quietly(), torch.random.fork_rng(devices=[]):
        example = (
            torch.randint(0, 256, (2, 3, 32, 32, 3), dtype=torch.uint8),
            torch.randint(0, 3 * shape.buckets, (2, 24), dtype=torch.int32),
            torch.ones((2, 24), dtype=torch.uint8),
            torch.zeros((2, len(SIGNALS))),
            torch.ones((2, len(MODALITIES)), dtype=torch.uint8),
        )
        program = torch.onnx.export(
            Student(shape).eval(),
            example,
            dynamo=True,
            verbose=False,
            optimize=False,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_shapes=(
                {0: batch, 1: frames, 2: height, 3: width},
                {0: batch, 1: length},
                {0: batch, 1: length},
                {0: batch},
                {0: batch},
            ),
        )
    assert program is not None, N_CATEGORIES
    for value in program.model.graph.initializers.values():
        value.const_value = None
    return torch.onnx.ONNXProgram(program.model, None)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Torch warns of torchvision, which nothing here needs, and tells its steps."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        yield
