"""Where a statement's format and data lie, worked out by hand and held against arbitrary data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse.owner.errors import ClickHouseError
from warehouse.owner.wire.statements import read_statement


@pytest.mark.parametrize(
    ("sql", "text", "form"),
    [
        ("SELECT 1", "SELECT 1", None),
        ("select 1 format JSON", "select 1 ", "JSON"),
        ("SELECT 1\n FORMAT Native", "SELECT 1\n ", "Native"),
        ("SELECT 1 FORMAT JSON SETTINGS max_threads = 1", "SELECT 1  SETTINGS max_threads = 1", "JSON"),
        ("SELECT 1 FORMAT JSON;\n", "SELECT 1 ", "JSON"),
        ("SELECT 'a FORMAT b', `FORMAT`, \"x\" FROM t", "SELECT 'a FORMAT b', `FORMAT`, \"x\" FROM t", None),
        ("SELECT format FROM t", "SELECT format FROM t", None),
        ("SELECT format FORMAT CSV", "SELECT format ", "CSV"),
        ("SELECT 1 AS format FORMAT CSV", "SELECT 1 AS format ", "CSV"),
        ("SELECT * FROM (SELECT 1 FORMAT JSON)", "SELECT * FROM (SELECT 1 FORMAT JSON)", None),
        ("SELECT 1 -- FORMAT JSON", "SELECT 1 -- FORMAT JSON", None),
        ("/* FORMAT */ SELECT $x$ FORMAT JSON $x$", "/* FORMAT */ SELECT $x$ FORMAT JSON $x$", None),
        ("SELECT 'it''s \\' FORMAT' FORMAT CSV", "SELECT 'it''s \\' FORMAT' ", "CSV"),
        ("(SELECT 1) UNION ALL (SELECT 2) FORMAT CSV", "(SELECT 1) UNION ALL (SELECT 2) ", "CSV"),
        ("ALTER TABLE t ADD COLUMN format String", "ALTER TABLE t ADD COLUMN format String", None),
    ],
)
def test_a_query_is_parted_from_its_format(sql: str, text: str, form: str | None) -> None:
    statement = read_statement(sql.encode())
    assert (statement.text, statement.format, statement.data_start) == (text, form, None)


@pytest.mark.parametrize(
    ("sql", "text", "form", "data"),
    [
        ("INSERT INTO t FORMAT CSV\n1,2", "INSERT INTO t ", "CSV", "1,2"),
        ("INSERT INTO t (a, b) FORMAT CSV  \r\n1,2", "INSERT INTO t (a, b) ", "CSV", "1,2"),
        ("INSERT INTO t FORMAT JSONEachRow {}", "INSERT INTO t ", "JSONEachRow", "{}"),
        ("INSERT INTO t FORMAT CSV\n\n1", "INSERT INTO t ", "CSV", "\n1"),
        ("insert into t values (1), (2)", "insert into t ", "Values", " (1), (2)"),
        ("INSERT INTO values VALUES (1)", "INSERT INTO values ", "Values", " (1)"),
        ("INSERT INTO db.format FORMAT CSV\n1", "INSERT INTO db.format ", "CSV", "1"),
        (
            "INSERT INTO t (`VALUES`) SETTINGS async_insert = 1 VALUES (1)",
            "INSERT INTO t (`VALUES`) ",
            "Values",
            " (1)",
        ),
        ("INSERT INTO t", "INSERT INTO t", None, ""),
    ],
)
def test_an_insert_is_parted_from_its_data(sql: str, text: str, form: str | None, data: str) -> None:
    statement = read_statement(sql.encode())
    assert statement.data_start is not None
    assert (statement.text, statement.format, sql[statement.data_start :]) == (text, form, data)


def test_the_settings_of_an_insert_are_parted_from_it_for_they_follow_where_its_rows_are() -> None:
    statement = read_statement(b"INSERT INTO t (`SETTINGS`) SETTINGS max_threads = 1, a = 'FORMAT' FORMAT CSV 1")
    assert statement.settings == "SETTINGS max_threads = 1, a = 'FORMAT'"
    assert read_statement(b"INSERT INTO settings (a) FORMAT CSV 1").settings == ""


def test_an_insert_of_a_query_has_no_data() -> None:
    for sql in (b"INSERT INTO t SELECT 1 AS values FROM x", b"WITH 1 AS x INSERT INTO t SELECT x"):
        statement = read_statement(sql)
        assert (statement.data_start, statement.answers, statement.reads, statement.streams) == (None, *[False] * 3)


@given(st.binary())
def test_whatever_follows_the_format_is_data(data: bytes) -> None:
    head = b"INSERT INTO t (a) FORMAT Native\n"
    assert read_statement(head + data).data_start == len(head)


@given(st.binary())
def test_arbitrary_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        read_statement(raw)
    except ClickHouseError as refused:
        if refused.code not in {48, 62}:
            raise


@pytest.mark.parametrize(
    ("sql", "code"),
    [("", 62), (" -- nothing\n", 62), ("SELECT 1; SELECT 2", 62), ("SELECT '\xff'", None), ("SELECT 1;;", None)],
)
def test_one_statement_at_a_time(sql: str, code: int | None) -> None:
    if code is None:
        assert read_statement(sql.encode()).keyword == "SELECT"
        return
    with pytest.raises(ClickHouseError) as refused:
        read_statement(sql.encode())
    assert refused.value.code == code


@pytest.mark.parametrize("sql", ["SELECT 1 INTO OUTFILE '/tmp/x'", "INSERT INTO t FROM INFILE 'x' FORMAT CSV"])
def test_files_of_the_server_are_refused(sql: str) -> None:
    with pytest.raises(ClickHouseError, match="names a file of the server"):
        read_statement(sql.encode())
