"""Numbers in parts, and the bytes that an uninterrupted run makes of them."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from policy.growth.calls.asker import Asker, AskingSettings
from policy.growth.calls.stage import Stage, StageReport, run_stage
from tests.policy.growth.calls.saying import (
    Saying,
    asker_of,
    doubling,
    files_of,
    requests_of,
    twice,
    write_numbers,
)

PARTS: Sequence[list[int]] = ([1, 2, 3, 4], [], [5, 6], [7], [8, 9, 10], [11])
"""Four numbers, none, one that needs two requests, one without a row, another that needs two, and one more."""
NUMBERS = [number for part in PARTS for number in part]
REQUESTS = requests_of(NUMBERS)
DONE = {"kept": 7, "dropped": {"three": 3}}


def made(stage: Stage[Any], asker: Asker, advance: Callable[[int], None] = lambda _: None) -> StageReport:
    """Run a stage; one that waits for ever is a failure."""
    return asyncio.run(asyncio.wait_for(run_stage(stage, asker, advance=advance), 20))


def rows(report: StageReport) -> dict[str, Any]:
    return {"kept": report.kept, "dropped": dict(report.dropped)}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_numbers(tmp_path_factory.mktemp("numbers"), *PARTS)


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an uninterrupted run writes, one request at a time."""
    folder = tmp_path_factory.mktemp("whole") / "doubled"
    client = Saying(twice)
    report = made(doubling(source, folder), asker_of(client, AskingSettings(parallel=1)))
    assert (client.asked.total(), client.again) == (REQUESTS, 0)
    assert rows(report) == DONE
    return files_of(folder)
