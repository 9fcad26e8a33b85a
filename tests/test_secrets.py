"""Real commands with wrong addresses and wrong secrets: what they print names the variable and never the secret."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contracts.errors import BadInputError
from dags.settings import DagSettings
from features.config import FeaturesConfig
from policy.reasoning.endpoint import Endpoint
from streams.kafka.connection import Connection
from streams.settings import StreamSettings
from warehouse.address import address_in

SECRET = "kT9-hidden-Zq"
MIGRATE, LOOKUP, CASES = ("warehouse", "migrate"), ("features", "lookup", "v-1"), ("case", "list")
# A command, its environment, what its one line must name.
WRONG: dict[str, tuple[tuple[str, ...], dict[str, str], str]] = {
    "warehouse away": (MIGRATE, {"PRECEDENT_WAREHOUSE": f"http://u:{SECRET}@127.0.0.1:1/d"}, "does not answer"),
    "warehouse slash": (MIGRATE, {"PRECEDENT_WAREHOUSE": f"http://u:a/{SECRET}@127.0.0.1/d"}, "PRECEDENT_WAREHOUSE"),
    "sink": (("sink",), {"PRECEDENT_WAREHOUSE": f"u:{SECRET}@127.0.0.1"}, "PRECEDENT_WAREHOUSE"),
    "redis": (LOOKUP, {"PRECEDENT_ONLINE_STORE": f"redis://:{SECRET}@127.0.0.1:1/x"}, "online store"),
    "court token": (CASES, {"PRECEDENT_TOKEN": SECRET}, "issue a token first"),
    "kafka": (
        ("worker", "--in-process"),
        {
            "PRECEDENT_KAFKA_SECURITY": "SASL_SSL",
            "PRECEDENT_KAFKA_USERNAME": "u",
            "PRECEDENT_KAFKA_PASSWORD": SECRET,
            "PRECEDENT_KAFKA_MECHANISM": "GSSAPI",
        },
        "PRECEDENT_KAFKA_MECHANISM",
    ),
}


def run_command(
    folder: Path, command: tuple[str, ...], environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PRECEDENT_")}
    return subprocess.run(
        [sys.executable, "-m", "cli", *command],
        env={**inherited, **environment, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, subprocess.CompletedProcess[str]]:
    """What each command says; the secret's variable is read from a file in every second one."""
    folder = tmp_path_factory.mktemp("secrets")

    def run(name: str) -> subprocess.CompletedProcess[str]:
        command, environment, _ = WRONG[name]
        home = folder / name.replace(" ", "-")
        home.mkdir()
        if list(WRONG).index(name) % 2:
            for variable in [one for one, value in environment.items() if SECRET in value]:
                (home / variable).write_text(environment.pop(variable) + "\n")
                environment[f"{variable}_FILE"] = str(home / variable)
        return run_command(home, command, environment)

    with ThreadPoolExecutor(2) as two:
        return dict(zip(WRONG, two.map(run, WRONG), strict=True))


@pytest.mark.parametrize("name", WRONG)
def test_a_command_that_fails_names_what_is_wrong_in_one_line_and_shows_no_secret(
    name: str, said: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    done = said[name]
    assert done.returncode in {1, 2}, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert WRONG[name][2] in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"PRECEDENT_ONLINE_STORE": f"redis://:{SECRET}@127.0.0.1:99999"},
        {"PRECEDENT_ONLINE_STORE": f"amqp://:{SECRET}@127.0.0.1"},
        {"PRECEDENT_ONLINE_STORE": f"redis://:{SECRET}@"},
        {"PRECEDENT_ONLINE_STORE": f"redis://u:a/{SECRET}@127.0.0.1:1"},
        {"PRECEDENT_ONLINE_STORE": f"redis://u:{SECRET}@[::1"},
        {"PRECEDENT_ONLINE_STORE": f"redis://u:{SECRET}"},
        {"PRECEDENT_OFFLINE_STORE": f"http://u:{SECRET}"},
        {"PRECEDENT_ONLINE_STORE": f"redis://127.0.0.1?password={SECRET}"},
        {"PRECEDENT_OFFLINE_STORE": f"ftp://u:{SECRET}@127.0.0.1"},
        {"PRECEDENT_OFFLINE_STORE": f"http://u:{SECRET}@"},
        {"PRECEDENT_OFFLINE_STORE": f"http://u:a/{SECRET}@127.0.0.1"},
    ],
)
def test_a_store_that_is_refused_shows_no_secret(environment: dict[str, str]) -> None:
    with pytest.raises(BadInputError, match="store") as refused:
        FeaturesConfig.from_environment(environment)
    assert SECRET not in str(refused.value)


def test_no_settings_show_a_secret_in_their_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment = {
        "PRECEDENT_WAREHOUSE": f"http://u:{SECRET}@127.0.0.1:8123/d",
        "PRECEDENT_ONLINE_STORE": f"redis://u:{SECRET}@127.0.0.1:6379",
        "PRECEDENT_LLM": "https://127.0.0.1/v1",
        "PRECEDENT_LLM_KEY": SECRET,
        "PRECEDENT_KAFKA_SECURITY": "SASL_PLAINTEXT",
        "PRECEDENT_KAFKA_USERNAME": "u",
        "PRECEDENT_KAFKA_PASSWORD": SECRET,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    dags = DagSettings.from_environment(environment)
    records = [
        dags,
        dags.llm,
        dags.warehouse,
        dags.features,
        StreamSettings.from_environment(),
        FeaturesConfig.from_environment(environment),
        Connection.from_environment(environment),
        address_in(environment),
        Endpoint("https://127.0.0.1/v1", key=SECRET),
    ]
    assert dags.llm is not None
    assert dags.llm.key == SECRET  # it is there, and not shown
    assert StreamSettings.from_environment().warehouse.count(SECRET) == 1
    for record in records:
        assert SECRET not in repr(record) + str(record), type(record)
