"""A few hundred users' events, as topics bring them, for an experiment of four days after four days before it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

import numpy as np

from contracts.experiments import Experiment
from contracts.records import Event
from contracts.viewers import ExperimentExposure, Impression, Surface, UserReport, UserSession
from tests.ab_tests.samples import experiment

DAYS = 4
STARTS_ON = datetime.now(UTC).date() - timedelta(days=DAYS)
"""Base tables forget after half a year, so the events are of this week."""


def short_experiment(**replaced: object) -> Experiment:
    """Four days up to yesterday, with as many before, on every metric."""
    return experiment(
        "one",
        **{
            "starts_on": STARTS_ON,
            "ends_on": STARTS_ON + timedelta(days=DAYS - 1),
            "pre_period_days": DAYS,
            "metrics": ["report_rate", "active_days", "usage_time_per_user", "usage_time_total", "toxic_share"],
            "surfaces": ["recommend", "search"],
            **replaced,
        },
    )


def events(*, users: int, seed: int, lift: float = 1.0) -> Iterator[Event]:
    """Sessions, impressions, reports and exposures; the treatment's users report `lift` times as often."""
    rng = np.random.default_rng(seed)
    for user in range(users):
        arm = "treatment" if user % 2 else "control"
        often = rng.uniform(0.2, 1.0)
        for day in range(-DAYS, DAYS):
            if rng.random() < often:
                treated = arm == "treatment" and day >= 0
                yield from visit(f"u{user}", arm, STARTS_ON + timedelta(days=day), rng, lift if treated else 1.0)


def visit(user: str, arm: str, day: date, rng: np.random.Generator, lift: float) -> Iterator[Event]:
    """One session of three impressions; the exposure is logged on days of the experiment."""
    start = datetime.combine(day, time(12), UTC) + timedelta(seconds=int(rng.integers(3_600)))
    name = f"{user}-{day}"
    end = start + timedelta(seconds=int(rng.integers(60, 900)))
    yield UserSession(
        event_id=f"s-{name}", user_id=user, session_id=name, started_at=start, ended_at=end, impressions=3
    )
    if day >= STARTS_ON:
        yield ExperimentExposure(
            event_id=f"e-{name}", user_id=user, experiment_id="one", variant=arm, exposed_at=start, surface="recommend"
        )
    for shown in range(3):
        at = start + timedelta(seconds=10 * shown)
        surface = Surface.SEARCH if shown == 2 else Surface.RECOMMEND
        yield Impression(
            event_id=f"i-{name}-{shown}",
            user_id=user,
            video_id=f"v{rng.integers(50)}",
            session_id=name,
            shown_at=at,
            surface=surface,
            watch_ms=int(rng.integers(1_000, 30_000)),
            toxicity=round(float(rng.random()), 3),
        )
        if rng.random() < 0.15 * lift:
            yield UserReport(
                event_id=f"r-{name}-{shown}", video_id="v1", reporter_id=user, reported_at=at, surface=surface
            )
