"""Addresses of a warehouse: read, written, refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import BadInputError, DependencyError
from tests.warehouse.owners import Owner
from warehouse.address import WarehouseAddress, connect, parse_address


def test_a_whole_address_is_read() -> None:
    address = parse_address("https://ana:s%40cret%2F@db.example:9000/moderation")
    assert address == WarehouseAddress("db.example", 9000, "ana", "s@cret/", "moderation", secure=True)


def test_what_is_left_out_has_clickhouse_defaults_and_our_database() -> None:
    assert parse_address("http://db.example") == WarehouseAddress("db.example", 8123, "default", "", "precedent")
    assert parse_address("https://db.example/").port == 8443


def test_the_text_of_an_address_hides_its_password_and_its_url_does_not() -> None:
    address = parse_address("http://ana:secret@[::1]:1/x")
    assert str(address) == "http://ana:***@[::1]:1/x"
    assert address.url == "http://ana:secret@[::1]:1/x"
    assert "secret" not in repr(address)


@given(user=st.text(min_size=1, max_size=20), password=st.text(max_size=20), port=st.integers(1, 65_535))
def test_every_user_and_password_survives_the_url(user: str, password: str, port: int) -> None:
    address = WarehouseAddress("127.0.0.1", port, user, password)
    assert parse_address(address.url) == address


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "scheme must be http or https"),
        ("localhost:8123", "scheme must be http or https"),
        ("tcp://localhost:9000", "scheme must be http or https"),
        ("http://", "must name a host"),
        ("http://localhost:port/x", "the port at most 65535"),
        ("http://localhost:99999/x", "the port at most 65535"),
        ("http://localhost/a/b", "database == 'a/b'"),
        ("http://localhost/drop-table", "database == 'drop-table'"),
        ("http://localhost/x?y=1", "must end with the database"),
        ("http://[::1/x", "must be http://user"),
    ],
)
def test_a_bad_address_is_named_with_its_rule_and_place(text: str, rule: str) -> None:
    with pytest.raises(BadInputError, match="PRECEDENT_WAREHOUSE") as refused:
        parse_address(text)
    assert rule in str(refused.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ftp://ana:secret@host/x", "ftp://***@host/x"),
        ("http://ana:se/secret@host/x", "http://***@host/x"),
        ("http://ana:se#secret@host/x", "http://***@host/x"),
        ("http://ana:s@secret@host/a.b", "http://***@host/a.b"),
        ("http://ana:secret", "http://ana"),
        ("http://ana:secret@[::1/x", "http://***@"),
        ("http://a://ana:secret@host/x", "***"),
        ("ana:secret@host:8123", "***@host:8123"),
        ("http:ana:secret@host", "***@host"),
        ("ana:secret", "***"),
        ("http://host/x?password=secret", "http://host/x"),
    ],
)
def test_a_refused_address_does_not_show_what_may_be_its_password(text: str, shown: str) -> None:
    with pytest.raises(BadInputError) as refused:
        parse_address(text)
    assert "secret" not in str(refused.value)
    assert shown in str(refused.value)


def test_nobody_at_the_address_is_something_to_wait_for() -> None:
    with pytest.raises(DependencyError, match="does not answer"):
        connect(WarehouseAddress("127.0.0.1", 1))


def test_what_a_client_raises_it_does_not_also_log(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DependencyError):
        connect(WarehouseAddress("127.0.0.1", 1))
    assert [record for record in caplog.records if record.name.startswith("clickhouse_connect")] == []


def test_wrong_credentials_are_bad_input(owner: Owner) -> None:
    with pytest.raises(BadInputError, match="refuses this user or password"):
        connect(WarehouseAddress(owner.address.host, owner.address.port, owner.address.user, "guess"))


def test_a_database_that_is_not_there_says_how_to_make_it(owner: Owner) -> None:
    with pytest.raises(BadInputError, match="run `precedent warehouse migrate`"):
        connect(owner.address, database="nowhere").command("SELECT 1")
