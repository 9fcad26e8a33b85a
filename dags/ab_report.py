"""Every morning: sum up the days that got rows, then write a report of each experiment that ran yesterday."""

from datetime import timedelta

from airflow.sdk import Param, dag, task

from dags import steps
from dags.assets import REPORTS
from dags.patience import patience

THROUGH = "{{ params.through or macros.ds_add(dag_run.run_after.strftime('%Y-%m-%d'), -1) }}"


@dag(
    schedule="30 3 * * *",
    catchup=False,
    max_active_runs=1,
    max_active_tasks=2,
    dagrun_timeout=timedelta(hours=3),
    default_args=patience(minutes=60),
    params={"through": Param(None, type=["null", "string"], format="date", description="Last day; yesterday if null.")},
    tags=["precedent"],
    doc_md=__doc__,
)
def ab_report() -> None:
    days = task(steps.rebuild_days)()
    experiments = task(steps.running_experiments)(through=THROUGH)
    reports = task(outlets=[REPORTS])(steps.report_experiment).partial(through=THROUGH).expand(experiment=experiments)
    days >> experiments >> reports


ab_report()
