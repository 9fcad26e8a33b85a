"""A trained policy and later precedents in, verdicts on uploads out: what Triton and a worker do, in this process."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt

from contracts.releases import Pin, Release
from contracts.verdicts import Verdict
from contracts.videos import VideoUploaded
from policy.casebook import Evidence
from policy.decide import judge, toxicity_of
from policy.evidence import digest_of_cases
from policy.train import Policy, TrainSettings, casebook_of, run_student
from serving.casebook import Casebook, search
from serving.preprocess.batch import preprocess
from serving.preprocess.inputs import ModelInputs
from serving.scorer import Scores


@dataclass(slots=True)
class Judge:
    """A release in memory: its policy, its version, and the casebook as last published."""

    policy: Policy
    settings: TrainSettings
    version: int
    taught: tuple[Evidence, ...]
    casebook: Casebook = field(init=False)
    casebook_version: int = 1

    def __post_init__(self) -> None:
        self.casebook = self.policy.casebook

    def read(self, uploads: Sequence[VideoUploaded]) -> ModelInputs:
        """The tensors of B uploads without media."""
        return preprocess(uploads, [None] * len(uploads), self.settings.inputs)

    def score(self, inputs: ModelInputs) -> Scores:
        """What student and casebook say of B uploads."""
        classifier, embedding = run_student(self.policy.student, inputs)
        return search(self.casebook, embedding, classifier)

    def toxicity(self, inputs: ModelInputs) -> npt.NDArray[np.float32]:
        """float32 [B]."""
        return toxicity_of(self.score(inputs).probabilities)

    def verdicts(self, uploads: Sequence[VideoUploaded], inputs: ModelInputs, *, now: datetime) -> list[Verdict]:
        """The verdicts on B uploads, in order."""
        return judge(uploads, inputs.present, self.score(inputs), self._release(now), self._pin(), now=now)

    def publish(self, news: Sequence[Evidence]) -> None:
        """Serve the release's own casebook and beside it the cases decided since its training."""
        cases = [item.case for item in news]
        base = self.policy.casebook
        if cases:
            _, embedded = run_student(self.policy.student, self.read([case.upload for case in cases]))
            known = np.flatnonzero(np.linalg.norm(embedded, axis=1) > 0.5)
            base = base.with_news(replace(casebook_of(cases, embedded, known), blend=base.blend))
        self.casebook = base
        self.casebook_version += 1

    @property
    def line(self) -> float:
        """The toxicity from which on a video is found violative."""
        return self.policy.thresholds.toxicity

    def _pin(self) -> Pin:
        return Pin(release_version=self.version, casebook_version=self.casebook_version)

    def _release(self, now: datetime) -> Release:
        return Release(
            version=self.version,
            parent=self.version - 1 or None,
            created_at=now,
            inputs=self.settings.inputs,
            thresholds=self.policy.thresholds,
            casebook_version=self.casebook_version,
            n_cases=len(self.taught),
            digests={},
            metrics=self.policy.metrics,
            trained_on=digest_of_cases([item.case for item in self.taught[:1]]),
        )
