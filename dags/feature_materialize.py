"""Every hour: count what authors and viewers did up to now, and write it where the ranker reads it."""

from datetime import timedelta

from airflow.sdk import Param, dag, task

from dags import steps
from dags.assets import HISTORIES
from dags.patience import patience

AS_OF = "{{ params.as_of or dag_run.run_after.isoformat() }}"


@dag(
    schedule="5 * * * *",
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=50),
    default_args=patience(minutes=40),
    params={"as_of": Param(None, type=["null", "string"], format="date-time", description="Now if null.")},
    tags=["precedent"],
    doc_md=__doc__,
)
def feature_materialize() -> None:
    task(outlets=[HISTORIES])(steps.materialise_histories)(as_of=AS_OF)


feature_materialize()
