"""A function a task: open what the settings name, call the function that the command calls, return what is small."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

from contracts.errors import CheckFailedError
from dags.settings import DagSettings

_LONG_S = 3_600.0
# A day of a large platform is summed up well within it.
RECENT_UPLOADS = 500
"""On so many uploads of the last day a publication is tried before it is made."""


def rebuild_days() -> list[str]:
    """`precedent warehouse rebuild`: the days that got rows since they were last summed up."""
    from warehouse.address import connect
    from warehouse.daily import days_to_rebuild, rebuild

    client = connect(DagSettings.from_environment().warehouse, timeout_s=_LONG_S)
    return [str(rebuilt.day) for rebuilt in rebuild(client, [due.day for due in days_to_rebuild(client)])]


def running_experiments(through: str) -> list[str]:
    """The experiments of `precedent ab report`, when it names none."""
    from ab_tests.experiments import read_experiments

    declared = read_experiments(DagSettings.from_environment().experiments)
    return [experiment.experiment_id for experiment in declared.running_on(date.fromisoformat(through))]


def report_experiment(experiment: str, through: str) -> str:
    """`precedent ab report EXPERIMENT --through DAY`: the page; raises `CheckFailedError` after one of blocked data."""
    from ab_tests.experiments import find, read_experiments
    from ab_tests.running import report

    settings = DagSettings.from_environment()
    chosen = find(read_experiments(settings.experiments), experiment, place=str(settings.experiments))
    reported = report(settings.warehouse, chosen, settings.reports, through=date.fromisoformat(through))
    if reported.blocked:
        raise CheckFailedError(f"{reported.blocked} ({reported.html})")
    return str(reported.html)


def publish_casebook() -> list[dict[str, Any]]:
    """What the command that publishes does: every seated release's casebook up to the docket; what changed, if any."""
    from policy.docket.docket import Docket
    from policy.docket.principals import CLERK
    from policy.publication.publish import publish_pending
    from policy.publication.traffic import RecentTraffic
    from serving.releases import ReleasesRoot
    from warehouse.address import connect
    from warehouse.uploads import recent_uploads

    settings, now = DagSettings.from_environment(), datetime.now(UTC)
    client = connect(settings.warehouse)
    uploads = recent_uploads(client, since=now - timedelta(days=1), until=now, at_most=RECENT_UPLOADS)
    done = publish_pending(
        ReleasesRoot(settings.releases),
        Docket(settings.docket),
        RecentTraffic(uploads, settings.media_roots),
        now=now,
        principal=CLERK,
    )
    return [
        {
            "outcome": one.outcome,
            "seats": list(one.seats),
            "casebook": one.casebook.version,
            "reasons": list(one.reasons),
        }
        for one in done
        if one.outcome != "unchanged" and one.casebook is not None
    ]


def tell_published(publication: dict[str, Any]) -> None:
    """Raises `CheckFailedError` for a casebook that waits for a person, as the command does."""
    if publication["outcome"] == "held":
        raise CheckFailedError(
            f"casebook {publication['casebook']} waits for a person: {'; '.join(publication['reasons'])}"
        )


def materialise_histories(as_of: str) -> dict[str, Any]:
    """`precedent histories --as-of`: features of all authors and viewers."""
    from features.histories import materialise
    from warehouse.address import connect
    from warehouse.histories import CountedPast

    settings = DagSettings.from_environment()
    past, moment = CountedPast(connect(settings.warehouse)), datetime.fromisoformat(as_of)
    done = asyncio.run(materialise(past, settings.features, as_of=moment, now=datetime.now(UTC)))
    return {"as_of": as_of, **{name: written._asdict() for name, written in done._asdict().items()}}


def measure_parity(sample: int) -> dict[str, Any]:
    """`precedent features parity --sample N --json`, and why it is drift where it is."""
    from features.parity import ParityLimits, drift, measure, to_document
    from features.store import open_store

    now = datetime.now(UTC)
    found = measure(open_store(DagSettings.from_environment().features), sample=sample, seed=now.toordinal(), now=now)
    return {**to_document(found), "drift": list(drift(found, ParityLimits()))}


def judge_parity(measured: dict[str, Any]) -> None:
    """Raises `CheckFailedError` where parity is drift, as the command does: the failed task is the alert."""
    if measured["drift"]:
        raise CheckFailedError("; ".join(measured["drift"]))
