"""One embedded warehouse for the room, and a migrated database of its own for each test that writes."""

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.warehouse.owners import Owner, running_owner
from warehouse.address import WarehouseAddress
from warehouse.migrate import migrate


@pytest.fixture(scope="session")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    folder = tmp_path_factory.mktemp("ab_warehouse")
    with running_owner(folder / "data", folder / "log") as started:
        yield started


@pytest.fixture
def address(owner: Owner) -> WarehouseAddress:
    """The address of a new, migrated database."""
    fresh = replace(owner.address, database=f"t_{uuid.uuid4().hex}")
    migrate(fresh)
    return fresh
