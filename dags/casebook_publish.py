"""Every minute, and when a release was seated: publish what was ruled since, or let it wait for a person."""

from datetime import timedelta

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, task

from dags import steps
from dags.assets import CASEBOOK, RELEASES
from dags.patience import patience


@dag(
    schedule=AssetOrTimeSchedule(timetable=CronTriggerTimetable("* * * * *", timezone="UTC"), assets=[RELEASES]),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=10),
    default_args=patience(minutes=5, retries=2, first_wait_s=5.0),
    tags=["precedent"],
    doc_md=__doc__,
)
def casebook_publish() -> None:
    changed = task(steps.publish_casebook)()
    task(outlets=[CASEBOOK])(steps.tell_published).expand(publication=changed)


casebook_publish()
