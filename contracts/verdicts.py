"""A verdict: what the policy thinks of one upload, which decided cases it cites, and who said so."""

import math
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from contracts.records import Event, Id, LeafId, Probability, Record, Time, Version, has_no_leaf
from contracts.taxonomy import CATEGORIES, N_CATEGORIES, POSITIVE_INDEX, Category

Probabilities = Annotated[tuple[Probability, ...], Field(min_length=N_CATEGORIES, max_length=N_CATEGORIES)]
Modality = Literal["frames", "title", "ocr", "asr", "feedback"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
VERDICT_LIFETIME = timedelta(days=7)


class Decision(StrEnum):
    """What happens to the video, from mildest to strictest."""

    ALLOW = "allow"
    DEMOTE = "demote"
    REVIEW = "review"
    REMOVE = "remove"


class Citation(Record):
    """A decided case that the verdict cites: cosine similarity in [-1, 1] and what it was ruled to be."""

    case_id: Id
    category: Category
    similarity: Annotated[float, Field(ge=-1.0001, le=1.0001)]


class CandidateDecision(Record):
    """What a release that is tried beside the live one would have decided of the same upload."""

    release_version: Version
    casebook_version: Version
    toxicity: Probability
    category: Category
    decision: Decision


class Verdict(Event):
    """The policy's judgement of one upload event; `event_id` is the upload's, so a replay is the same.

    `probabilities` blend classifier and precedents, in the order of `CATEGORIES`, and sum to 1;
    `toxicity` is 1 - p(positive); `category` is what was found: positive, or the likeliest violative one. While a
    candidate release is tried, `candidate` is what it decided; None where there was none, or it did not answer.
    `leaf` is that of the best cited precedent of `category`, empty where that one has none.
    """

    video_id: Id
    author_id: Id
    occurred_at: Time
    scored_at: Time
    probabilities: Probabilities
    classifier: Probabilities
    toxicity: Probability
    category: Category
    decision: Decision
    citations: tuple[Citation, ...]
    missing: tuple[Modality, ...]
    release_version: Version
    casebook_version: Version
    taxonomy_version: str
    since_upload_ms: Annotated[float, Field(ge=0)]
    candidate: CandidateDecision | None = None
    leaf: LeafId = Field(default="", exclude_if=has_no_leaf)

    @model_validator(mode="after")
    def _probabilities_agree(self) -> Self:
        total = math.fsum(self.probabilities)
        if abs(total - 1.0) > 1e-3:
            msg = f"probabilities sum to {total:.6f}, must be 1 within 1e-3"
            raise ValueError(msg)
        expected = 1.0 - self.probabilities[POSITIVE_INDEX]
        if abs(self.toxicity - expected) > 1e-3:
            msg = f"toxicity == {self.toxicity}, must be 1 - p(positive) == {expected:.6f}"
            raise ValueError(msg)
        return self

    @property
    def expires_at(self) -> datetime:
        """From when readers must treat the verdict as out of date: one lifetime after it was scored."""
        return self.scored_at + VERDICT_LIFETIME

    @property
    def candidate_toxicity(self) -> float | None:
        return self.candidate.toxicity if self.candidate else None

    @property
    def candidate_decision(self) -> Decision | None:
        return self.candidate.decision if self.candidate else None

    @property
    def candidate_release_version(self) -> int | None:
        return self.candidate.release_version if self.candidate else None

    def probability_of(self, category: Category) -> float:
        return self.probabilities[CATEGORIES.index(category)]
