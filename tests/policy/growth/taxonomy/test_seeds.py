"""Seed files: a type a line, and what is wrong with a line by its number."""

from pathlib import Path

import pytest

from contracts.errors import BadInputError
from policy.growth.taxonomy.seeds import SEEDS, read_seeds


def seeds(folder: Path, text: str) -> Path:
    path = folder / "seeds.txt"
    path.write_bytes(text.encode())
    return path


def test_levels_are_trimmed_and_comments_and_blank_lines_say_nothing(tmp_path: Path) -> None:
    text = "\ufeff# what pictures ask\r\n\r\n Charts ~  Bar   chart \r\n  # more\r\nCharts\r\n图表~柱状图"
    labels = [node.label for node in read_seeds(seeds(tmp_path, text)).nodes]
    assert labels == ["Charts", "Charts~Bar chart", "图表", "图表~柱状图"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("A~~B", "level == '', must be printable and have a letter or a digit"),
        ("A~", "level == ''"),
        ("A~B\x07", r"level == 'B\\\\x07', must be printable"),
        ("A~?!", r"level == '\?!', must be printable and have a letter or a digit"),
        ("A~" + "b" * 121, "level has 121 characters, must have at most 120"),
        ("~".join("ABCDEFGHI"), "type has 9 levels, must have at most 8"),
        ("first~ONE", "type == 'first~ONE', must be told once, it is on line 2"),
        ("first~Two", "level == 'first', must be 'First' as on line 2"),
    ],
)
def test_a_wrong_line_is_named_with_its_value_and_its_rule(tmp_path: Path, line: str, said: str) -> None:
    path = seeds(tmp_path, f"# head\nFirst~one\n{line}\n")
    with pytest.raises(BadInputError, match=rf"seeds\.txt:3: {said}"):
        read_seeds(path)


def test_a_file_without_a_type_that_is_missing_or_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"seeds\.txt: holds no type"):
        read_seeds(seeds(tmp_path, "# nothing\n"))
    with pytest.raises(BadInputError, match=r"none\.txt: cannot be read"):
        read_seeds(tmp_path / "none.txt")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(BadInputError, match=r"latin\.txt: cannot be read"):
        read_seeds(tmp_path / "latin.txt")


def test_the_general_seeds_are_115_types_below_12_roots() -> None:
    general = read_seeds(SEEDS)
    assert (len(general.leaves), len(general.roots), {len(node.path) for node in general.leaves}) == (115, 12, {2})
