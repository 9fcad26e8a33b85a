"""Migrations: applied once, repeatable, never changed afterwards."""

from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import BadInputError, CheckFailedError
from tests.warehouse.owners import Owner
from warehouse.address import Client, WarehouseAddress, connect
from warehouse.migrate import FOLDER, Migration, migrate, read_migrations


def test_the_project_s_migrations_are_applied_once(address: WarehouseAddress, database: Client) -> None:
    recorded = database.query("SELECT version, name, digest FROM migrations FINAL ORDER BY version").result_rows
    assert recorded == [(m.version, m.name, m.digest) for m in read_migrations()]
    assert migrate(address) == ()


def test_a_migration_cut_off_midway_is_simply_run_again(owner: Owner) -> None:
    fresh = replace(owner.address, database="cut_off")
    good = read_migrations()
    broken = good[0]._replace(statements=(*good[0].statements, "SELECT throwIf(1)"))
    with pytest.raises(CheckFailedError, match=r"0001_verdicts: .*throwIf"):
        migrate(fresh, [broken])
    assert migrate(fresh) == good


def test_a_migration_changed_after_it_was_applied_is_refused(address: WarehouseAddress) -> None:
    first, *others = read_migrations()
    with pytest.raises(BadInputError, match="0001_verdicts: digest == sha256:other, applied was sha256:"):
        migrate(address, [first._replace(digest="sha256:other"), *others])


def test_a_warehouse_ahead_of_the_code_is_refused(address: WarehouseAddress) -> None:
    ahead = Migration(len(read_migrations()) + 1, "future", ("SELECT 1",), "sha256:x")
    assert migrate(address, [*read_migrations(), ahead]) == (ahead,)
    ends_at = f"{ahead.version - 1:04}"
    with pytest.raises(BadInputError, match=f"has migration {ahead.version:04}_future, this code ends at {ends_at}"):
        migrate(address)


def test_files_are_read_in_order_with_their_statements(tmp_path: Path) -> None:
    (tmp_path / "0002_b.sql").write_text("SELECT 2")
    (tmp_path / "0001_a.sql").write_text("-- why\nSELECT ';',\n  1;\nSELECT 3;\n\n")
    first, second = read_migrations(tmp_path)
    assert (first.version, first.name, first.statements) == (1, "a", ("-- why\nSELECT ';',\n  1", "SELECT 3"))
    assert (second.version, second.name, second.statements) == (2, "b", ("SELECT 2",))


@pytest.mark.parametrize("name", ["0002_gap.sql", "1_short.sql", "0001_Caps.sql"])
def test_a_misnamed_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(BadInputError, match=r"must be called 0001_<name>\.sql"):
        read_migrations(tmp_path)


def test_the_project_s_files_are_packaged_beside_the_code() -> None:
    names = [path.name for path in sorted(FOLDER.iterdir())]
    assert names[:2] == ["0001_verdicts.sql", "0002_video_toxicity.sql"]
    assert [migration.version for migration in read_migrations()] == list(range(1, len(names) + 1))


def test_a_database_that_nobody_has_made_is_made(owner: Owner) -> None:
    fresh = replace(owner.address, database="nobody_made_this")
    migrate(fresh)
    assert connect(fresh).command("SELECT count() FROM verdicts") == 0
