"""One embedded warehouse for the whole room, and a database of its own for each test that writes."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.warehouse.experiment_log import Log
from tests.warehouse.owners import Owner, running_owner
from warehouse.address import Client, WarehouseAddress, connect, parse_address
from warehouse.migrate import migrate


@pytest.fixture(scope="session")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    folder = tmp_path_factory.mktemp("warehouse")
    with running_owner(folder / "data", folder / "log") as started:
        yield started


@pytest.fixture(scope="session")
def server(owner: Owner) -> WarehouseAddress:
    """The ClickHouse server of PRECEDENT_TEST_WAREHOUSE when there is one, else the embedded warehouse."""
    given = os.environ.get("PRECEDENT_TEST_WAREHOUSE")
    return parse_address(given, place="PRECEDENT_TEST_WAREHOUSE") if given else owner.address


@pytest.fixture(scope="session")
def client(owner: Owner) -> Client:
    """A client for tests that only read, or write tables of their own name."""
    return connect(owner.address)


@pytest.fixture
def address(owner: Owner) -> WarehouseAddress:
    """The address of a new, migrated database."""
    fresh = replace(owner.address, database=f"t_{uuid.uuid4().hex}")
    migrate(fresh)
    return fresh


@pytest.fixture
def database(address: WarehouseAddress) -> Client:
    """A client of a new, migrated database."""
    return connect(address)


@pytest.fixture
def log(database: Client) -> Log:
    """What users of an experiment did, told event by event."""
    return Log(database)
