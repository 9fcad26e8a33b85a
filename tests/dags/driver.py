"""Runs DAGs by `dag.test()` in a process of its own: Airflow's logging and database stay out of the test session.

A request a line on standard input, an answer a line on standard output, both JSON. `{"dag": ..., "conf": ...,
"environment": ...}` runs it and tells the run's state, those of its tasks, what they returned and which assets came.
`{"shape": true}` tells what Airflow read of the folder.
"""

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOON = timedelta(milliseconds=100)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Airflow and the tasks print is no answer
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(ROOT / "dags")
    for dag in bag.dags.values():
        for one in dag.tasks:  # as patient, in a fraction of the time
            if one.is_mapped:
                one.partial_kwargs["retry_delay"] = SOON
            else:
                one.retry_delay = SOON
    for line in sys.stdin:
        asked = json.loads(line)
        answer = shape(bag) if "shape" in asked else run(bag, asked)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def shape(bag: Any) -> dict[str, Any]:
    return {
        "errors": {str(place): str(error) for place, error in bag.import_errors.items()},
        "dags": {name: shape_of(dag) for name, dag in bag.dags.items()},
    }


def shape_of(dag: Any) -> dict[str, Any]:
    return {
        "schedule": str(getattr(dag.timetable, "expression", None) or type(dag.timetable).__name__),
        "consumes": sorted(uris(getattr(dag.timetable, "asset_condition", None))),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "timeout_s": dag.dagrun_timeout.total_seconds(),
        "edges": sorted([one.task_id, after] for one in dag.tasks for after in one.downstream_task_ids),
        "tasks": {
            one.task_id: {
                "calls": called(one),
                "mapped": bool(one.is_mapped),
                "trigger_rule": str(one.trigger_rule),
                "retries": one.retries,
                "timeout_s": one.execution_timeout.total_seconds(),
                "produces": sorted(asset.uri for asset in one.outlets),
            }
            for one in dag.tasks
        },
    }


def uris(condition: Any) -> list[str]:
    """Those of an asset, or of the assets in a condition."""
    if uri := getattr(condition, "uri", None):
        return [uri]
    return [uri for part in getattr(condition, "objects", ()) for uri in uris(part)]


def called(one: Any) -> str:
    function = getattr(one, "python_callable", None) or one.partial_kwargs["python_callable"]
    return f"{function.__module__.rpartition('_dag_')[0] or function.__module__}.{function.__name__}"


def run(bag: Any, asked: dict[str, Any]) -> dict[str, Any]:
    from airflow.models.asset import AssetEvent
    from airflow.models.xcom import XComModel
    from airflow.settings import Session
    from sqlalchemy import select

    os.environ.update(asked.get("environment", {}))
    done = bag.dags[asked["dag"]].test(run_conf=asked.get("conf") or None)
    session = Session()
    of_run = {"dag_id": done.dag_id, "run_id": done.run_id}
    returned = session.scalars(select(XComModel).filter_by(**of_run, key="return_value")).all()
    events = session.scalars(select(AssetEvent).filter_by(source_dag_id=done.dag_id, source_run_id=done.run_id)).all()
    tasks = done.get_task_instances(session=session)
    return {
        "state": str(done.state),
        "tasks": {name(one.task_id, one.map_index): str(one.state) for one in tasks},
        "tries": {name(one.task_id, one.map_index): one.try_number for one in tasks},
        "returned": {name(one.task_id, one.map_index): XComModel.deserialize_value(one) for one in returned},
        "assets": [{"uri": event.asset.uri, "extra": event.extra} for event in events],
    }


def name(task_id: str, map_index: int) -> str:
    return task_id if map_index < 0 else f"{task_id}[{map_index}]"


if __name__ == "__main__":
    main()
