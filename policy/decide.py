"""Scores in, decisions out: the pure step between what the models say and what happens to a video."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from contracts.releases import CategoryThresholds, Pin, Release, Thresholds
from contracts.taxonomy import CATEGORIES, POSITIVE_INDEX, VIOLATIVE, Category
from contracts.verdicts import MODALITIES, CandidateDecision, Citation, Decision, Verdict
from contracts.videos import VideoUploaded
from serving.scorer import Scores

NO_LEAVES: Mapping[str, str] = MappingProxyType({})
_STRICTNESS = (Decision.ALLOW, Decision.DEMOTE, Decision.REVIEW, Decision.REMOVE)


def decide(probabilities_B_16: npt.NDArray[np.float32], thresholds: Thresholds) -> list[tuple[Category, Decision]]:
    """Judge B videos: the category that is found and what happens.

    A video is violative when its toxicity, 1 - p(positive), reaches `thresholds.toxicity`; its category is
    then the likeliest violative one, and it is demoted at least. A category whose own probability reaches
    its review or remove threshold is sent there; the strictest of all that apply holds.
    """
    lines = np.array(
        [
            [getattr(thresholds.by_category[category], name) for category in VIOLATIVE]
            for name in CategoryThresholds.model_fields
        ],
        np.float32,
    )
    violative = np.delete(probabilities_B_16, POSITIVE_INDEX, axis=1)
    toxic = toxicity_of(probabilities_B_16) >= np.float32(thresholds.toxicity)
    reached = (violative[:, None, :] >= lines[None]).any(axis=2)
    strictness = np.maximum((reached * np.array([1, 2, 3])).max(axis=1), toxic)
    likeliest = violative.argmax(axis=1)
    return [
        (VIOLATIVE[best] if is_toxic else Category.POSITIVE, _STRICTNESS[level])
        for best, is_toxic, level in zip(likeliest, toxic, strictness, strict=True)
    ]


def toxicity_of(probabilities_B_16: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """1 - p(positive), as float32 [B] in [0, 1]."""
    return np.clip(np.float32(1.0) - probabilities_B_16[:, POSITIVE_INDEX], 0.0, 1.0)


def decide_beside(scores: Scores, release: Release, pin: Pin) -> list[CandidateDecision]:
    """What a candidate release decides of each of B uploads from its own scores, in order."""
    toxicity = toxicity_of(scores.probabilities).tolist()
    return [
        CandidateDecision(
            release_version=pin.release_version,
            casebook_version=pin.casebook_version,
            toxicity=toxic,
            category=category,
            decision=decision,
        )
        for toxic, (category, decision) in zip(toxicity, decide(scores.probabilities, release.thresholds), strict=True)
    ]


def judge(
    uploads: Sequence[VideoUploaded],
    present_B_5: npt.NDArray[np.uint8],
    scores: Scores,
    release: Release,
    pin: Pin,
    *,
    now: datetime,
    candidates: Sequence[CandidateDecision] | None = None,
    leaves: Mapping[str, str] = NO_LEAVES,
) -> list[Verdict]:
    """Write the verdict of each of B uploads from its scores, in order, and what a candidate decided of it.

    `leaves` are those of the pin's precedents, by case id.
    """
    judgements = decide(scores.probabilities, release.thresholds)
    toxicity = toxicity_of(scores.probabilities).tolist()
    blended = np.clip(scores.probabilities, 0.0, 1.0).tolist()
    classifier = np.clip(scores.classifier, 0.0, 1.0).tolist()
    similarities = np.clip(scores.cited_similarities, -1.0, 1.0).tolist()
    cited = scores.cited_categories.tolist()
    beside = candidates if candidates is not None else [None] * len(uploads)
    absent = [tuple(m for m, there in zip(MODALITIES, row, strict=True) if not there) for row in present_B_5]
    return [
        Verdict(
            event_id=upload.event_id,
            video_id=upload.video_id,
            author_id=upload.author_id,
            occurred_at=upload.occurred_at,
            scored_at=now,
            probabilities=tuple(blended[row]),
            classifier=tuple(classifier[row]),
            toxicity=toxicity[row],
            category=category,
            decision=decision,
            citations=tuple(
                Citation(case_id=case_id, category=CATEGORIES[index], similarity=similarity)
                for case_id, index, similarity in zip(scores.cited_ids[row], cited[row], similarities[row], strict=True)
                if index >= 0
            ),
            missing=absent[row],
            release_version=pin.release_version,
            casebook_version=pin.casebook_version,
            taxonomy_version=release.taxonomy_version,
            since_upload_ms=max(0.0, (now - upload.occurred_at).total_seconds() * 1000.0),
            candidate=candidate,
            leaf=leaf_of(category, scores.cited_ids[row], cited[row], leaves) if leaves else "",
        )
        for row, (upload, (category, decision), candidate) in enumerate(zip(uploads, judgements, beside, strict=True))
    ]


def leaf_of(category: Category, cited_ids: Iterable[str], cited: Sequence[int], leaves: Mapping[str, str]) -> str:
    """The leaf of the best cited precedent of the category found, empty where that one has none.

    `cited_ids` come the best first, `cited` are their places in `CATEGORIES`, -1 where there is none.
    """
    agreeing = (case_id for case_id, index in zip(cited_ids, cited, strict=True) if index == category.position)
    return leaves.get(next(agreeing, ""), "") if category is not Category.POSITIVE else ""
