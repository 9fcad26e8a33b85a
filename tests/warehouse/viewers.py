"""What viewers do, authors appeal and reviewers rule, to insert: valid, small, on days counted from `DAY_0`."""

from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.cases import CaseAppealed, CaseEvidence, CaseOpened, CaseReason, Ruling
from contracts.taxonomy import CATEGORIES, Category
from contracts.verdicts import Decision
from contracts.viewers import ExperimentExposure, Impression, Surface, UserReport, UserSession

# Whenever the tests run: how long a row is kept counts from its receipt.
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
        "leaf": "t-1" if number % 2 and replaced.get("category") is not Category.POSITIVE else "",
    }
    return Ruling(**fields | replaced)


def case(number: int, **replaced: Any) -> CaseOpened:
    """A case on video `number`; every third has no evidence, every second of the others no reports."""
    fields: dict[str, Any] = {
        "event_id": f"case-opened-{number}",
        "case_id": f"case-{number}",
        "video_id": f"video-{number}",
        "opened_at": at(0.0),
        "reason": tuple(CaseReason)[number % 5],
        "selection_probability": (1.0, 0.25)[number % 2],
        "toxicity": 0.25,
        "release_version": 3,
        "casebook_version": 7,
        "evidence": evidence(number) if number % 3 else None,
    }
    return CaseOpened(**fields | replaced)


def evidence(number: int) -> CaseEvidence:
    reported: dict[str, Any] = {
        "impressions": 1_000,
        "reporters": number,
        "weighted_reports": 0.1 * number,
        "report_rate": 0.5,
        "over_line": 0.75,
        "frames_digest": f"sha256:{number:064x}",
    }
    return CaseEvidence(
        probabilities=(0.0625,) * len(CATEGORIES),
        classifier=(0.0625,) * len(CATEGORIES),
        category=Category.PLAGIARISM,
        decision=Decision.DEMOTE,
        **(reported if number % 2 else {}),
    )


def appeal(number: int, **replaced: Any) -> CaseAppealed:
    fields: dict[str, Any] = {
        "event_id": f"appeal-{number}",
        "case_id": f"case-{number}",
        "video_id": f"video-{number}",
        "author_id": f"author-{number % 2}",
        "appealed_at": at(0.5),
        "statement": ("", "it is my own film")[number % 2],
    }
    return CaseAppealed(**fields | replaced)
