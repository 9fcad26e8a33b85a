"""A function a task: open what the settings name, call the function that the command calls, return what is small."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.errors import BadInputError, CheckFailedError
from dags.settings import DagSettings

if TYPE_CHECKING:
    from policy.reasoning.refinement.nightly import VlmNight
    from policy.refresh.run import RefreshRun

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
    """`precedent policy publish --sample 500`: every seated release's casebook up to the docket; what changed."""
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
    """Raises `CheckFailedError` for a casebook that waits for a person, as `precedent policy publish` does."""
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
    """Raises `CheckFailedError` for drift, as `precedent features parity` does: the failed task is the alert."""
    if measured["drift"]:
        raise CheckFailedError("; ".join(measured["drift"]))


def collect_rulings(run: str) -> int:
    """`precedent policy refresh --run RUN --step collect --golden FILE`: how many rulings are new, 0 skips the night.

    A run that was begun goes on with the plan that it began with.
    """
    from policy.docket.docket import Docket
    from policy.refresh.run import Plan, RefreshRun
    from policy.refresh.steps import NothingRuledError, collect
    from serving.releases import ReleasesRoot

    settings = DagSettings.from_environment()
    home, root = settings.runs / run, ReleasesRoot(settings.releases)
    if (home / "run.json").exists():
        begun = RefreshRun.resume(home)
    else:
        plan = Plan(
            releases=str(root.path),
            parent=str(root.release_path(root.read_pointer().live.release_version)),
            docket=str(settings.docket),
            golden=str(settings.golden),
            traffic=None if settings.traffic is None else str(settings.traffic),
            old=None if settings.old is None else str(settings.old),
            media_roots=tuple(map(str, settings.media_roots)),
        )
        begun = RefreshRun.begin(home, plan)
    if not (folder := Path(begun.plan.docket)).is_dir():
        raise BadInputError(f"{folder}: is not a docket, there is no such folder")
    try:
        return len(collect(begun, Docket(folder)).asked)
    except NothingRuledError:
        return 0


def mine_cases(run: str) -> int:
    """`precedent policy refresh --run RUN --step mine`: how many cases to learn from."""
    from policy.refresh.steps import mine

    return len(mine(_begun(run)).chosen)


def build_dataset(run: str) -> str:
    """`precedent policy refresh --run RUN --step build`: the data snapshot."""
    from policy.refresh.steps import build

    return build(_begun(run)).dataset


def train_candidate(run: str) -> str:
    """`precedent policy refresh --run RUN --step train`: the candidate."""
    from policy.refresh.steps import train

    return train(_begun(run), now=datetime.now(UTC)).candidate


def gate_candidate(run: str) -> dict[str, Any]:
    """`precedent policy refresh --run RUN --step gate`: why it is refused, if it is."""
    from policy.refresh.steps import gate

    result = gate(_begun(run), now=datetime.now(UTC))
    return {"version": result.candidate_version, "refusals": list(result.refusals)}


def follow_gate(gated: dict[str, Any]) -> str:
    """The task that comes next: by what `precedent policy refresh --run RUN --step gate` ends with, 0 or 1."""
    return tell_refusal.__name__ if gated["refusals"] else promote_candidate.__name__


def promote_candidate(run: str) -> dict[str, Any]:
    """`precedent policy refresh --run RUN --step promote`: the candidate's seat and pin."""
    from policy.refresh.steps import promote

    done = promote(_begun(run), now=datetime.now(UTC))
    pin = getattr(done.pointer, done.seat)
    return {"seat": done.seat, **pin.model_dump()}


def tell_refusal(gated: dict[str, Any]) -> None:
    """Raises `CheckFailedError` with the reasons, as `precedent policy refresh --run RUN --step gate` does."""
    raise CheckFailedError(f"release {gated['version']} is refused: {'; '.join(gated['refusals'])}")


def fallen_groups(run: str) -> list[str]:
    """The lines that `precedent policy refresh --run RUN --step gate` prints of groups whose recall surely fell."""
    from contracts.releases import GateResult
    from policy.gate.results import fallen_groups as fallen

    return fallen(_begun(run).found("gate", GateResult))


def tell_group(line: str) -> None:
    """Raises `CheckFailedError`: what was promoted surely lost in a group, by less than the gate refuses for.

    The group and the figures are a line of `precedent policy refresh --run RUN --step gate`.
    """
    raise CheckFailedError(line)


def refine_vlm(run: str) -> int:
    """`precedent vlm refine --run RUN --step refine`: how many rulings it got wrong, 0 skips the rest of its night.

    So does PRECEDENT_VLM that is not set; one without a deployed VLM is an error.
    """
    from policy.reasoning.refinement.nightly import refine_tonight
    from policy.reasoning.training.consistency import judge_for

    if DagSettings.from_environment().vlm is None:
        return 0
    night = _vlm_night(run)
    refined = refine_tonight(night, judge=judge_for(night.recipe.rl))
    if refined is None:
        raise BadInputError(f"{night.root}: no VLM is deployed there, `precedent vlm deploy` gives one the seat")
    return 0 if refined.candidate is None else len(refined.wrong)


def gate_vlm(run: str) -> dict[str, Any]:
    """`precedent vlm refine --run RUN --step gate`: raises `CheckFailedError` with the reasons where it refuses."""
    from policy.reasoning.refinement.nightly import gate_tonight

    result = gate_tonight(_vlm_night(run), now=datetime.now(UTC))
    if not result.passed:
        raise CheckFailedError(f"the VLM of run {run} is refused: {'; '.join(result.refusals)}")
    return dict(result.figures)


def promote_vlm(run: str) -> str:
    """`precedent vlm refine --run RUN --step promote`: the digest of the weights that rule from now on."""
    from policy.reasoning.refinement.nightly import promote_tonight

    return promote_tonight(_vlm_night(run), now=datetime.now(UTC)).weights


def _vlm_night(run: str) -> "VlmNight":
    from policy.reasoning.recipe_settings import REFINE_TINY, read_recipe
    from policy.reasoning.refinement.nightly import VlmNight

    settings = DagSettings.from_environment()
    if settings.vlm is None:
        raise BadInputError("PRECEDENT_VLM is not set, must be the root of the deployed VLM")
    recipe = REFINE_TINY if settings.vlm_recipe is None else read_recipe(settings.vlm_recipe)
    return VlmNight(_begun(run), settings.vlm, recipe)


def _begun(run: str) -> "RefreshRun":
    from policy.refresh.run import RefreshRun

    return RefreshRun.resume(DagSettings.from_environment().runs / run)
