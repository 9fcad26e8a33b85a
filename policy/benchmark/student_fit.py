"""Cases in, this project's own student and casebook out as a judge: what the benchmark's headline row is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from contracts.cases import DecidedCase
from contracts.errors import CheckFailedError
from policy.benchmark.cross_validation import Probabilities
from policy.benchmark.sight import Sight
from policy.casebook import Evidence
from policy.refresh import refresh_policy
from policy.train import Policy, TrainSettings, casebook_of, run_student, train
from serving.casebook import search
from serving.preprocess.batch import preprocess


@dataclass(frozen=True, slots=True)
class StudentFit:
    """Trains a policy as `precedent policy train` does; for words only, the part that reads signals is left out."""

    sight: Sight
    settings: TrainSettings = TrainSettings()

    def __call__(self, cases: Sequence[DecidedCase], *, seed: int) -> "StudentJudge":
        settings = replace(self.settings, fused=self.sight is not Sight.WORDS)
        policy = train([Evidence(case, None) for case in cases], settings=settings, seed=seed)
        if policy.student.shape.fused is (self.sight is Sight.WORDS):
            raise CheckFailedError(
                f"the student for {self.sight.value!r} reads signals == {policy.student.shape.fused}"
            )
        return StudentJudge(policy, settings, frozenset(case.case_id for case in cases))


@dataclass(frozen=True, slots=True)
class StudentJudge:
    """A trained policy that judges by classifier and precedents, blended as served."""

    policy: Policy
    settings: TrainSettings
    taught: frozenset[str]

    @property
    def line(self) -> float:
        return self.policy.thresholds.toxicity

    def probabilities(self, cases: Sequence[DecidedCase]) -> Probabilities:
        classifier, embeddings = self._run(cases)
        return search(self.policy.casebook, embeddings, classifier).probabilities

    def with_precedents(self, cases: Sequence[DecidedCase]) -> "StudentJudge":
        """The same student with more precedents, as a casebook published between two releases has them."""
        _, embeddings = self._run(cases)
        known = np.linalg.norm(embeddings, axis=1) > 0.5
        casebook = self.policy.casebook.with_news(casebook_of(cases, embeddings, np.flatnonzero(known)))
        taught = self.taught | {case.case_id for case in cases}
        return replace(self, policy=replace(self.policy, casebook=casebook), taught=taught)

    def refreshed(self, old: Sequence[DecidedCase], new: Sequence[DecidedCase], *, seed: int) -> "StudentJudge":
        """The policy that a nightly refresh makes of this one, what taught it and what was ruled since."""
        ruled = [Evidence(case.model_copy(update={"sampled": 0.0}), None) for case in new]
        policy = refresh_policy(self.policy, [Evidence(case, None) for case in old], ruled, seed=seed)
        return replace(self, policy=policy, taught=self.taught | {case.case_id for case in new})

    def _run(self, cases: Sequence[DecidedCase]) -> tuple[Probabilities, Probabilities]:
        inputs = preprocess([case.upload for case in cases], [None] * len(cases), self.settings.inputs)
        return run_student(self.policy.student, inputs)
