"""Files of events into base tables: what the contract refuses is counted, and a second load changes nothing."""

from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from contracts.errors import BadInputError, CheckFailedError
from contracts.viewers import Impression
from tests.warehouse.viewers import impression, report
from warehouse.address import Client, WarehouseAddress
from warehouse.commands import warehouse
from warehouse.sink import arrow_schema, to_arrow


def run(address: WarehouseAddress, folder: Path) -> Result:
    environment = {"PRECEDENT_WAREHOUSE": address.url}
    return CliRunner().invoke(warehouse, ["load", str(folder)], env=environment, catch_exceptions=False)


def test_both_forms_are_loaded_and_loading_again_changes_no_sum(
    address: WarehouseAddress, database: Client, tmp_path: Path
) -> None:
    events = tmp_path / "events"
    events.mkdir()
    shown = [impression(number, watch_ms=1_000) for number in range(3)]
    parquet.write_table(to_arrow(shown, arrow_schema(Impression)), events / "impressions.parquet")
    (events / "reports.jsonl").write_text(f"{report(1).model_dump_json()}\n")
    for _ in range(2):
        assert run(address, tmp_path).output.splitlines() == [
            "impressions.parquet            3 rows, 0 refused",
            "reports.jsonl                  1 rows, 0 refused",
        ]
    assert database.query("SELECT count(), sum(watch_ms) FROM impressions FINAL").result_rows == [(3, 3_000)]
    assert database.query("SELECT event_id FROM reports FINAL").result_rows == [(report(1).event_id,)]


def test_absurd_rows_are_counted_and_left_out_and_the_first_is_named(
    address: WarehouseAddress, database: Client, tmp_path: Path
) -> None:
    columns = to_arrow([impression(number) for number in range(4)], arrow_schema(Impression))
    watch_ms = pa.array([1_000, -5, 86_400_001, 2_000], pa.int64())
    absurd = columns.set_column(columns.schema.names.index("watch_ms"), "watch_ms", watch_ms)
    parquet.write_table(absurd, tmp_path / "impressions.parquet")
    (tmp_path / "reports.jsonl").write_text('not json\n{"event_id": "r"}\n')
    with pytest.raises(CheckFailedError, match=r"4 rows were refused and left out, the others are in"):
        run(address, tmp_path)
    told = CliRunner().invoke(warehouse, ["load", str(tmp_path)], env={"PRECEDENT_WAREHOUSE": address.url})
    first, why, second, why_second = told.output.splitlines()
    assert first.endswith("2 rows, 2 refused")
    assert "impressions.parquet: row 2: watch_ms == -5: Input should be greater than or equal to 0" in why
    assert second.endswith("0 rows, 2 refused")
    assert "reports.jsonl: row 1: record: Invalid JSON" in why_second
    assert database.query("SELECT sum(watch_ms) FROM impressions FINAL").result_rows == [(3_000,)]


def test_a_folder_without_events_a_table_twice_and_a_broken_file_are_bad_input(
    address: WarehouseAddress, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match=r"has no events, must have .parquet or .jsonl files of uploads, verd"):
        run(address, tmp_path)
    (tmp_path / "reports.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(BadInputError, match=r"reports.parquet: cannot be read: .*"):
        run(address, tmp_path)
    (tmp_path / "reports.jsonl").write_text(f"{report(1).model_dump_json()}\n")
    with pytest.raises(BadInputError, match=r"has both reports.parquet and reports.jsonl, must have one of them"):
        run(address, tmp_path)


def test_a_time_that_would_wrap_to_another_day_of_the_warehouse_is_refused(
    address: WarehouseAddress, database: Client, tmp_path: Path
) -> None:
    centuries_on = impression(1, day=65_536)  # days of the warehouse are counted in 16 bits
    (tmp_path / "impressions.jsonl").write_text(f"{centuries_on.model_dump_json()}\n")
    with pytest.raises(CheckFailedError, match="1 rows were refused"):
        run(address, tmp_path)
    assert database.query("SELECT count() FROM arrivals").result_rows == [(0,)]
