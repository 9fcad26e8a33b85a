"""A small release of words, live in a root, and a docket of which people and an adjudicator rule."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bench.gate.releases import word_cases
from contracts.cases import CaseEvidence, CaseOpened, CaseReason, Ruling
from contracts.releases import CategoryThresholds, Pin, Thresholds
from contracts.taxonomy import VIOLATIVE, Category
from contracts.verdicts import Decision
from contracts.videos import VideoUploaded
from policy.casebook import Evidence
from policy.decide import decide, toxicity_of
from policy.docket.docket import Docket, NewCase
from policy.docket.principals import Principal, Role
from policy.docket.rules import ruling_id
from policy.lineage import Lineage, write_release
from policy.publication.publish import Publication, PublicationSettings, publish_pending
from policy.publication.traffic import RecentTraffic
from policy.releases import promote
from policy.train import Policy, TrainSettings, train
from serving.in_process import InProcessScorer
from serving.preprocess.batch import preprocess
from serving.releases import ReleasesRoot
from serving.scorer import Scores

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ANN = Principal("ann", Role.REVIEWER)
SAM = Principal("sam", Role.SENIOR)
VLM = Principal("vlm", Role.ADJUDICATOR)
LINES = Thresholds(
    toxicity=0.7, by_category=dict.fromkeys(VIOLATIVE, CategoryThresholds(demote=0.6, review=0.7, remove=0.8))
)
"""120 cases are too few to choose these by, and the floor."""
LOOSE = PublicationSettings(flips_at_most=1_000)
INPUTS = TrainSettings().inputs.model_copy(update={"text_buckets": 16_384})
"""A table of n-grams that fits 120 cases: each court copies its release."""
SETTINGS = replace(TrainSettings(), inputs=INPUTS, fused=False)


@dataclass(frozen=True, slots=True)
class Taught:
    release: Path
    evidence: list[Evidence]


@cache
def _trained() -> tuple[list[Evidence], Policy]:
    evidence = word_cases(120, 1)
    policy = train(evidence, settings=SETTINGS, seed=0)
    blend = replace(policy.casebook.blend, floor=0.5)
    return evidence, replace(policy, thresholds=LINES, casebook=replace(policy.casebook, blend=blend))


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Taught:
    """Release 1, of 120 cases of words."""
    evidence, policy = _trained()
    path = tmp_path_factory.mktemp("publication") / "release-1"
    lineage = Lineage(1, None, tuple(item.case for item in evidence))
    write_release(policy, path, lineage, settings=SETTINGS, now=NOW)
    return Taught(path, evidence)


@dataclass(slots=True)
class Court:
    """A releases root with release 1 live, and a docket; the clock goes on by a minute with each ruling."""

    root: ReleasesRoot
    docket: Docket
    taught: Taught
    now: datetime = NOW + timedelta(days=1)
    scorers: dict[str, InProcessScorer] = field(default_factory=dict)

    def open(self, upload: VideoUploaded, *, reason: CaseReason = CaseReason.AUDIT, frames: object = None) -> str:
        case_id = f"case-{upload.event_id}"
        even = (1 / 16,) * 16
        evidence = CaseEvidence(
            probabilities=even, classifier=even, category=Category.POSITIVE, decision=Decision.ALLOW
        )
        opened = CaseOpened(
            event_id=case_id,
            case_id=case_id,
            video_id=upload.video_id,
            opened_at=self.now,
            reason=reason,
            selection_probability=1.0,
            toxicity=0.5,
            release_version=1,
            casebook_version=1,
            evidence=evidence,
        )
        assert frames is None or isinstance(frames, np.ndarray)
        self.docket.enter([NewCase(opened, upload, frames)], now=self.now)
        return case_id

    def rule(
        self, upload: VideoUploaded, category: Category, by: Principal = ANN, *, confidence: float = 1.0
    ) -> Ruling:
        """Open a case on the upload if there is none, and rule; what stands otherwise is overruled by name."""
        case_id = f"case-{upload.event_id}"
        if not self.docket.known([case_id]):
            self.open(upload)
        standing = self.docket.file(case_id).ruling
        self.now += timedelta(minutes=1)
        ruling = Ruling(
            event_id=ruling_id(case_id, by.name, self.now),
            case_id=case_id,
            video_id=upload.video_id,
            ruled_at=self.now,
            ruled_by=by.name,
            by="adjudicator" if by.kind == "adjudicator" else "person",
            category=category,
            confidence=confidence,
            overrules=None if standing is None else standing.event_id,
        )
        self.docket.rule(ruling, by)
        return ruling

    def publish(
        self, traffic: list[VideoUploaded] | None = None, settings: PublicationSettings = LOOSE
    ) -> list[Publication]:
        self.now += timedelta(minutes=1)
        clerk = Principal("clerk", Role.CLERK)
        return publish_pending(
            self.root, self.docket, RecentTraffic(traffic or []), settings, now=self.now, principal=clerk
        )

    @property
    def live(self) -> Pin:
        return self.root.read_pointer().live

    def score(self, upload: VideoUploaded, pin: Pin | None = None) -> Scores:
        """What a worker is told by the live pin's models, as they lie in the root."""
        scorer = self.scorers.setdefault("it", InProcessScorer(self.root.path))
        inputs = preprocess([upload], [None], self.root.open(1).release.inputs)
        return scorer.score_now(inputs, pin or self.live)

    def judge(self, upload: VideoUploaded) -> tuple[Category, Decision, float]:
        probabilities = self.score(upload).probabilities
        [(category, decision)] = decide(probabilities, self.root.open(1).release.thresholds)
        return category, decision, float(toxicity_of(probabilities)[0])


@pytest.fixture
def court(taught: Taught, tmp_path: Path) -> Court:
    root = ReleasesRoot(tmp_path / "root")
    promote(root, taught.release, now=NOW)
    return Court(root, Docket(tmp_path / "docket", clock=lambda: NOW), taught)


Say = Callable[..., VideoUploaded]


def video(name: str, text: str, *, author: str = "author-1") -> VideoUploaded:
    return VideoUploaded(
        event_id=f"u-{name}", video_id=f"v-{name}", author_id=author, occurred_at=NOW, title=text, ocr=text
    )


TREND = "glowing moon pebbles cure your neighbour, order the blue sachet from uncle Tao tonight"
LIKE_IT = "glowing moon pebbles cure your neighbour!! order the blue sachet from uncle Tao tonight ok"
"""A trend that nobody was taught, and a video much like it."""
