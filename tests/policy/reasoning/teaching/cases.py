"""Ruled cases by their titles, and a room in which they are taught."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from contracts.cases import DecidedCase
from contracts.lines import read_lines
from contracts.records import Record
from contracts.taxonomy import Category
from contracts.videos import VideoUploaded
from policy.casebook import Frames
from policy.reasoning.endpoint import Endpoint
from policy.reasoning.teaching.pictures import Look
from policy.reasoning.teaching.plan import TeachingSettings
from policy.reasoning.teaching.rows import DROPPED, REASONINGS, REVIEW, Dropped, Taught, TeachingReport
from policy.reasoning.teaching.teach import teach
from serving.preprocess.media import MediaError
from tests.policy.reasoning.teaching.teacher import Teacher

NOW = datetime(2026, 1, 2, tzinfo=UTC)
R = TypeVar("R", bound=Record)


def case_of(name: str, title: str, category: Category = Category.FALSE_BENEFITS, **fields: Any) -> DecidedCase:
    upload = VideoUploaded(
        event_id=f"u-{name}", video_id=name, author_id="author", occurred_at=NOW, title=title, **fields
    )
    return DecidedCase(case_id=f"case-{name}", upload=upload, category=category, decided_at=NOW)


def cases_of(titles: Iterable[str]) -> list[DecidedCase]:
    """One case each, of the violative categories in turn."""
    turns = list(Category)
    return [case_of(f"{row:03}", title, turns[row % 15]) for row, title in enumerate(titles)]


def blind(cases: Sequence[DecidedCase]) -> Sequence[Frames | MediaError]:
    return [None] * len(cases)


@dataclass(slots=True)
class Room:
    """Where cases are taught by one teacher that reads too."""

    teacher: Teacher
    home: Path
    settings: TeachingSettings = field(default_factory=TeachingSettings)
    timeout_s: float = 0.5

    @property
    def folder(self) -> Path:
        return self.home / "taught"

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.teacher.url, "wise", timeout_s=self.timeout_s, patience_s=0.4)

    def teach(self, cases: Sequence[DecidedCase], look: Look = blind, **changes: Any) -> TeachingReport:
        out, settings = self.home / "reasoned.jsonl", replace(self.settings, **changes)
        return teach(cases, self.endpoint, self.endpoint, self.folder, settings, look, out_cases=out)

    @property
    def kept(self) -> list[Taught]:
        return self._rows(REASONINGS, Taught)

    @property
    def review(self) -> list[Taught]:
        return self._rows(REVIEW, Taught)

    @property
    def dropped(self) -> list[Dropped]:
        return self._rows(DROPPED, Dropped)

    @property
    def cases(self) -> list[DecidedCase]:
        return list(read_lines(self.home / "reasoned.jsonl", DecidedCase))

    def _rows(self, name: str, kind: type[R]) -> list[R]:
        return list(read_lines(self.folder / name, kind))
