"""JSON lines are read one by one, and what is wrong is named by its line."""

from pathlib import Path

import pytest

from contracts.errors import BadInputError
from contracts.lines import read_lines
from contracts.releases import Pin

ONE, TWO = Pin(release_version=1, casebook_version=2), Pin(release_version=3, casebook_version=4)


def test_records_come_in_order_and_empty_lines_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "pins.jsonl").write_text(f"{ONE.model_dump_json()}\n\n{TWO.model_dump_json()}")
    assert list(read_lines(tmp_path / "pins.jsonl", Pin)) == [ONE, TWO]


def test_what_was_right_before_a_broken_line_is_read_and_the_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "pins.jsonl").write_text(f'{ONE.model_dump_json()}\n\n{{"release_version": 0}}\n')
    lines = read_lines(tmp_path / "pins.jsonl", Pin)
    assert next(lines) == ONE
    with pytest.raises(BadInputError, match=r"pins\.jsonl:3: release_version == 0: .*greater than or equal to 1"):
        next(lines)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"none\.jsonl: No such file or directory, must be a file of JSON lines"):
        list(read_lines(tmp_path / "none.jsonl", Pin))
