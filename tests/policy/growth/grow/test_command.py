"""`precedent taxonomy grow` over real HTTP: what it prints, what it leaves, and how it ends."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from contracts.errors import BadInputError, CheckFailedError, DependencyError
from policy.growth.commands import taxonomy
from policy.growth.taxonomy.folder import read_taxonomy, read_version, write_taxonomy
from policy.growth.taxonomy.hierarchy import taxonomy_of


@pytest.fixture(scope="module")
def llm() -> Iterator[str]:
    command = [sys.executable, "-m", "bench.growth.endpoint"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().removeprefix("ready ").strip() + "/v1"
        server.communicate(timeout=30)


def calls(llm: str) -> int:
    with urllib.request.urlopen(llm.removesuffix("/v1") + "/counts", timeout=10) as answer:
        return int(json.load(answer)["calls"])


def grow(*options: str | Path) -> Result:
    return CliRunner().invoke(taxonomy, ["grow", *map(str, options)])


def test_it_prints_its_rounds_and_leaves_a_taxonomy_that_is_not_asked_for_again(llm: str, tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.txt"
    seeds.write_text("Charts~Bars\nCharts~Pies\nText\n", encoding="utf-8")
    options = ("--seed", seeds, "--out", tmp_path / "t", "--llm", llm, "--levels", 3, "--rounds", 1, "--target", 60)
    before = calls(llm)
    done = grow(*options)
    assert done.exit_code == 0, done.output
    version = read_version(tmp_path / "t")
    head, *rows = done.output.splitlines()
    assert head.split() == ["round", "level", "asked", "answers", "unusable", "proposed", "kept", "refused", "leaves"]
    numbers = [[int(cell) for cell in row.split()] for row in rows[:2]]
    assert [row[:3] for row in numbers] == [[1, 1, 2], [2, 2, 2 + numbers[0][6]]]
    assert all(row[5] == row[6] + row[7] for row in numbers)
    assert numbers[-1][8] == version.leaves
    assert f"{version.version}: {version.nodes} types, {version.leaves} leaves (2 on level 1" in done.output
    assert calls(llm) - before == sum(row[3] for row in numbers)
    assert f"{calls(llm) - before} answers, " in done.output
    again = grow(*options)
    assert (again.output, calls(llm) - before) == (done.output, sum(row[3] for row in numbers))


def test_a_spent_budget_is_said_and_more_of_it_goes_on(llm: str, tmp_path: Path) -> None:
    options = ("--moderation", "--levels", 3, "--rounds", 1, "--out", tmp_path, "--llm", llm, "--parallel", 1)
    ended = grow(*options, "--budget-tokens", 500)
    assert isinstance(ended.exception, CheckFailedError)
    assert "budget of 500 tokens" in str(ended.exception)
    assert "the same command with more goes on" in str(ended.exception)
    assert "the budget is spent" in ended.output
    assert grow(*options).exit_code == 0
    assert {node.path[0] for node in read_taxonomy(tmp_path).at_level(3)} == {
        "law_and_safety",
        "content_ethics",
        "commercial",
        "intellectual_property",
    }


def test_a_taxonomy_may_be_the_seed_and_one_without_the_top_labels_is_not_of_moderation(
    llm: str, tmp_path: Path
) -> None:
    write_taxonomy(taxonomy_of([("Charts", "Bars")]), tmp_path / "seed")
    options = ("--seed", tmp_path / "seed", "--levels", 2, "--rounds", 1, "--llm", llm)
    assert grow(*options, "--out", tmp_path / "t").exit_code == 0
    assert read_version(tmp_path / "t").parent == read_version(tmp_path / "seed").version
    refused = grow(*options, "--out", tmp_path / "m", "--moderation")
    assert isinstance(refused.exception, BadInputError)
    assert "--moderation with --seed" in str(refused.exception)


def test_an_endpoint_that_is_away_is_named(tmp_path: Path) -> None:
    gone = grow("--out", tmp_path, "--llm", "http://127.0.0.1:9/v1", "--timeout", "0.1")
    assert isinstance(gone.exception, DependencyError)
    assert "http://127.0.0.1:9/v1: does not answer in 0.3 s" in str(gone.exception)
    assert len(read_taxonomy(tmp_path).leaves) == 115
