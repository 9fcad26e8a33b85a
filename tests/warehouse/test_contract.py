"""What analysts' clients do on a ClickHouse server, they do here: the asynchronous client, Ibis, tea-tasting, formats.

With PRECEDENT_TEST_WAREHOUSE=http://user:password@host:port/database the same tests ask that server instead.
"""

import asyncio
import io
import json
import uuid
from collections.abc import Iterator
from typing import Any

import clickhouse_connect
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError, StreamFailureError

from warehouse.address import Client, WarehouseAddress, connect

ROWS = [[1, "x;\n", 0.5], [2, "违法", 1.5], [3, "'\\", 2.5]]


@pytest.fixture(scope="module")
def place(server: WarehouseAddress) -> Iterator[WarehouseAddress]:
    """A database of these tests' own."""
    admin = connect(server, database="default")
    name = f"contract_{uuid.uuid4().hex}"
    admin.command(f"CREATE DATABASE {name}")
    yield WarehouseAddress(server.host, server.port, server.user, server.password, name, server.secure)
    admin.command(f"DROP DATABASE {name}")


def arguments(address: WarehouseAddress) -> dict[str, Any]:
    return {
        "host": address.host,
        "port": address.port,
        "username": address.user,
        "password": address.password,
        "database": address.database,
        "secure": address.secure,
    }


@pytest.fixture(params=[True, False, "lz4", "zstd", "gzip", "br"])
def client(request: pytest.FixtureRequest, place: WarehouseAddress) -> Client:
    """A client as anybody makes one, with each compression."""
    return clickhouse_connect.get_client(**arguments(place), compress=request.param)


@pytest.fixture
def plain(place: WarehouseAddress) -> Client:
    return clickhouse_connect.get_client(**arguments(place))


@pytest.fixture
def table(plain: Client) -> Iterator[str]:
    plain.command("CREATE OR REPLACE TABLE things (a UInt32, s String, f Float64) ENGINE = MergeTree ORDER BY a")
    yield "things"
    plain.command("DROP TABLE things")


def test_rows_and_large_results_pass_each_compression_both_ways(client: Client, table: str) -> None:
    client.insert(table, ROWS, column_names=["a", "s", "f"])
    assert [list(row) for row in client.query(f"SELECT * FROM {table} ORDER BY a").result_rows] == ROWS
    numbers = client.query("SELECT number FROM numbers(300000)").result_columns[0]
    assert sum(numbers) == 300_000 * 299_999 // 2


def test_a_failure_amid_rows_is_told_under_each_compression(client: Client) -> None:
    sql = "SELECT throwIf(number = 200000, 'the 200000th') FROM numbers(300000)"
    with (
        pytest.raises(StreamFailureError, match="the 200000th"),
        client.query_row_block_stream(sql, settings={"max_block_size": 1000, "max_threads": 1}) as blocks,
    ):
        for _ in blocks:
            pass


@pytest.mark.parametrize("form", ["JSON", "JSONCompact", "CSVWithNames", "TSVWithNamesAndTypes", "Arrow", "Parquet"])
def test_whole_formats_have_one_header_and_one_footer(plain: Client, form: str) -> None:
    raw = plain.raw_query("SELECT number AS n FROM numbers(200000) ORDER BY n", fmt=form)
    wanted = list(range(200_000))
    if form == "JSON":
        assert [int(row["n"]) for row in json.loads(raw)["data"]] == wanted
    elif form == "JSONCompact":
        assert [int(row[0]) for row in json.loads(raw)["data"]] == wanted
    elif form == "Arrow":
        assert pa.ipc.open_file(raw).read_all().column("n").to_pylist() == wanted
    elif form == "Parquet":
        assert pq.read_table(io.BytesIO(raw)).column("n").to_pylist() == wanted
    else:
        head = 2 if form == "TSVWithNamesAndTypes" else 1
        lines = raw.decode().splitlines()
        assert lines[0].strip('"') == "n"
        assert [int(line) for line in lines[head:]] == wanted


@pytest.mark.parametrize("form", ["JSON", "CSVWithNames", "Arrow", "Parquet"])
def test_whole_formats_of_no_rows_still_name_their_columns(plain: Client, form: str) -> None:
    assert b"lonely" in plain.raw_query("SELECT 1 AS lonely WHERE 0", fmt=form)


def test_a_query_that_fails_before_its_first_row_is_an_http_error_in_every_format(plain: Client) -> None:
    for form in ("Native", "JSON", "Parquet"):
        with pytest.raises(ClickHouseError) as refused:
            plain.raw_query("SELECT throwIf(1, 'at once')", fmt=form)
        assert refused.value.code == 395


def test_a_request_has_the_id_that_it_was_given_and_a_summary(plain: Client, table: str) -> None:
    asked = uuid.uuid4().hex
    result = plain.query("SELECT count() FROM numbers(10)", settings={"query_id": asked})
    assert result.query_id == asked
    assert "read_rows" in result.summary
    assert int(plain.insert(table, ROWS, column_names=["a", "s", "f"]).summary["written_rows"]) == 3


