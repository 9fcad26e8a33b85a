"""A batch in, scores out, by ONNX Runtime in this process: the student, then the casebook search."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.errors import BadInputError
from contracts.releases import Pin
from serving.buckets import INPUTS, Buckets, Group, group_by_shape, scores_of
from serving.preprocess.inputs import ModelInputs, Tensors
from serving.releases import ReleasesRoot
from serving.scorer import Scores

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]
ModelPaths = tuple[Path, Path]
CASEBOOK_INPUTS = ("embedding", "classifier")
KEPT_PINS = 4
"""Live, canary, shadow, and the one before: a pin beyond these, the longest loaded, is let go."""
RETRY_S = 5.0


@dataclass(frozen=True, slots=True)
class LoadedModels:
    """The two sessions of a pin."""

    student: Any
    casebook: Any

    def run(self, tensors: Tensors) -> Tensors:
        """Answer one group: blended probabilities, the classifier's, and the citations."""
        from serving.triton.session_model import run

        classifier, embedding = run(self.student, ["classifier", "embedding"], tensors)
        names = ("probabilities", "cited_ids", "cited_categories", "cited_similarities")
        answer = self.casebook.run(names, {"embedding": embedding, "classifier": classifier})
        return {"classifier": classifier, **dict(zip(names, answer, strict=True))}


class InProcessScorer:
    """A `Scorer` that loads a pin's models when it is first asked for; scoring runs in one thread beside the loop.

    `where` is a releases root, whose files are verified before they are loaded, or the (student, casebook) files
    of each pin.
    """

    def __init__(
        self,
        where: Path | Mapping[Pin, ModelPaths],
        *,
        threads: int = 1,
        buckets: Buckets | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._where = where
        self._threads = threads
        self._buckets = buckets or Buckets()
        self._clock = clock
        self._loaded: dict[Pin, LoadedModels] = {}
        self._retry_at: dict[Pin, float] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scorer")

    async def score(self, inputs: ModelInputs, pin: Pin) -> Scores:
        """Score B videos; raises `BadInputError` when the pin's files are missing or the tensors are refused."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.score_now, inputs, pin)

    def score_now(self, inputs: ModelInputs, pin: Pin) -> Scores:
        """Score B videos in the calling thread."""
        models = self._models(pin)
        groups = group_by_shape(inputs, self._buckets)
        return scores_of(groups, [self._run(models, group) for group in groups], len(inputs))

    async def ready(self, pin: Pin) -> bool:
        """Whether the pin's models are loaded; loads them, and what does not load is tried again every `RETRY_S`."""
        if pin in self._loaded:
            return True
        if self._clock() < self._retry_at.get(pin, 0.0):
            return False
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._models, pin)
        except BadInputError as error:
            self._retry_at[pin] = self._clock() + RETRY_S
            log.error("%s", error)
            return False
        return True

    async def close(self) -> None:
        self._thread.shutdown()
        self._loaded.clear()

    def _run(self, models: LoadedModels, group: Group) -> Tensors:
        from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

        try:
            return models.run(group.tensors)
        except (Fail, InvalidArgument, RuntimeException) as error:
            raise BadInputError(f"the model refuses the batch: {error} (in-process scorer)") from error

    def _models(self, pin: Pin) -> LoadedModels:
        if pin not in self._loaded:
            self._loaded[pin] = self._load(pin)
            for old in list(self._loaded)[:-KEPT_PINS]:
                del self._loaded[old]
        return self._loaded[pin]

    def _load(self, pin: Pin) -> LoadedModels:
        from onnxruntime.capi import onnxruntime_pybind11_state as ort

        from serving.triton.session_model import open_session

        paths = self._paths(pin)
        try:
            student, casebook = (open_session(path, threads=self._threads) for path in paths)
        except (ort.Fail, ort.InvalidProtobuf, ort.InvalidGraph, ort.InvalidArgument, ort.NoSuchFile) as error:
            raise BadInputError(f"{pin!r} does not load: {error} (in-process scorer)") from error
        for path, session, wanted in zip(paths, (student, casebook), (INPUTS, CASEBOOK_INPUTS), strict=True):
            if (found := {tensor.name for tensor in session.get_inputs()}) != set(wanted):
                raise BadInputError(f"{path}: inputs are {sorted(found)}, must be {sorted(wanted)} (in-process scorer)")
        return LoadedModels(student, casebook)

    def _paths(self, pin: Pin) -> ModelPaths:
        if isinstance(self._where, Path):
            folder, casebook = ReleasesRoot(self._where).open_pin(pin)
            return folder.student, casebook
        if pin not in self._where:
            raise BadInputError(f"{pin!r} is not among the {len(self._where)} pins given (in-process scorer)")
        return self._where[pin]


class StudentEmbedder:
    """A student alone, loaded when it is first asked: what precedents and recent videos are embedded with.

    Goes through the same shapes as every scorer, so that an embedding is the one that a verdict was given by.
    """

    def __init__(self, student: Path, *, threads: int = 1) -> None:
        self._student = student
        self._threads = threads
        self._session: Any = None

    def embed(self, inputs: ModelInputs) -> tuple[Floats, Floats]:
        """Calibrated probabilities [B, 16] and embeddings [B, D]; raises `BadInputError` as `InProcessScorer` does."""
        from onnxruntime.capi import onnxruntime_pybind11_state as ort

        from serving.triton.session_model import open_session, run

        try:
            self._session = self._session or open_session(self._student, threads=self._threads)
            groups = group_by_shape(inputs, Buckets())
            answers = [run(self._session, ["classifier", "embedding"], group.tensors) for group in groups]
        except (ort.Fail, ort.InvalidProtobuf, ort.InvalidGraph, ort.InvalidArgument, ort.RuntimeException) as error:
            raise BadInputError(f"{self._student}: the student does not answer: {error}") from error
        parts = []
        for column in range(2):
            rows = np.empty((len(inputs), answers[0][column].shape[1]), np.float32)
            for group, answer in zip(groups, answers, strict=True):
                rows[group.rows] = answer[column][: len(group.rows)]
            parts.append(rows)
        return parts[0], parts[1]
