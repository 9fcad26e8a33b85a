"""Uploads and verdicts to insert: valid, small, different from each other."""

from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.taxonomy import CATEGORIES, N_CATEGORIES, POSITIVE_INDEX, TAXONOMY_VERSION, Category
from contracts.verdicts import CandidateDecision, Citation, Decision, Verdict
from contracts.videos import FeedbackCounts, VideoUploaded

# Verdicts are kept for three years from scoring, so the samples are from the day of the test.
START = datetime.now(UTC) - timedelta(hours=1)


def verdict(number: int, **replaced: Any) -> Verdict:
    """The verdict on upload `number`: toxicity 0.25 on the first category, scored 80 ms after the upload."""
    occurred_at = START + timedelta(milliseconds=number)
    probabilities = tuple(
        0.75 if i == POSITIVE_INDEX else 0.25 if i == number % POSITIVE_INDEX else 0.0 for i in range(N_CATEGORIES)
    )
    fields: dict[str, Any] = {
        "event_id": f"upload-{number}",
        "video_id": f"video-{number}",
        "author_id": f"author-{number % 7}",
        "occurred_at": occurred_at,
        "scored_at": occurred_at + timedelta(milliseconds=80),
        "probabilities": probabilities,
        "classifier": (1 / 16,) * N_CATEGORIES,
        "toxicity": 0.25,
        "category": CATEGORIES[number % POSITIVE_INDEX],
        "decision": tuple(Decision)[number % 4],
        "citations": tuple(
            Citation(case_id=f"case-{k}", category=Category.PLAGIARISM, similarity=0.5) for k in range(number % 3)
        ),
        "missing": ("frames", "asr")[: number % 3],
        "release_version": 3,
        "casebook_version": 7,
        "taxonomy_version": TAXONOMY_VERSION,
        "since_upload_ms": 80.0 + number,
        "candidate": candidate(number) if number % 2 else None,
        "leaf": f"t-{number % 5}" if number % 4 else "",
    }
    return Verdict(**fields | replaced)


def candidate(number: int) -> CandidateDecision:
    """What release 4 would have decided of upload `number`: one step stricter, in turn."""
    return CandidateDecision(
        release_version=4,
        casebook_version=7,
        toxicity=0.5,
        category=CATEGORIES[number % POSITIVE_INDEX],
        decision=tuple(Decision)[(number + 1) % 4],
    )


def verdicts(first: int, last: int) -> list[Verdict]:
    return [verdict(number) for number in range(first, last)]


def upload(number: int, occurred_at: datetime, **replaced: Any) -> VideoUploaded:
    """The first version of video `number`, most of which is missing in turn."""
    fields: dict[str, Any] = {
        "event_id": f"upload-{number}",
        "video_id": f"video-{number}",
        "author_id": f"author-{number % 7}",
        "occurred_at": occurred_at,
        "title": ("标题\t\n 1", None)[number % 2],
        "asr": "spoken" if number % 2 else None,
        "media_url": "file:///v.mp4" if number % 3 else None,
        "picture_count": number if number % 2 else None,
        "feedback": FeedbackCounts(impressions=2**40 + number, reports=number) if number % 3 else None,
    }
    return VideoUploaded(**fields | replaced)
