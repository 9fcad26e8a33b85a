"""`deploy/airflow/run` as a user starts it, driven by Airflow's REST API; opt in with PRECEDENT_TEST_AIRFLOW=1."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.dags.conftest import ROOT
from tests.warehouse.owners import Owner
from warehouse.migrate import migrate

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.skipif(os.environ.get("PRECEDENT_TEST_AIRFLOW") != "1", reason="PRECEDENT_TEST_AIRFLOW is not 1"),
]
AT_MOST_S = 90.0


def call(address: str, path: str, given: Any = None, *, method: str | None = None, token: str = "") -> Any:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    body = None if given is None else json.dumps(given).encode()
    request = urllib.request.Request(f"http://{address}{path}", body, headers, method=method)
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.load(reply)


def test_a_run_is_triggered_and_polled_by_the_api(owner: Owner, tmp_path: Path) -> None:
    migrate(owner.address)
    environment = {
        **os.environ,
        "PRECEDENT_WAREHOUSE": owner.address.url,
        "PRECEDENT_ONLINE_STORE": f"sqlite:///{tmp_path}/online.db",
    }
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [ROOT / "deploy/airflow/run", "--port", "0", "--state-dir", tmp_path / "airflow"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        )
    with process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            address = ready["address"]
            login = {"username": ready["user"], "password": ready["password"]}
            token = call(address, "/auth/token", login)["access_token"]
            dag = "/api/v2/dags/feature_materialize"
            call(address, dag, {"is_paused": False}, method="PATCH", token=token)
            run = call(address, f"{dag}/dagRuns", {"logical_date": None, "conf": {}}, token=token)["dag_run_id"]
            until = time.monotonic() + AT_MOST_S
            while (state := call(address, f"{dag}/dagRuns/{run}", token=token)["state"]) in {"queued", "running"}:
                assert time.monotonic() < until, (tmp_path / "log").read_text()[-4_000:]
                time.sleep(1)
            assert state == "success", (tmp_path / "log").read_text()[-4_000:]
            returned = f"{dag}/dagRuns/{run}/taskInstances/materialise_histories/xcomEntries/return_value"
            assert call(address, returned, token=token)["value"]
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(60)
    assert code == 0
    assert (tmp_path / "airflow" / "simple_auth_manager_passwords.json.generated").stat().st_mode & 0o777 == 0o600
