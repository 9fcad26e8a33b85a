"""Options that several parts share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def watched(command: F) -> F:
    """Where a part answers those who watch it: the same options for each."""
    port = click.option(
        "--metrics-port",
        type=click.IntRange(0, 65_535),
        default=0,
        show_default=True,
        help="of /metrics, /live and /ready; 0: any free one",
    )
    host = click.option(
        "--metrics-host",
        default="127.0.0.1",
        show_default=True,
        help="address to answer on; in a container 0.0.0.0",
    )
    return port(host(command))


def session_timeout(part: str) -> Callable[[F], F]:
    """How soon the group gives a killed part's partitions to others."""
    return click.option(
        "--session-timeout",
        type=click.FloatRange(0.1, 3_600),
        default=6.0,
        show_default=True,
        help=f"seconds until a killed {part} is out",
    )
