"""After each materialisation: hold a sample of what is read online against offline; drift fails the run."""

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, task

from dags import steps
from dags.assets import HISTORIES, PARITY
from dags.patience import patience


@task(outlets=[PARITY])
def measure_parity(sample: str, outlet_events: Any = None) -> dict[str, Any]:
    found = steps.measure_parity(int(sample))
    outlet_events[PARITY].extra = found
    return found


@dag(
    schedule=[HISTORIES],
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=30),
    default_args=patience(minutes=10),
    params={"sample": Param(500, type="integer", minimum=1, description="How many videos are compared.")},
    tags=["precedent"],
    doc_md=__doc__,
)
def feature_parity() -> None:
    measured: Any = measure_parity("{{ params.sample }}")
    task(steps.judge_parity)(measured)


feature_parity()
