"""Policy releases: an immutable folder's `release.json`, and the pointer that names which one is live."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from contracts.records import Count, Digest, Id, Probability, Record, Time, Version
from contracts.taxonomy import TAXONOMY_VERSION, VIOLATIVE, Category

Seat = Literal["live", "canary", "shadow"]
"""What a release does: its decisions are in force, or stand beside those of the live one in each verdict."""
MAX_FRAME_BYTES = 8 << 20
"""A video's frames as a student reads them: a batch of some hundred must fit a worker's memory."""


class CategoryThresholds(Record):
    """Probabilities at which a category demotes, is sent to review, and removes: demote <= review <= remove.

    A threshold above 1 (up to 1.01) is never reached.
    """

    demote: Annotated[float, Field(ge=0, le=1.01)]
    review: Annotated[float, Field(ge=0, le=1.01)]
    remove: Annotated[float, Field(ge=0, le=1.01)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.demote <= self.review <= self.remove:
            msg = (
                f"demote == {self.demote}, review == {self.review}, remove == {self.remove}, "
                "must not decrease in this order"
            )
            raise ValueError(msg)
        return self


class Thresholds(Record):
    """When a verdict stops being `allow`: by toxicity for `demote`, by category for the rest."""

    toxicity: Probability
    by_category: dict[Category, CategoryThresholds]

    @model_validator(mode="after")
    def _every_category(self) -> Self:
        absent = [c.value for c in VIOLATIVE if c not in self.by_category]
        if absent:
            msg = f"by_category lacks {', '.join(absent)}, must name each of the 15 violative categories"
            raise ValueError(msg)
        return self


class InputShape(Record):
    """What the student was trained to read: frames of F x S x S x 3 uint8, hash buckets per text field."""

    n_frames: Annotated[int, Field(ge=1, le=64)]
    frame_px: Annotated[int, Field(ge=8, le=1024)]
    text_buckets: Annotated[int, Field(ge=1_024, le=1 << 24)]
    max_ngrams: Annotated[int, Field(ge=16, le=1 << 16)]

    @model_validator(mode="after")
    def _frames_fit(self) -> Self:
        if (size := 3 * self.n_frames * self.frame_px**2) > MAX_FRAME_BYTES:
            msg = (
                f"n_frames == {self.n_frames} of frame_px == {self.frame_px} are {size} bytes a video, "
                f"must be at most {MAX_FRAME_BYTES}"
            )
            raise ValueError(msg)
        return self


class Release(Record):
    """A policy release: lineage, thresholds, digests of its files, and what was measured of it."""

    version: Version
    parent: Version | None
    created_at: Time
    taxonomy_version: str = TAXONOMY_VERSION
    inputs: InputShape
    thresholds: Thresholds
    casebook_version: Version
    n_cases: Count
    digests: dict[str, Digest]
    metrics: dict[str, float]
    trained_on: Digest


class PublishedCasebook(Record):
    """A casebook published between releases: whose student embedded it, what changed, digests of its files.

    `news` are the cases that speak in it and did not teach the release, `fell` are the release's own that were
    overruled; `precedents` is the digest of all that speak, so that the same precedents are known again. Of `sampled`
    recent videos `flips` are decided otherwise than by the casebook before, and `drift` otherwise than by `reviewed`,
    the casebook that a person approved last, or the release's own. `approved_by` looked at it before it served.
    """

    version: Version
    release_version: Version
    created_at: Time
    n_precedents: Count
    digests: dict[str, Digest]
    before: Version | None = None
    news: tuple[Id, ...] = ()
    fell: tuple[Id, ...] = ()
    precedents: Digest | None = None
    sampled: Count = 0
    flips: Count = 0
    drift: Count = 0
    reviewed: Version | None = None
    published_by: Id | None = None
    approved_by: Id | None = None

    @property
    def pin(self) -> "Pin":
        """The release and this casebook: what is asked for once it serves."""
        return Pin(release_version=self.release_version, casebook_version=self.version)


class Pin(Record):
    """The pair of model versions that one request asks for."""

    release_version: Version
    casebook_version: Version


class HeldCasebook(Record):
    """A casebook that waits for a person: which one it would follow, and why it does not serve yet."""

    version: Version
    before: Pin
    held_at: Time
    reasons: Annotated[tuple[str, ...], Field(min_length=1)]
    flipped: tuple[Id, ...] = ()


class ReleasePointer(Record):
    """Which releases serve: one live, perhaps a canary and a shadow; read by all workers.

    `canary_share` is the share of videos, by a hash of their id, for which the canary's decision is in force; beside
    the others it only says what it would have decided.
    """

    live: Pin
    canary: Pin | None = None
    canary_share: Probability = 0.0
    shadow: Pin | None = None
    updated_at: Time
    previous: Pin | None = None

    @property
    def candidate(self) -> Pin | None:
        """The pin that is tried beside the live one: the canary, or else the shadow."""
        return next((pin for pin in (self.canary, self.shadow) if pin is not None and pin != self.live), None)


class PointerMove(Record):
    """One move of the pointer, a line of a releases root's history: which pin took a seat, and what was live before.

    A `publish` gives a seat's release another casebook; a `halt` takes a candidate's seat away, `reason` says why.
    """

    moved_at: Time
    move: Literal["promote", "rollback", "publish", "halt"]
    seat: Seat
    pin: Pin
    live_before: Pin | None
    moved_by: Id | None = None
    reason: Annotated[str, Field(max_length=2_000)] = ""


class PrunedCasebook(Record):
    """A casebook published between releases whose folder was deleted: nothing names it, and its version stays taken."""

    version: Version
    pruned_at: Time
    pruned_by: Id | None = None


class GateResult(Record):
    """Whether a candidate may follow its parent, with every reason why not and the figures that were compared.

    `candidate` and `parent` are the digests of their manifests; versions are None where a manifest cannot be read.
    `overturned` names the earlier rulings that the parent upholds and the candidate would not.
    """

    passed: bool
    refusals: tuple[str, ...]
    judged_at: Time
    candidate_version: Version | None
    candidate: Digest | None
    parent_version: Version
    parent: Digest
    figures: dict[str, float]
    overturned: tuple[Id, ...] = ()

    @model_validator(mode="after")
    def _refusals_refuse(self) -> Self:
        if self.passed == bool(self.refusals):
            msg = f"passed == {self.passed} with {len(self.refusals)} refusals, must be true without any"
            raise ValueError(msg)
        return self
