"""Events to insert: valid, small, different from each other."""

from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.cases import Ruling
from contracts.taxonomy import CATEGORIES, N_CATEGORIES, POSITIVE_INDEX, TAXONOMY_VERSION, Category
from contracts.verdicts import CandidateDecision, Citation, Decision, Verdict

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


# Day 0 of what viewers do: 1 November 2026, whenever the tests run; a row's retention counts from its receipt.
DAY_0 = datetime(2026, 11, 1, tzinfo=UTC)


def at(day: float) -> datetime:
    return DAY_0 + timedelta(days=day)


def impression(number: int, user_id: str = "user-1", day: float = 0.0, **replaced: Any) -> Impression:
    """User `user_id` watches video `number` for 1 s; toxicity 0.25 of release 3."""
    fields: dict[str, Any] = {
        "event_id": f"impression-{number}",
        "user_id": user_id,
        "video_id": f"video-{number}",
        "session_id": f"session-of-{user_id}",
        "shown_at": at(day),
        "surface": Surface.RECOMMEND,
        "watch_ms": 1_000,
        "release_version": 3,
        "toxicity": 0.25,
    }
    return Impression(**fields | replaced)


def report(number: int, reporter_id: str = "user-1", day: float = 0.0, **replaced: Any) -> UserReport:
    fields: dict[str, Any] = {
        "event_id": f"report-{number}",
        "video_id": f"video-{number}",
        "reporter_id": reporter_id,
        "reported_at": at(day),
        "surface": Surface.RECOMMEND,
        "category": (None, Category.PLAGIARISM)[number % 2],
    }
    return UserReport(**fields | replaced)


def session(
    number: int, user_id: str = "user-1", day: float = 0.0, seconds: float = 60.0, **replaced: Any
) -> UserSession:
    fields: dict[str, Any] = {
        "event_id": f"session-{number}",
        "user_id": user_id,
        "session_id": f"session-of-{user_id}",
        "started_at": at(day),
        "ended_at": at(day) + timedelta(seconds=seconds),
        "impressions": 5,
    }
    return UserSession(**fields | replaced)


def exposure(
    user_id: str = "user-1", day: float = 0.0, variant: str = "control", **replaced: Any
) -> ExperimentExposure:
    fields: dict[str, Any] = {
        "event_id": f"exposure-{user_id}-{day}-{variant}",
        "user_id": user_id,
        "experiment_id": "demotion",
        "variant": variant,
        "exposed_at": at(day),
        "surface": Surface.RECOMMEND,
    }
    return ExperimentExposure(**fields | replaced)


def ruling(number: int, **replaced: Any) -> Ruling:
    fields: dict[str, Any] = {
        "event_id": f"ruling-{number}",
        "case_id": f"case-{number}",
        "video_id": f"video-{number}",
        "ruled_at": at(0.0),
        "ruled_by": f"reviewer-{number % 2}",
        "by": "person",
        "category": Category.PLAGIARISM,
        "reasoning": "标题 copies \n another's film",
        "confidence": 0.75,
        "overrules": (None, "ruling-0")[number % 2],
    }
    return Ruling(**fields | replaced)
