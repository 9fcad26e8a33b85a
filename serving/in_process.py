"""A batch in, scores out, by ONNX Runtime in this process: the student, then the casebook search."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.errors import BadInputError
from contracts.releases import Pin
from serving.buckets import Buckets, Group, group_by_shape, scores_of
from serving.preprocess.inputs import ModelInputs, Tensors
from serving.releases import ReleasesRoot
from serving.scorer import Scores

ModelPaths = tuple[Path, Path]


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

    `where` is a releases root, or the (student, casebook) files of each pin; `verify` is called with them
    before they are loaded and raises when they are not what was released.
    """

    def __init__(
        self,
        where: Path | Mapping[Pin, ModelPaths],
        *,
        threads: int = 1,
        buckets: Buckets | None = None,
        verify: Callable[[Pin, ModelPaths], None] = lambda _pin, _paths: None,
    ) -> None:
        self._where = where
        self._threads = threads
        self._buckets = buckets or Buckets()
        self._verify = verify
        self._loaded: dict[Pin, LoadedModels] = {}
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
        try:
            return all(path.is_file() for path in self._paths(pin))
        except BadInputError:
            return False

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
        return self._loaded[pin]

    def _load(self, pin: Pin) -> LoadedModels:
        from onnxruntime.capi import onnxruntime_pybind11_state as ort

        from serving.triton.session_model import open_session

        paths = self._paths(pin)
        for path in paths:
            if not path.is_file():
                raise BadInputError(f"{path}: is missing, {pin!r} needs it (in-process scorer)")
        self._verify(pin, paths)
        try:
            student, casebook = (open_session(path, threads=self._threads) for path in paths)
        except (ort.Fail, ort.InvalidProtobuf, ort.InvalidGraph, ort.InvalidArgument) as error:
            raise BadInputError(f"{pin!r} does not load: {error} (in-process scorer)") from error
        return LoadedModels(student, casebook)

    def _paths(self, pin: Pin) -> ModelPaths:
        if isinstance(self._where, Path):
            root = ReleasesRoot(self._where)
            return root.student_of(pin), root.casebook_of(pin)
        if pin not in self._where:
            raise BadInputError(f"{pin!r} is not among the {len(self._where)} pins given (in-process scorer)")
        return self._where[pin]
