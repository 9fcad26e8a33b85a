"""The KuaiMod public benchmark: read its JSONL, see each record as an upload and a decided case.

Fields: `tag` (Chinese label), `title`, `OCR`, `ASR` (`"null"` means none), `images` (cover and frames),
`pid`. Its frames are not distributed with every copy: the record then has text and a picture count only.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.cases import DecidedCase
from contracts.errors import BadInputError, first_reason
from contracts.taxonomy import Category
from contracts.videos import MAX_PICTURES, MAX_TITLE_CHARS, MAX_TRANSCRIPT_CHARS, VideoUploaded

BENCHMARK_DAY = datetime(2025, 4, 21, tzinfo=UTC)


class KuaiModRecord(BaseModel):
    """One line of the benchmark, as published."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    tag: str
    title: str
    ocr: Annotated[str, Field(alias="OCR")]
    asr: Annotated[str, Field(alias="ASR")]
    images: Annotated[list[str], Field(max_length=MAX_PICTURES)]
    pid: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:\-]{1,100}$")]

    @property
    def category(self) -> Category:
        return Category.from_chinese(self.tag)

    def to_upload(self, *, occurred_at: datetime = BENCHMARK_DAY) -> VideoUploaded:
        return VideoUploaded(
            event_id=f"kuaimod-{self.pid}",
            video_id=f"kuaimod-{self.pid}",
            author_id=f"kuaimod-author-{self.pid}",
            occurred_at=occurred_at,
            title=_text(self.title, MAX_TITLE_CHARS) or "",
            ocr=_text(self.ocr, MAX_TRANSCRIPT_CHARS),
            asr=_text(self.asr, MAX_TRANSCRIPT_CHARS),
            picture_count=len(self.images),
        )

    def to_case(self) -> DecidedCase:
        upload = self.to_upload()
        return DecidedCase(
            case_id=upload.video_id, upload=upload, category=self.category, decided_at=upload.occurred_at
        )


def _text(raw: str, limit: int) -> str | None:
    return None if raw in {"null", ""} else raw[:limit]


def read_kuaimod(path: Path) -> Iterator[KuaiModRecord]:
    """Yield the benchmark's records; raises `BadInputError` naming file, line and rule."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = KuaiModRecord.model_validate_json(line)
                _ = record.category
            except (ValidationError, ValueError) as error:
                raise BadInputError(f"{path}:{number}: {first_reason(error)}") from error
            yield record
