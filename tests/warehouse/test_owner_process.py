"""The owner process as an operator meets it: ready line, credentials, signals, kill -9, one owner a folder."""

import json
import signal
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from contracts.errors import DependencyError
from tests.warehouse.owners import Owner, running_owner
from tests.warehouse.samples import verdicts
from warehouse.address import WarehouseAddress, connect
from warehouse.commands import warehouse
from warehouse.migrate import migrate, read_migrations
from warehouse.queries import event_ids_present
from warehouse.sink import VerdictSink

ROOT = Path(__file__).parents[2]


def test_every_acknowledged_batch_survives_kill_9_and_the_sink_goes_on_by_itself(tmp_path: Path) -> None:
    given = "http://ana:secret@127.0.0.1:1/moderation"
    data, log = tmp_path / "data", tmp_path / "log"
    with running_owner(data, log, PRECEDENT_WAREHOUSE=given) as first:
        migrate(first.address)
        client = connect(first.address)
        sink = VerdictSink(client)
        acknowledged: set[str] = set()
        batch = 0
        with pytest.raises(DependencyError):
            while batch < 100_000:
                if batch == 5:
                    threading.Timer(0.2, first.process.kill).start()
                events = verdicts(batch * 32, batch * 32 + 32)
                sink.insert(events)
                acknowledged |= {event.event_id for event in events}
                batch += 1
        first.process.wait(30)
        assert len(acknowledged) >= 5 * 32
    with running_owner(data, log, "--port", str(first.address.port), PRECEDENT_WAREHOUSE=given):
        assert acknowledged <= event_ids_present(client, acknowledged)
        sink.insert(verdicts(batch * 32, batch * 32 + 32))
        assert client.command("SELECT count() FROM verdicts FINAL") == batch * 32 + 32


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_though_a_query_is_running(tmp_path: Path, number: int) -> None:
    with running_owner(tmp_path / "data", tmp_path / "log") as owner:
        endless = subprocess.Popen(
            [sys.executable, "-c", _ENDLESS, owner.address.url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        client = connect(owner.address)
        while client.command("SELECT count() FROM system.processes WHERE query LIKE '%sipHash64%'") < 2:
            pass
        assert owner.stop(number) == 0
        _, errors = endless.communicate(timeout=30)
        assert b"QUERY_WAS_CANCELLED" in errors


_ENDLESS = """
import sys
from warehouse.address import connect, parse_address
connect(parse_address(sys.argv[1])).command("SELECT sum(sipHash64(number)) FROM numbers(1000000000000)")
"""


def test_the_ready_line_is_one_json_object_on_loopback(owner: Owner) -> None:
    assert owner.ready["part"] == "warehouse"
    assert owner.ready["address"] == f"127.0.0.1:{owner.address.port}"
    assert len(owner.address.password) >= 20
    assert Path(owner.ready["path"]).is_dir()


def test_credentials_come_from_the_environment_and_stay_off_the_ready_line(tmp_path: Path) -> None:
    given = "http://ana:s%40cret@127.0.0.1:1/moderation"
    with running_owner(tmp_path / "data", tmp_path / "log", PRECEDENT_WAREHOUSE=given) as owner:
        assert "cret" not in json.dumps(owner.ready)
        address = WarehouseAddress("127.0.0.1", owner.address.port, "ana", "s@cret", "moderation")
        assert connect(address).command("SELECT currentDatabase()") == "moderation"


def test_a_folder_has_one_owner_at_a_time(owner: Owner) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "cli", "warehouse", "--path", owner.ready["path"]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (second.returncode, second.stdout) == (2, "")
    assert second.stderr.splitlines() == [
        f"precedent: {owner.ready['path']}: owned by process {owner.process.pid}, a warehouse has one owner at a time"
    ]


def test_bad_options_are_one_line_and_exit_code_2(owner: Owner, tmp_path: Path) -> None:
    def refused(*arguments: str, address: str = "") -> str:
        ended = subprocess.run(
            [sys.executable, "-m", "cli", "warehouse", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"PATH": "", "PRECEDENT_WAREHOUSE": address},
        )
        assert (ended.returncode, ended.stdout) == (2, "")
        return ended.stderr.strip().splitlines()[-1]

    assert "Address already in use" in refused("--path", str(tmp_path / "x"), "--port", str(owner.address.port))
    assert "must be a folder that can be written" in refused("--path", "/proc/warehouse")
    assert "must give a password" in refused("--path", str(tmp_path / "x"), address="http://ana@127.0.0.1/x")
    assert "PRECEDENT_WAREHOUSE is not set" in refused("migrate")
    assert "refuses this user" in refused("migrate", address=f"http://ana:x@127.0.0.1:{owner.address.port}/x")


def test_the_folder_is_readable_by_its_owner_alone(owner: Owner) -> None:
    assert stat.S_IMODE(Path(owner.ready["path"]).stat().st_mode) == 0o700


def test_migrate_says_what_it_applied(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    address = replace(owner.address, database="by_command")
    monkeypatch.setenv("PRECEDENT_WAREHOUSE", address.url)
    first = CliRunner().invoke(warehouse, ["migrate"], catch_exceptions=False)
    assert first.output.splitlines() == [f"applied {m.version:04}_{m.name}" for m in read_migrations()]
    second = CliRunner().invoke(warehouse, ["migrate"], catch_exceptions=False)
    assert second.output == f"{address} is up to date\n"


@pytest.mark.parametrize("arguments", [[], ["migrate"]])
def test_every_help_has_an_example(arguments: list[str]) -> None:
    shown = CliRunner().invoke(warehouse, [*arguments, "--help"])
    assert shown.exit_code == 0
    assert "Example:\n  " in shown.output
    assert "precedent warehouse" in shown.output
