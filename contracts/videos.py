"""A video as its uploader and its viewers present it: the upload and the counters of feedback."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from contracts.records import Count, Event, Id, Record, Time

MAX_TITLE_CHARS = 2_000
MAX_TRANSCRIPT_CHARS = 20_000
MAX_PICTURES = 1_000


class FeedbackCounts(Record):
    """Counters of what viewers did with a video so far; reports cannot exceed impressions."""

    impressions: Count
    reports: Count
    likes: Count = 0
    skips: Count = 0

    @model_validator(mode="after")
    def _reports_need_impressions(self) -> Self:
        if self.reports > self.impressions:
            msg = f"reports == {self.reports}, must be at most impressions == {self.impressions}"
            raise ValueError(msg)
        return self


class VideoUploaded(Event):
    """One upload, or a later version of it: its text, where its media lies, what viewers did with it.

    Any of `title`, `ocr`, `asr`, `media_url`, `picture_count` and `feedback` may be missing; at least one
    of the texts and `media_url` must be there. `occurred_at` is when this version came to be: an event
    with an older one never replaces the features of a newer one.
    """

    video_id: Id
    author_id: Id
    occurred_at: Time
    title: Annotated[str, Field(max_length=MAX_TITLE_CHARS)] | None = None
    ocr: Annotated[str, Field(max_length=MAX_TRANSCRIPT_CHARS)] | None = None
    asr: Annotated[str, Field(max_length=MAX_TRANSCRIPT_CHARS)] | None = None
    media_url: Annotated[str, Field(min_length=1, max_length=2_000)] | None = None
    picture_count: Annotated[int, Field(strict=True, ge=0, le=MAX_PICTURES)] | None = None
    feedback: FeedbackCounts | None = None

    @model_validator(mode="after")
    def _something_to_judge(self) -> Self:
        if self.title is None and self.ocr is None and self.asr is None and self.media_url is None:
            msg = "title, ocr, asr and media_url are all missing, at least one must be given"
            raise ValueError(msg)
        return self
