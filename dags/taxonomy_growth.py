"""Every week: what no accepted leaf explains is clustered and proposed, and an event says what waits for a person.

Nothing is wrong while proposals wait, and no verdict waits for them, so that the week stays green. Nothing new: the
rest is skipped, and no event comes.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, task

from dags import growth_steps
from dags.assets import PROPOSALS
from dags.patience import patience


@task(outlets=[PROPOSALS])
def tell_proposals(outlet_events: Any = None) -> list[dict[str, Any]]:
    waiting = growth_steps.waiting_proposals()
    outlet_events[PROPOSALS].extra = {"waiting": waiting}
    return waiting


@dag(
    schedule="0 6 * * 1",
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=3),
    default_args=patience(minutes=60),
    tags=["precedent"],
    doc_md=__doc__,
)
def taxonomy_growth() -> None:
    collected = task.short_circuit(growth_steps.collect_unexplained)()
    proposed = task.short_circuit(growth_steps.propose_leaves)()
    collected >> proposed >> tell_proposals()


taxonomy_growth()
