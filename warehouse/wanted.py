"""Many ids in, a table of them out that travels with the question: as long a list as the answer deserves."""

from collections.abc import Iterable
from typing import Any

WANTED = "(SELECT id FROM wanted)"
"""How a question names the ids that travel with it."""


def wanted(ids: Iterable[str]) -> Any:
    """The ids as external data of a question, `id String` of `wanted`."""
    from clickhouse_connect.driver.external import ExternalData

    lines = "".join(f"{_escaped(one)}\n" for one in ids).encode()
    return ExternalData(file_name="wanted.tsv", data=lines, fmt="TabSeparated", structure=["id String"])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
