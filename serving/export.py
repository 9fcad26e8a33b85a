"""A trained student in, `student.onnx` out: dynamic batch, frames, picture size and text length."""

import contextlib
import io
import logging
import warnings
from pathlib import Path

import torch
from torch.export import Dim

from contracts.taxonomy import N_CATEGORIES
from contracts.verdicts import MODALITIES
from serving.preprocess.inputs import SIGNALS
from serving.student import Student

INPUTS = ("frames", "ngram_ids", "ngram_counts", "signals", "present")
OUTPUTS = ("classifier", "embedding")


def export_student(student: Student, path: Path) -> None:
    """Write the student as one ONNX file with inputs `INPUTS` and outputs `OUTPUTS`, in evaluation mode."""
    batch, frames, height, width, length = (Dim(name) for name in ("B", "F", "H", "W", "L"))
    example = (
        torch.randint(0, 256, (2, 3, 32, 32, 3), dtype=torch.uint8),
        torch.randint(0, 3 * student.shape.buckets, (2, 24), dtype=torch.int32),
        torch.ones((2, 24), dtype=torch.uint8),
        torch.zeros((2, len(SIGNALS))),
        torch.ones((2, len(MODALITIES)), dtype=torch.uint8),
    )
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of torchvision, which nothing here needs
        program = torch.onnx.export(
            student.eval(),
            example,
            dynamo=True,
            verbose=False,
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
    program.save(str(path))