def test_a_database_may_be_named_by_client_request_or_table(plain: Client, place: WarehouseAddress, table: str) -> None:
    assert plain.command("SELECT currentDatabase()") == place.database
    other = clickhouse_connect.get_client(**arguments(place) | {"database": "default"})
    assert other.command("SELECT currentDatabase()") == "default"
    assert other.command(f"SELECT count() FROM {place.database}.{table}") == 0


def test_wrong_passwords_and_unknown_tables_have_a_server_s_codes(plain: Client, place: WarehouseAddress) -> None:
    with pytest.raises(ClickHouseError) as refused:
        clickhouse_connect.get_client(**arguments(place) | {"password": "guess"})
    assert refused.value.code == 516
    with pytest.raises(ClickHouseError) as unknown:
        plain.command("SELECT * FROM nowhere")
    assert unknown.value.code == 60
    assert plain.ping()


def test_the_asynchronous_client_asks_inserts_and_streams_at_once(place: WarehouseAddress, table: str) -> None:
    async def story() -> tuple[list[Any], int, int]:
        client = await clickhouse_connect.get_async_client(**arguments(place), autogenerate_session_id=False)
        try:
            frames = [pa.table({"a": [n], "s": [str(n)], "f": [n / 2]}) for n in range(8)]
            await asyncio.gather(*(client.insert_arrow(table, frame) for frame in frames))
            await client.insert(table, ROWS, column_names=["a", "s", "f"])
            sums = await asyncio.gather(
                *(client.query("SELECT sum(number) FROM numbers({n:UInt64})", parameters={"n": n}) for n in range(8))
            )
            rows = 0
            stream = await client.query_row_block_stream("SELECT number FROM numbers(300000)")
            async with stream:
                async for block in stream:
                    rows += len(block)
            count = await client.command(f"SELECT count() FROM {table}")
            with pytest.raises(ClickHouseError, match="UNKNOWN_TABLE"):
                await client.query("SELECT * FROM nowhere")
            return [result.result_rows[0][0] for result in sums], rows, int(count)
        finally:
            await client.close()

    assert asyncio.run(story()) == ([n * (n - 1) // 2 for n in range(8)], 300_000, 11)


@pytest.fixture(scope="module")
def tables(place: WarehouseAddress) -> Iterator[Any]:
    """Ibis on the warehouse, as an analyst connects it."""
    import ibis

    given = arguments(place)
    backend = ibis.clickhouse.connect(
        host=given["host"],
        port=given["port"],
        user=given["username"],
        password=given["password"],
        database=given["database"],
        secure=given["secure"],
    )
    yield backend
    backend.disconnect()


def test_ibis_makes_fills_lists_and_drops_tables(tables: Any) -> None:
    import ibis

    made = tables.create_table("grown", schema=ibis.schema({"k": "!string", "v": "!int64"}), order_by=["k"])
    tables.insert("grown", pa.table({"k": ["a", "b"], "v": [1, 2]}))
    tables.insert("grown", ibis.memtable({"k": ["b"], "v": [5]}))
    assert "grown" in tables.list_tables()
    sums = made.group_by("k").aggregate(total=made.v.sum()).order_by("k").to_pyarrow().to_pylist()
    assert sums == [{"k": "a", "total": 1}, {"k": "b", "total": 7}]
    copied = tables.create_table("copied", made.filter(made.k == "b"))
    assert copied.count().execute() == 2
    for name in ("grown", "copied"):
        tables.raw_sql(f"DROP TABLE {name}")  # the drop_table of Ibis 12 names no table under SQLGlot 30
    assert tables.list_tables() == []


def test_ibis_joins_what_it_holds_itself_and_has_temporary_tables(tables: Any) -> None:
    import ibis

    here = ibis.memtable({"k": ["a", "b"], "v": [1, 2]})
    passing = tables.create_table("passing", here, temp=True, engine="Memory")
    joined = passing.join(ibis.memtable({"k": ["b"], "w": [10]}), "k")
    assert joined.select("v", "w").to_pyarrow().to_pylist() == [{"v": 2, "w": 10}]
    tables.raw_sql("DROP TABLE passing")


def test_ibis_reads_in_batches(tables: Any) -> None:
    numbers = tables.sql("SELECT number AS n FROM numbers(250000)", schema={"n": "!uint64"})
    with numbers.to_pyarrow_batches(chunk_size=50_000) as batches:
        assert sum(batch.num_rows for batch in batches) == 250_000
    assert numbers.n.sum().execute() == 250_000 * 249_999 // 2


def test_tea_tasting_pulls_aggregates_of_an_experiment(tables: Any) -> None:
    """Arm 1 has one session more than arm 0 for every user: its relative effect is 1 over the mean of arm 0."""
    import tea_tasting as tt

    users = tables.sql(
        "SELECT number AS user, toUInt8(number % 2) AS variant, intDiv(number, 2) % 5 + variant AS sessions "
        "FROM numbers(20000)",
        schema={"user": "!uint64", "variant": "!uint8", "sessions": "!uint64"},
    )
    result = tt.Experiment(sessions=tt.Mean("sessions"), ratio=tt.SampleRatio()).analyze(users)
    assert result["sessions"].control == pytest.approx(2.0)
    assert result["sessions"].rel_effect_size == pytest.approx(0.5)
    assert result["ratio"].pvalue == 1.0
