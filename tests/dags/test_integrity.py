"""The DAGs as Airflow reads them: nothing fails to import, the arrows are those drawn here, each task has a command."""

import ast
import inspect
import re
from typing import Any

import pytest

from dags import growth_steps, steps
from tests.dags.conftest import ROOT, Airflow
from tests.test_commands import ALL

ARROWS = {
    "ab_report": {("rebuild_days", "running_experiments"), ("running_experiments", "report_experiment")},
    "casebook_publish": {("publish_casebook", "tell_published")},
    "feature_materialize": set(),
    "feature_parity": {("measure_parity", "judge_parity")},
    "policy_refresh": {
        ("collect_rulings", "mine_cases"),
        ("mine_cases", "build_dataset"),
        ("build_dataset", "train_candidate"),
        ("train_candidate", "gate_candidate"),
        ("gate_candidate", "follow_gate"),
        ("follow_gate", "promote_candidate"),
        ("follow_gate", "tell_refusal"),
        ("promote_candidate", "fallen_groups"),
        ("fallen_groups", "tell_group"),
        ("gate_candidate", "tell_refusal"),  # the reasons
        ("collect_rulings", "refine_vlm"),
        ("refine_vlm", "gate_vlm"),
        ("gate_vlm", "promote_vlm"),
    },
    "taxonomy_growth": {("collect_unexplained", "propose_leaves"), ("propose_leaves", "tell_proposals")},
}
TASKS = {
    "ab_report": {"rebuild_days", "running_experiments", "report_experiment"},
    "casebook_publish": {"publish_casebook", "tell_published"},
    "feature_materialize": {"materialise_histories"},
    "feature_parity": {"measure_parity", "judge_parity"},
    "policy_refresh": {
        "collect_rulings",
        "mine_cases",
        "build_dataset",
        "train_candidate",
        "gate_candidate",
        "follow_gate",
        "promote_candidate",
        "tell_refusal",
        "fallen_groups",
        "tell_group",
        "refine_vlm",
        "gate_vlm",
        "promote_vlm",
    },
    "taxonomy_growth": {"collect_unexplained", "propose_leaves", "tell_proposals"},
}
SCHEDULES = {
    "ab_report": ("30 3 * * *", []),
    "casebook_publish": ("AssetOrTimeSchedule", ["precedent://policy/releases"]),
    "feature_materialize": ("5 * * * *", []),
    "feature_parity": ("AssetTriggeredTimetable", ["precedent://features/histories"]),
    "policy_refresh": ("0 2 * * *", []),
    "taxonomy_growth": ("0 6 * * 1", []),
}
MAPPED = {"report_experiment", "tell_published", "tell_group"}
PRODUCED = {
    "tell_published": ["precedent://policy/casebook"],
    "report_experiment": ["precedent://ab/reports"],
    "materialise_histories": ["precedent://features/histories"],
    "measure_parity": ["precedent://features/parity"],
    "promote_candidate": ["precedent://policy/releases"],
    "tell_proposals": ["precedent://policy/proposals"],
}

FUNCTIONS = {**vars(steps), **vars(growth_steps), "tell_proposals": growth_steps.waiting_proposals}
"""What tasks call, by their names; an event's task calls what it tells."""


@pytest.fixture(scope="session")
def read(airflow: Airflow) -> dict[str, Any]:
    return airflow.ask(shape=True)


def test_every_file_imports_and_holds_the_dag_of_its_name(read: dict[str, Any]) -> None:
    assert read["errors"] == {}
    files = {path.stem for path in (ROOT / "dags").glob("*.py") if "@dag(" in path.read_text(encoding="utf-8")}
    assert set(read["dags"]) == files == set(ARROWS)


@pytest.mark.parametrize("name", sorted(ARROWS))
def test_tasks_arrows_and_schedules_are_these(read: dict[str, Any], name: str) -> None:
    dag = read["dags"][name]
    assert set(dag["tasks"]) == TASKS[name]
    assert {tuple(edge) for edge in dag["edges"]} == ARROWS[name]
    assert (dag["schedule"], dag["consumes"]) == SCHEDULES[name]
    assert (dag["catchup"], dag["max_active_runs"]) == (False, 1)
    for task_id, task in dag["tasks"].items():
        assert task["mapped"] == (task_id in MAPPED)
        assert task["produces"] == PRODUCED.get(task_id, [])
        assert 0 < task["timeout_s"] <= dag["timeout_s"]
        assert task["retries"] >= 1


def test_what_is_consumed_is_produced(read: dict[str, Any]) -> None:
    produced = {uri for dag in read["dags"].values() for task in dag["tasks"].values() for uri in task["produces"]}
    assert {uri for dag in read["dags"].values() for uri in dag["consumes"]} <= produced


def test_each_task_is_one_function_whose_sentence_names_a_command(read: dict[str, Any]) -> None:
    for dag in read["dags"].values():
        for task_id in dag["tasks"]:
            told = inspect.getdoc(FUNCTIONS[task_id]) or ""
            named = re.findall(r"`precedent ([a-z ]+)", told)
            assert named, f"{task_id} names no command"
            assert all(tuple(name.split()) in ALL for name in named), named


def test_dag_files_hold_nothing_but_ids_schedules_and_arrows() -> None:
    for name in ARROWS:
        tree = ast.parse((ROOT / "dags" / f"{name}.py").read_text(encoding="utf-8"))
        kinds = {type(node).__name__ for node in ast.walk(tree)}
        assert kinds.isdisjoint({"For", "While", "If", "Try", "With", "Lambda", "ClassDef"}), name


def test_importing_a_room_of_functions_imports_no_airflow() -> None:
    assert not any("airflow" in inspect.getsource(room) for room in (steps, growth_steps))
