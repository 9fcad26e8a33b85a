"""The unmodified ClickHouse client on the embedded warehouse: what it can do on a server, it does here."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import clickhouse_connect
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError
from clickhouse_connect.driver.external import ExternalData

from tests.warehouse.owners import Owner
from warehouse.address import Client


@pytest.fixture(params=[True, False, "zstd", "gzip"], ids=["lz4", "plain", "zstd", "gzip"])
def packing(request: pytest.FixtureRequest, owner: Owner) -> Client:
    """A client as anybody makes one, with each compression."""
    return clickhouse_connect.get_client(
        host=owner.address.host,
        port=owner.address.port,
        username=owner.address.user,
        password=owner.address.password,
        compress=request.param,
    )


@pytest.fixture
def table(client: Client) -> Iterator[str]:
    client.command(
        "CREATE OR REPLACE TABLE things (a UInt32, s String, f Array(Float32)) ENGINE = MergeTree ORDER BY a"
    )
    yield "things"
    client.command("DROP TABLE things")


ROWS = [(1, "x;\n\n", [0.5]), (2, "违法", []), (3, "'\\", [1.0, math.inf])]


def test_rows_come_back_as_they_were_inserted(packing: Client, table: str, owner: Owner) -> None:
    name = f"{owner.address.database}.{table}"
    packing.insert(name, ROWS, column_names=["a", "s", "f"])
    assert packing.query(f"SELECT * FROM {name} ORDER BY a").result_rows == ROWS


def test_arrow_goes_in_and_out(packing: Client, table: str, owner: Owner) -> None:
    name = f"{owner.address.database}.{table}"
    given = pa.table(
        {
            "a": pa.array([1, 2, 3], pa.uint32()),
            "s": [row[1] for row in ROWS],
            "f": pa.array([row[2] for row in ROWS], pa.list_(pa.float32())),
        }
    )
    packing.insert_arrow(name, given)
    assert packing.query_arrow(f"SELECT * FROM {name} ORDER BY a").to_pydict() == given.to_pydict()


def test_a_frame_goes_in_and_out(client: Client, table: str) -> None:
    frame = pd.DataFrame({"a": np.array([1, 2], np.uint32), "s": ["x", "y"], "f": [[0.5], []]})
    client.insert_df(table, frame)
    assert client.query_df(f"SELECT a, s FROM {table} ORDER BY a").to_dict("list") == {"a": [1, 2], "s": ["x", "y"]}


def test_parameters_are_values_not_text(client: Client) -> None:
    hostile = "'; DROP TABLE x; -- \\ \t\n"
    sql = "SELECT {s:String}, {n:Int64}, {l:Array(String)}, {t:DateTime64(6, 'UTC')}, {nothing:Nullable(String)}"
    moment = datetime(2026, 11, 1, 12, 0, 0, 250_000, tzinfo=UTC)
    given = {"s": hostile, "n": -5, "l": ["a", "b'"], "t": moment, "nothing": None}
    row = client.query(sql, given, tz_mode="aware").result_rows[0]
    assert row == (hostile, -5, ["a", "b'"], moment, None)


def test_values_may_use_parameters(client: Client, table: str) -> None:
    client.command(f"INSERT INTO {table} (a, s) VALUES ({{a:UInt32}}, {{s:String}})", {"a": 7, "s": "o'k"})
    assert client.query(f"SELECT a, s FROM {table}").result_rows == [(7, "o'k")]


def test_a_query_without_rows_still_has_columns(client: Client) -> None:
    result = client.query("SELECT 1 AS a, toLowCardinality('x') AS b, {p:String} AS c WHERE 0", {"p": "x"})
    assert result.column_names == ("a", "b", "c")
    assert result.result_rows == []
    assert client.query_arrow("SELECT 1 AS a WHERE 0").column_names == ["a"]
    assert client.query("SELECT 1 AS a LIMIT 0").column_names == ("a",)


def test_settings_hold_for_their_request_only(client: Client) -> None:
    sql = "SELECT getSetting('max_block_size')"
    before = client.command(sql)
    assert client.command(sql, settings={"max_block_size": 123}) == 123
    assert client.command(sql) == before


def test_a_session_keeps_its_settings_and_temporary_tables(owner: Owner) -> None:
    def session() -> Client:
        address = owner.address
        return clickhouse_connect.get_client(
            host=address.host, port=address.port, username=address.user, password=address.password
        )

    one, other = session(), session()
    one.command("CREATE TEMPORARY TABLE mine (x UInt8)")
    one.insert("mine", [[4], [5]])
    assert one.command("SELECT sum(x) FROM mine") == 9
    with pytest.raises(DatabaseError, match="mine"):
        other.command("SELECT sum(x) FROM mine")
    one.command("SET max_block_size = 77")
    sql = "SELECT getSetting('max_block_size')"
    assert one.command(sql, settings={"max_block_size": 5}) == 5
    assert one.command(sql) == 77
    assert other.command(sql) != 77


def test_external_tables_travel_with_their_query(client: Client) -> None:
    wanted = ExternalData(file_name="wanted.csv", data=b"2\n3\n", fmt="CSV", structure=["n UInt64"])
    sql = "SELECT number FROM numbers(10) WHERE number IN (SELECT n FROM wanted) ORDER BY number"
    assert client.query(sql, external_data=wanted).result_columns == [[2, 3]]


def test_a_large_result_is_streamed_in_blocks(client: Client) -> None:
    with client.query_row_block_stream("SELECT number FROM numbers(1000000)") as blocks:
        sizes = [len(block) for block in blocks]
    assert sum(sizes) == 1_000_000
    assert len(sizes) > 5
    with client.query_df_stream("SELECT number, toString(number) FROM numbers(200000)") as frames:
        assert sum(len(frame) for frame in frames) == 200_000
    sql = "SELECT number, toLowCardinality(toString(number % 3)) AS s FROM numbers(200000)"
    with client.query_arrow_stream(sql, settings={"max_block_size": 10_000, "max_threads": 1}) as batches:
        tables = list(batches)
    assert len(tables) > 5
    assert pa.Table.from_batches(tables).column("number").to_pylist() == list(range(200_000))
    with client.query_arrow_stream("SELECT 1 AS a WHERE 0") as none:
        assert sum(batch.num_rows for batch in none) == 0


def test_a_stream_may_be_left_half_read(client: Client) -> None:
    for _ in range(3):
        with client.query_row_block_stream("SELECT number FROM numbers(3000000)") as blocks:
            assert next(iter(blocks))
    assert client.command("SELECT 1") == 1


def test_a_query_that_fails_midway_says_so(client: Client) -> None:
    sql = "SELECT throwIf(number = 200000, 'the 200000th') FROM numbers(300000)"
    with (
        pytest.raises(StreamFailureError, match="the 200000th"),
        client.query_row_block_stream(sql, settings={"max_block_size": 1000, "max_threads": 1}) as blocks,
    ):
        for _ in blocks:
            pass
    assert client.command("SELECT 1") == 1


@pytest.mark.parametrize(
    ("sql", "code", "name"),
    [
        ("SELEC 1", 62, "SYNTAX_ERROR"),
        ("SELECT * FROM nowhere", 60, "UNKNOWN_TABLE"),
        ("SELECT no_such_function()", 46, "UNKNOWN_FUNCTION"),
        ("SELECT 1; SELECT 2", 62, "SYNTAX_ERROR"),
        ("SELECT throwIf(1)", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
    ],
)
def test_errors_carry_clickhouse_codes(client: Client, sql: str, code: int, name: str) -> None:
    with pytest.raises(DatabaseError) as refused:
        client.command(sql)
    assert (refused.value.code, refused.value.name) == (code, name)


def test_rows_of_the_wrong_type_insert_nothing(client: Client, table: str) -> None:
    bad: Any = pa.table({"a": ["one", "two"], "s": ["x", "y"]})
    with pytest.raises(DatabaseError):
        client.insert_arrow(table, bad)
    assert client.command(f"SELECT count() FROM {table}") == 0


def test_the_summary_counts_what_was_written(client: Client, table: str) -> None:
    summary = client.insert(table, ROWS, column_names=["a", "s", "f"])
    assert summary.written_rows == 3


def test_rows_that_the_engine_cannot_keep_are_not_acknowledged(client: Client) -> None:
    client.command("CREATE OR REPLACE TABLE split (n UInt32) ENGINE = MergeTree PARTITION BY n ORDER BY n")
    with pytest.raises(DatabaseError, match="TOO_MANY_PARTS"):
        client.insert_arrow("split", pa.table({"n": pa.array(range(101), pa.uint32())}))
    client.command("CREATE OR REPLACE TABLE small (n UInt32, CONSTRAINT c CHECK n < 5) ENGINE = Memory")
    with pytest.raises(DatabaseError, match="VIOLATED_CONSTRAINT"):
        client.insert("small", [[4], [5]], column_names=["n"])
    counts = client.query("SELECT (SELECT count() FROM split), (SELECT count() FROM small)").result_rows
    assert counts == [(0, 0)]
    client.command("DROP TABLE split")
    client.command("DROP TABLE small")
