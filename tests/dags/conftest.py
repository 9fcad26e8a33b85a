"""One throw-away Airflow for the session, in a process of its own, and one warehouse."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.warehouse.owners import Owner, running_owner

ROOT = Path(__file__).parents[2]


def airflow_environment(home: Path) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PRECEDENT_", "AIRFLOW"))}
    return inherited | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
    }


@dataclass(frozen=True)
class Airflow:
    """The driver's end of a pipe; `log` is where Airflow wrote what it did."""

    process: "subprocess.Popen[str]"
    log: Path

    def ask(self, **asked: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, self.log.read_text()[-4_000:]
        told: dict[str, Any] = json.loads(answer)
        return told

    def run(self, dag: str, environment: dict[str, str] | None = None, **conf: Any) -> dict[str, Any]:
        """One run of the DAG by `dag.test()`, with the parameters in `conf`."""
        return self.ask(dag=dag, conf=conf, environment=environment or {})


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    pytest.importorskip("airflow.version", reason="Airflow is not installed")
    home = tmp_path_factory.mktemp("airflow")
    environment = airflow_environment(home)
    migrated = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrated, env=environment, check=True, capture_output=True, cwd=ROOT)
    log = home / "driver.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.dags.driver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
            cwd=ROOT,
        )
    with process:
        yield Airflow(process, log)
        process.kill()


@pytest.fixture(scope="session")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    folder = tmp_path_factory.mktemp("dags_warehouse")
    with running_owner(folder / "data", folder / "log") as started:
        yield started
