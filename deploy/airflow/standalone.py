"""One Airflow with the project's DAGs: database, scheduler, DAG processor and API, ended together; on loopback.

`deploy/airflow/run` starts this with the project's Python, the image of `deploy/images` with --host, since there
loopback is the container's own. `airflow standalone` is not used: it serves logs on every interface. Addresses of the
other parts (`PRECEDENT_WAREHOUSE` and so on) are passed on to the tasks as they are.
"""

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from serving.ports import free_port
from serving.stopping import Stop, stop_on_signals
from streams.processes import end_with_parent

ROOT = Path(__file__).resolve().parents[2]
LEAST_PASSWORD = 12
PASSWORDS = "simple_auth_manager_passwords.json.generated"


class AirflowError(Exception):
    """Airflow cannot be prepared or does not start; one line says why."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="deploy/airflow/run",
        description="Run a standalone Airflow with the project's DAGs on loopback until SIGINT or SIGTERM.",
        epilog="example: deploy/airflow/run --port 8080",
    )
    parser.add_argument(
        "--port", type=int, default=8080, help="of web page and API; 0 chooses a free one (default 8080)"
    )
    parser.add_argument("--state-dir", type=Path, default=ROOT / ".state" / "airflow", help="default .state/airflow")
    parser.add_argument(
        "--host",
        choices=("127.0.0.1", "0.0.0.0"),
        default="127.0.0.1",
        help="interface of web page and API, plain HTTP; every one of them where loopback is a container's own",
    )
    parser.add_argument(
        "--password-file", type=Path, help="whose first line is the admin's password; else one is made and printed"
    )
    parser.add_argument(
        "--unpaused", action="store_true", help="let the schedules run at once, not only when switched on"
    )
    options = parser.parse_args()
    stop = stop_on_signals()
    try:
        port = options.port or free_port()
        run(
            options.state_dir.resolve(),
            port,
            stop,
            paused=not options.unpaused,
            host=options.host,
            password_file=options.password_file,
        )
    except AirflowError as error:
        sys.stderr.write(f"airflow: {error}\n")
        return 2
    return 0


def run(
    home: Path, port: int, stop: Stop, *, paused: bool, host: str = "127.0.0.1", password_file: Path | None = None
) -> None:
    home.mkdir(parents=True, exist_ok=True)
    environment = environment_of(home, port, paused=paused)
    password = password_of(home) if password_file is None else given_password(home, password_file)
    airflow = [sys.executable, "-m", "airflow"]
    migrated = subprocess.run(
        [*airflow, "db", "migrate"], env=environment, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if migrated.returncode != 0:
        raise AirflowError(f"the database in {home} cannot be prepared: {_last_line(migrated.stdout)}")
    parts = {
        "api-server": ["api-server", "--host", host, "--port", str(port), "--workers", "1"],
        "scheduler": ["scheduler", "--skip-serve-logs"],
        "dag-processor": ["dag-processor"],
    }
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, words in parts.items():
            running[name] = subprocess.Popen(
                [*end_with_parent(), *airflow, *words],
                env=environment,
                cwd=ROOT,
                stdout=sys.stderr,
                start_new_session=True,
            )
        address = f"127.0.0.1:{port}"
        if wait_until_healthy(address, running, stop):
            told = {} if password_file else {"password": password}  # one that was given belongs in no log
            ready = {"part": "airflow", "address": f"{host}:{port}", "user": "admin", **told, "state": str(home)}
            sys.stdout.write(json.dumps(ready) + "\n")
            sys.stdout.flush()
        while not stop.wait(0.2):
            check_alive(running)
    finally:
        end(running)


def environment_of(home: Path, port: int, *, paused: bool) -> dict[str, str]:
    """Everything on loopback and in `home`; what the caller set of Airflow's own settings wins."""
    settings = {
        "CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "2",  # SQLite has one writer, and training takes every core that it gets
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": str(paused),
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        "DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    return {
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(ROOT),
    }


def password_of(home: Path) -> str:
    """The admin's password, made once and kept where Airflow's simple auth manager reads it, for its owner alone."""
    kept = home / PASSWORDS
    if kept.exists():
        password: str = json.loads(kept.read_text(encoding="utf-8"))["admin"]
        return password
    password = secrets.token_urlsafe(18)
    _keep(kept, password)
    return password


def given_password(home: Path, source: Path) -> str:
    """The admin's password as a file gives it, kept where Airflow reads it; a new one in the file replaces the old."""
    try:
        first, *more = source.read_text(encoding="utf-8").splitlines() or [""]
    except (OSError, ValueError) as error:
        raise AirflowError(f"--password-file {source}: {error}") from error
    if len(first) < LEAST_PASSWORD or any(more):
        raise AirflowError(f"--password-file {source}: must hold one line of at least {LEAST_PASSWORD} characters")
    kept = home / PASSWORDS
    kept.unlink(missing_ok=True)
    _keep(kept, first)
    return first


def _keep(kept: Path, password: str) -> None:
    with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(json.dumps({"admin": password}) + "\n")


def wait_until_healthy(
    address: str, running: "dict[str, subprocess.Popen[bytes]]", stop: Stop, *, at_most_s: float = 180.0
) -> bool:
    """Wait until the API says that database, scheduler and DAG processor are well; False when told to stop."""
    until = time.monotonic() + at_most_s
    while not stop.wait(0.5):
        check_alive(running)
        if time.monotonic() > until:
            raise AirflowError(f"not healthy at {address} after {at_most_s:.0f} s, its messages are above")
        try:
            with urllib.request.urlopen(f"http://{address}/api/v2/monitor/health", timeout=5.0) as reply:
                health = json.load(reply)
        except (urllib.error.URLError, OSError, ValueError):
            continue
        if all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor")):
            return True
    return False


def check_alive(running: "dict[str, subprocess.Popen[bytes]]") -> None:
    for name, process in running.items():
        if process.poll() is not None:
            raise AirflowError(f"{name} ended by itself with exit code {process.returncode}, its messages are above")


def end(running: "dict[str, subprocess.Popen[bytes]]") -> None:
    """End every part, tasks that run included: each part leads a process group of its own."""
    for process in running.values():
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    until = time.monotonic() + 20.0
    for process in running.values():
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, until - time.monotonic()))
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        process.wait()


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no message"


if __name__ == "__main__":
    sys.exit(main())
