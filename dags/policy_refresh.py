"""Every night: the next release from what was ruled since, through the gate and into its seat, or refused for reasons.

Beside it the VLM that rules, where one is deployed, learns what it got wrong of the same rulings, by a gate of its own.

Nobody ruled: the night is skipped. A refusal ends red, as its command ends with 1: what was ruled did not become
policy, and somebody must look; the old release goes on, and so does the next night.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, task

from dags import steps
from dags.assets import RELEASES
from dags.patience import patience

RUN = "{{ params.run or dag_run.run_after.strftime('%Y-%m-%dT%H%M%S') }}"


@dag(
    schedule="0 2 * * *",
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=4),
    default_args=patience(minutes=60),
    params={
        "run": Param(
            None,
            type=["null", "string"],
            pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
            description="The refresh's folder, one that was begun goes on; named by the time if null.",
        )
    },
    tags=["precedent"],
    doc_md=__doc__,
)
def policy_refresh() -> None:
    collected = task.short_circuit(steps.collect_rulings)(run=RUN)
    mined = task(steps.mine_cases)(run=RUN)
    built = task(steps.build_dataset)(run=RUN)
    trained = task(steps.train_candidate)(run=RUN)
    gated: Any = task(steps.gate_candidate)(run=RUN)
    way = task.branch(steps.follow_gate)(gated)
    promoted = task(outlets=[RELEASES])(steps.promote_candidate)(run=RUN)
    refused = task(steps.tell_refusal)(gated)
    fallen: Any = task(steps.fallen_groups)(run=RUN)
    task(steps.tell_group).expand(line=fallen)
    collected >> mined >> built >> trained >> gated >> way >> [promoted, refused]
    promoted >> fallen
    refined = task.short_circuit(steps.refine_vlm)(run=RUN)
    gated_vlm = task(steps.gate_vlm)(run=RUN)
    promoted_vlm = task(steps.promote_vlm)(run=RUN)
    collected >> refined >> gated_vlm >> promoted_vlm


policy_refresh()
