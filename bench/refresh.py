"""A parent, a snapshot of older cases and a docket in; the seconds of each step of a refresh and its peak memory out.

Every case has 9 frames of 64 x 64, painted by the simulator's scenes without a codec between (`streams/painted.py`).
The parent is trained on few of the older cases, since its own training is not measured. Aim: 20,000 cases in under 10
minutes on two cores. Predicted before the first run on 20,000: the words' convex fits take half of the time (six fits,
each of 16 labels), the pictures a third, the rest reading, writing and the gate's replay of 2,000 golden cases twice.
"""

import os
import resource
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np

from contracts.cases import CaseEvidence, CaseOpened, CaseReason, Ruling
from contracts.taxonomy import POSITIVE_INDEX, Category
from contracts.verdicts import Decision
from policy.casebook import Evidence
from policy.docket.docket import Docket, NewCase
from policy.docket.principals import Principal, Role
from policy.docket.rules import ruling_id
from policy.fusion import FusionSettings
from policy.lineage import Lineage, write_release
from policy.refresh.run import STEPS, Plan, RefreshRun
from policy.refresh.snapshots import write_snapshot
from policy.refresh.whole import run_step, told
from policy.releases import promote
from policy.train import TrainSettings, train
from serving.releases import ReleasesRoot
from streams.painted import usual_videos

CASES = int(os.environ.get("REFRESH_CASES", "20000"))
NOW = datetime(2026, 1, 2, tzinfo=UTC)
REVIEWER = Principal("reviewer", Role.REVIEWER)


def measure(*, n_cases: int = CASES, n_golden: int = 2_000, n_parent: int = 1_500) -> dict[str, Any]:
    """Refresh from `n_cases`, a tenth of them new, and time each step; the budget is 600 s."""
    settings = TrainSettings(fusion=FusionSettings(epochs=4))
    n_new, n_golden = n_cases // 10, min(n_golden, n_cases)
    painted = time.perf_counter()
    old = [one.evidence for one in usual_videos(n_cases - n_new, 1, settings.inputs)]
    new = [one.evidence for one in usual_videos(n_new, 2, settings.inputs)]
    golden = [one.evidence for one in usual_videos(n_golden, 3, settings.inputs)]
    click.echo(f"{n_cases + n_golden:,} videos painted in {time.perf_counter() - painted:.0f} s")
    with tempfile.TemporaryDirectory(prefix="precedent-refresh-") as folder:
        home = Path(folder)
        taught = old[:n_parent]
        policy = train(taught, settings=settings, seed=0)
        write_release(policy, home / "parent", Lineage.of([i.case for i in taught]), settings=settings, now=NOW)
        root = ReleasesRoot(home / "root")
        promote(root, home / "parent", now=NOW)
        plan = Plan(
            releases=str(root.path),
            parent=str(root.release_path(1)),
            docket=str(home / "docket"),
            golden=str(write_snapshot(golden, home / "golden")[0]),
            old=str(write_snapshot(old, root.path / "datasets")[0]),
            cases_at_most=n_cases,
        )
        _rule(Docket(home / "docket"), new)
        del old, new, golden, taught, policy
        run = RefreshRun.begin(home / "run", plan)
        seconds = {}
        for step in STEPS:
            began = time.perf_counter()
            outcome = run_step(run, step, lambda: Docket(home / "docket"), now=NOW, tick=lambda _: None)
            seconds[step] = time.perf_counter() - began
            click.echo(f"{seconds[step]:8.1f} s  {told(step, outcome)}")
            if step == "gate" and "refused" in told(step, outcome):
                break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    total = sum(seconds.values())
    click.echo(f"{total:8.1f} s in all for {n_cases:,} cases on {os.cpu_count()} cores, peak memory {peak:.1f} GiB")
    return {"cases": n_cases, "seconds": seconds, "total_s": total, "peak_gib": peak}


def _rule(docket: Docket, evidence: Sequence[Evidence]) -> None:
    """Enter the cases as a release that knows nothing would have opened them, and rule them as they are ruled."""
    even = np.full(16, 1 / 16)
    assert even[POSITIVE_INDEX] == 1 / 16
    said = CaseEvidence(
        probabilities=tuple(even.tolist()),
        classifier=tuple(even.tolist()),
        category=Category.POSITIVE,
        decision=Decision.ALLOW,
    )
    cases = [
        NewCase(
            CaseOpened(
                event_id=f"opened-{item.case.case_id}",
                case_id=item.case.case_id,
                video_id=item.case.upload.video_id,
                opened_at=item.case.upload.occurred_at,
                reason=CaseReason.UNCERTAIN,
                selection_probability=1.0,
                toxicity=0.45,
                release_version=1,
                casebook_version=1,
                evidence=said,
            ),
            item.case.upload,
            item.frames,
        )
        for item in evidence
    ]
    docket.enter(cases, now=NOW)
    for item in evidence:
        case = item.case
        ruling = Ruling(
            event_id=ruling_id(case.case_id, REVIEWER.name, case.decided_at),
            case_id=case.case_id,
            video_id=case.upload.video_id,
            ruled_at=case.decided_at,
            ruled_by=REVIEWER.name,
            by="person",
            category=case.category,
        )
        docket.rule(ruling, REVIEWER)
