"""What every part in the foreground does: say that it is ready, say what is wrong, stop when it is told to."""

import json
import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from streams.kafka.connection import Connection
    from warehouse.address import WarehouseAddress


def ready(part: str, address: str, **more: object) -> None:
    """Print the ready line: the part's name, its address, and whatever else its starter wants to know."""
    click.echo(json.dumps({"part": part, "address": address, **more}))


def broker_and_warehouse() -> "tuple[Connection, WarehouseAddress]":
    """How Kafka and the warehouse are reached; raises `BadInputError` naming the variable."""
    from streams.kafka.connection import Connection
    from warehouse.address import address_in

    return Connection.from_environment(os.environ), address_in(os.environ)
