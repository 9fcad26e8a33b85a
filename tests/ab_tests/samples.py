"""Experiments to test with: valid, and changed a field at a time."""

from datetime import date
from typing import Any

from contracts.experiments import Experiment

RANKING = (
    {"name": "control", "share": 0.5, "ranking": {"strength": 0.0}},
    {"name": "treatment", "share": 0.5, "ranking": {"strength": 4.0}},
)
MODERATION: tuple[dict[str, Any], ...] = (
    {"name": "live", "share": 0.5},
    {"name": "candidate", "share": 0.5, "decisions": "candidate"},
)


def fields(name: str = "one", **replaced: Any) -> dict[str, Any]:
    """The fields of a sound experiment on ranking, over all users, in the first two weeks of November 2026."""
    sound: dict[str, Any] = {
        "experiment_id": name,
        "hypothesis": "It helps.",
        "subject": "ranking",
        "layer": "feed",
        "buckets": [0, 10_000],
        "salt": f"{name}-salt",
        "variants": RANKING,
        "primary": "report_rate",
        "metrics": ["report_rate", "active_days"],
        "starts_on": date(2026, 11, 1),
        "ends_on": date(2026, 11, 14),
        "smallest_effect": 0.05,
    }
    return sound | replaced


def experiment(name: str = "one", **replaced: Any) -> Experiment:
    return Experiment.model_validate(fields(name, **replaced))


def moderation(*variants: dict[str, Any], **replaced: Any) -> dict[str, Any]:
    """What makes the sound experiment one on moderation, by candidate release 2."""
    return {"subject": "moderation", "candidate_release": 2, "variants": variants or MODERATION} | replaced


def split(*shares: float) -> list[dict[str, Any]]:
    """Variants of these shares that differ in strength."""
    return [{"name": f"v{i}", "share": share, "ranking": {"strength": float(i)}} for i, share in enumerate(shares)]
