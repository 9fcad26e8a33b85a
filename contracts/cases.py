"""Cases and rulings: what was asked about a video, what was decided, and the precedent it makes."""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from contracts.records import Count, Digest, Event, Id, LeafId, Probability, Record, Time, Version, has_no_leaf
from contracts.taxonomy import N_CATEGORIES, Category
from contracts.verdicts import Decision, Probabilities
from contracts.videos import VideoUploaded


class CaseReason(StrEnum):
    """Why a case was opened."""

    REPORT_RATE = "report_rate"
    UNCERTAIN = "uncertain"
    DISAGREEMENT = "disagreement"
    APPEAL = "appeal"
    AUDIT = "audit"


class CaseEvidence(Record):
    """What was known of a video when its case was opened: what the release said, and what viewers had reported.

    `reporters` are counted once each, `coordinated` are those of them who report together elsewhere too, and
    `weighted_reports` is what all of them weigh; `over_line` is the probability that the report rate is over the line.
    `frames_digest` is that of the frames it was scored by, as the docket keeps them; None where it has none.
    """

    probabilities: Probabilities
    classifier: Probabilities
    category: Category
    decision: Decision
    impressions: Count = 0
    reporters: Count = 0
    coordinated: Count = 0
    weighted_reports: Annotated[float, Field(ge=0.0)] = 0.0
    report_rate: Probability | None = None
    over_line: Probability | None = None
    frames_digest: Digest | None = None


def _drawn_as_selected(case: dict[str, Any]) -> float:
    """Older records say of the audit only what it alone brought up."""
    alone = case.get("reason") is CaseReason.AUDIT
    return float(case.get("selection_probability", 0.0)) if alone else 0.0


class CaseOpened(Event):
    """A question put to a reviewer, with the probability that this case was selected: 1 unless by the audit alone.

    audited: the share of such verdicts that the random audit draws, where it drew this one, whatever else asked about
    it; 0 where it did not. Those with a share are a random sample of all verdicts.
    `evidence` is frozen when the case opens: later verdicts and reports do not change it. None in older records.
    """

    case_id: Id
    video_id: Id
    opened_at: Time
    reason: CaseReason
    selection_probability: Annotated[float, Field(gt=0.0, le=1.0)]
    audited: Probability = Field(default_factory=_drawn_as_selected)
    toxicity: Probability
    release_version: Version
    casebook_version: Version
    evidence: CaseEvidence | None = None


class CaseAppealed(Event):
    """An author disputes what was decided about a video."""

    case_id: Id
    video_id: Id
    author_id: Id
    appealed_at: Time
    statement: Annotated[str, Field(max_length=2_000)] = ""


class Ruling(Event):
    """What a person, or a VLM by vote, decided about a case; `overrules` names the ruling it replaces.

    leaf: the accepted leaf below `category` that the video shows, where one is named; `positive` has none.
    """

    case_id: Id
    video_id: Id
    ruled_at: Time
    ruled_by: Id
    by: Literal["person", "adjudicator"]
    category: Category
    reasoning: Annotated[str, Field(max_length=20_000)] = ""
    confidence: Probability = 1.0
    overrules: Id | None = None
    leaf: LeafId = Field(default="", exclude_if=has_no_leaf)

    @model_validator(mode="after")
    def _leaf_of_its_category(self) -> Self:
        refuse_leaf_of_positive(self.leaf, self.category, f"ruling {self.event_id}")
        return self


class DecidedCase(Record):
    """A ruled case with the model inputs it was ruled on: what the student trains on and precedents keep.

    sampled: 1 in a plain sample of the uploads; the audit's share, where it drew the case; 0 for what was brought up
    for a reason alone, such as reports or doubt, and speaks for no other upload.
    votes: how many of a VLM's answers gave each of the 16 categories, where its votes made the ruling; empty where a
    person did. Its shares are what a student is taught, so that it inherits the doubt.
    leaf: the accepted leaf below its category, empty where none is known.
    """

    case_id: Id
    upload: VideoUploaded
    category: Category
    reasoning: Annotated[str, Field(max_length=20_000)] = ""
    weight: Annotated[float, Field(gt=0.0, le=100.0)] = 1.0
    sampled: Probability = 1.0
    decided_at: Time
    times_cited: Count = 0
    votes: tuple[Count, ...] = ()
    leaf: LeafId = Field(default="", exclude_if=has_no_leaf)

    @model_validator(mode="after")
    def _votes_and_leaf_of_its_category(self) -> Self:
        refuse_leaf_of_positive(self.leaf, self.category, f"case {self.case_id}")
        if self.votes and (len(self.votes) != N_CATEGORIES or self.votes[self.category.position] == 0):
            rule = f"must be {N_CATEGORIES} counts with a vote for {self.category.value}, or none"
            raise ValueError(f"votes == {self.votes}, {rule} (case {self.case_id})")
        return self


def refuse_leaf_of_positive(leaf: str, category: Category, place: str) -> None:
    """Raise `ValueError` where a video that breaks no rule is given a leaf: leaves lie below violative categories."""
    if leaf and category is Category.POSITIVE:
        raise ValueError(f"leaf == {leaf!r}, must be empty for {category.value} ({place})")
