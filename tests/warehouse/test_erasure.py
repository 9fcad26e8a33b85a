"""A user erased from every table, whoever they were there; others stay; it can be repeated."""

import pytest
from click.testing import CliRunner

from contracts.cases import CaseAppealed, CaseOpened, Ruling
from contracts.errors import BadInputError, DependencyError
from contracts.videos import VideoUploaded
from contracts.viewers import ExperimentExposure, Impression, UserReport, UserSession
from tests.warehouse.experiment_log import EXPERIMENT
from tests.warehouse.samples import START, upload, verdict
from tests.warehouse.viewers import appeal, case, exposure, impression, report, ruling, session
from warehouse.address import Client, WarehouseAddress
from warehouse.commands import warehouse
from warehouse.daily import days_to_rebuild, rebuild
from warehouse.erasure import ERASED, TRACES, Erased, erase_users
from warehouse.experiments import build_users
from warehouse.sink import TABLES, EventSink, VerdictSink

ANN = "ann-who-leaves"
WHERE_ANN_IS = {
    "impressions": 3,
    "sessions": 2,
    "reports": 1,
    "exposures": 1,
    "uploads": 2,
    "appeals": 1,
    "user_days": 2,
    "experiment_users": 1,
    "verdicts": 2,
    "rulings": 1,
}


@pytest.fixture
def filled(database: Client) -> Client:
    """Ann and bob did the same; ann made two of three videos and ruled one of two cases. One row came twice."""
    seen = [impression(n, user, day) for n, (user, day) in enumerate([(ANN, 11), (ANN, 12), ("bob", 11)])]
    EventSink(database, Impression).insert(seen)
    EventSink(database, Impression).insert([seen[0]])
    visits = [session(n, user, day) for n, (user, day) in enumerate([(ANN, 11), (ANN, 12), ("bob", 11)])]
    EventSink(database, UserSession).insert(visits)
    EventSink(database, UserReport).insert([report(1, ANN, 11), report(2, "bob", 11)])
    EventSink(database, ExperimentExposure).insert([exposure(ANN, 11), exposure("bob", 11)])
    EventSink(database, Ruling).insert([ruling(1, ruled_by=ANN), ruling(2, ruled_by="bob")])
    VerdictSink(database).insert([verdict(n, author_id=author) for n, author in enumerate([ANN, ANN, "bob"])])
    EventSink(database, VideoUploaded).insert(
        [upload(n, START, author_id=author, asr=f"{author} says") for n, author in enumerate([ANN, ANN, "bob"])]
    )
    EventSink(database, CaseOpened).insert([case(1)])
    EventSink(database, CaseAppealed).insert(
        [appeal(n, author_id=author, statement=f"{author} disagrees") for n, author in enumerate([ANN, "bob"])]
    )
    rebuild(database, [due.day for due in days_to_rebuild(database)])
    build_users(database, EXPERIMENT, through=EXPERIMENT.ends_on)
    return database


def tables_naming(client: Client, name: str) -> dict[str, int]:
    """Every table of the database with the number of rows in which any text contains `name`."""
    columns = client.query(
        "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND type LIKE '%String%' "
        "AND table NOT IN (SELECT name FROM system.tables WHERE engine LIKE '%View')"
    ).result_rows
    texts: dict[str, list[str]] = {}
    for table, column in columns:
        texts.setdefault(table, []).append(f"position(toString({column}), {{name:String}}) > 0")
    counts = {
        table: client.query(f"SELECT count() FROM {table} WHERE {' OR '.join(tests)}", {"name": name}).result_rows[0][0]
        for table, tests in texts.items()
    }
    return {table: rows for table, rows in counts.items() if rows}


def test_the_test_sees_every_table_that_names_a_user(filled: Client) -> None:
    assert tables_naming(filled, ANN) == WHERE_ANN_IS
    assert set(TABLES.values()) - {"cases"} | {"user_days", "experiment_users"} == set(WHERE_ANN_IS)


def test_an_erased_user_is_in_no_text_of_any_table_and_others_are_where_they_were(filled: Client) -> None:
    bob = tables_naming(filled, "bob")
    erased = erase_users(filled, [ANN])
    assert {one.trace.table: one.rows for one in erased} == WHERE_ANN_IS
    assert tables_naming(filled, ANN) == {}
    assert tables_naming(filled, "bob") == bob


def test_verdicts_and_rulings_stay_without_the_name(filled: Client) -> None:
    erase_users(filled, [ANN])
    authors = filled.query("SELECT author_id, count() FROM verdicts FINAL GROUP BY author_id ORDER BY author_id")
    assert authors.result_rows == [("bob", 1), (ERASED, 2)]
    assert filled.query("SELECT ruled_by FROM rulings FINAL ORDER BY ruled_by").result_rows == [("bob",), (ERASED,)]


def test_erasing_again_finds_nothing(filled: Client) -> None:
    erase_users(filled, [ANN, "nobody"])
    assert erase_users(filled, [ANN, "nobody"]) == tuple(Erased(trace, 0) for trace in TRACES)


def test_a_rebuild_after_the_erasure_brings_nobody_back(filled: Client) -> None:
    erase_users(filled, [ANN])
    rebuild(filled, [due.day for due in days_to_rebuild(filled)])
    build_users(filled, EXPERIMENT, through=EXPERIMENT.ends_on)
    assert tables_naming(filled, ANN) == {}


def test_a_replay_brings_the_events_back_and_erasing_again_takes_them(filled: Client) -> None:
    erase_users(filled, [ANN])
    EventSink(filled, Impression).insert([impression(0, ANN, 11)])
    assert {one.trace.table: one.rows for one in erase_users(filled, [ANN]) if one.rows} == {"impressions": 1}


def test_tables_being_built_meanwhile_are_waited_for(filled: Client) -> None:
    filled.command("CREATE TABLE user_days_staging_0 AS user_days")
    with pytest.raises(DependencyError, match="user_days_staging_0 is being built and may hold the users still"):
        erase_users(filled, [ANN])


@pytest.mark.parametrize("wrong", ["", "a b", "x' OR 1", "-"])
def test_what_is_no_id_is_refused(filled: Client, wrong: str) -> None:
    with pytest.raises(BadInputError, match=r"user .*: record == "):
        erase_users(filled, [ANN, wrong])
    assert tables_naming(filled, ANN) == WHERE_ANN_IS


def test_the_command_says_what_it_took_from_which_table(
    address: WarehouseAddress, filled: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRECEDENT_WAREHOUSE", address.url)
    shown = CliRunner().invoke(warehouse, ["erase-user", ANN], catch_exceptions=False)
    assert shown.output.splitlines() == [
        "impressions              3 deleted by user_id",
        "sessions                 2 deleted by user_id",
        "reports                  1 deleted by reporter_id",
        "exposures                1 deleted by user_id",
        "uploads                  2 deleted by author_id",
        "appeals                  1 deleted by author_id",
        "user_days                2 deleted by user_id",
        "experiment_users         1 deleted by user_id",
        "verdicts                 2 renamed by author_id",
        "rulings                  1 renamed by ruled_by",
    ]
