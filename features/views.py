"""Which fields of which contract are features: three views, each a projection of one record.

Feast's objects, the online rows and the offline columns are all made from these, so that they cannot differ. A leaf of
the grown taxonomy is a value of `leaf`, empty for none: one that is accepted later changes no schema.
"""

from dataclasses import dataclass
from enum import StrEnum

from contracts.histories import AuthorHistory, ViewerSensitivity
from contracts.records import Record
from contracts.verdicts import Verdict

PROJECT = "precedent"


class Kind(StrEnum):
    """How a field is stored: as which Feast value, and as which Arrow column offline."""

    FLOATS = "floats"
    FLOAT = "float"
    INT = "int"
    TEXT = "text"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class FeatureField:
    """One field of a record as a feature; a TIME keeps whole seconds, as Feast's timestamps do."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class View:
    """A projection of `record`, keyed by `key`.

    `occurred` names the event timestamp (an older one never replaces a newer one), `known` the moment from
    which the values could have been seen (the later one wins between equal event timestamps).
    """

    name: str
    record: type[Record]
    entity: str
    key: str
    occurred: str
    known: str
    fields: tuple[FeatureField, ...]

    @property
    def field_names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)


def _fields(**kinds: Kind) -> tuple[FeatureField, ...]:
    return tuple(FeatureField(name, kind) for name, kind in kinds.items())


VIDEO_TOXICITY = View(
    name="video_toxicity",
    record=Verdict,
    entity="video",
    key="video_id",
    occurred="occurred_at",
    known="scored_at",
    fields=_fields(
        probabilities=Kind.FLOATS,
        toxicity=Kind.FLOAT,
        decision=Kind.TEXT,
        category=Kind.TEXT,
        release_version=Kind.INT,
        casebook_version=Kind.INT,
        taxonomy_version=Kind.TEXT,
        scored_at=Kind.TIME,
        expires_at=Kind.TIME,
        candidate_toxicity=Kind.FLOAT,
        candidate_decision=Kind.TEXT,
        candidate_release_version=Kind.INT,
        leaf=Kind.TEXT,
    ),
)

AUTHOR_HISTORY = View(
    name="author_history",
    record=AuthorHistory,
    entity="author",
    key="author_id",
    occurred="as_of",
    known="computed_at",
    fields=_fields(
        verdicts=Kind.INT,
        violative=Kind.INT,
        removed=Kind.INT,
        violative_share=Kind.FLOAT,
        last_removed_at=Kind.TIME,
    ),
)

VIEWER_SENSITIVITY = View(
    name="viewer_sensitivity",
    record=ViewerSensitivity,
    entity="viewer",
    key="user_id",
    occurred="as_of",
    known="computed_at",
    fields=_fields(
        impressions=Kind.INT,
        reports=Kind.INT,
        toxic_impressions=Kind.INT,
        toxic_skips=Kind.INT,
        report_rate=Kind.FLOAT,
        toxic_skip_rate=Kind.FLOAT,
        tolerance=Kind.FLOAT,
    ),
)

VIEWS: tuple[View, ...] = (VIDEO_TOXICITY, AUTHOR_HISTORY, VIEWER_SENSITIVITY)
BY_NAME: dict[str, View] = {view.name: view for view in VIEWS}
