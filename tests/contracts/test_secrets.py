"""secret_in: from the variable or the file, one of them, and never shown."""

from pathlib import Path

import pytest

from contracts.errors import BadInputError
from contracts.secrets import secret_in


def test_the_variable_or_the_file_without_the_space_around_it_gives_the_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("  s3cret \n")
    assert secret_in({"A": "given"}, "A") == "given"
    assert secret_in({"A": " kept as it is "}, "A") == " kept as it is "
    assert secret_in({"A_FILE": str(tmp_path / "secret")}, "A") == "s3cret"
    assert secret_in({"A": "", "A_FILE": str(tmp_path / "secret")}, "A") == "s3cret"
    assert secret_in({"B": "other", "A_FILE": ""}, "A") is None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff", "is not text"),
        (b"x" * 70_000, "65536"),
    ],
)
def test_a_file_that_holds_no_secret_is_named_with_its_variable(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(BadInputError, match=complaint) as refused:
        secret_in({"A_FILE": str(tmp_path / "secret")}, "A")
    assert str(refused.value).startswith(f"A_FILE == '{tmp_path}/secret': ")


def test_two_ways_at_once_are_refused_and_no_value_is_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the-one")
    with pytest.raises(BadInputError, match="A and A_FILE are both given") as refused:
        secret_in({"A": "the-other", "A_FILE": str(tmp_path / "secret")}, "A")
    assert "the-o" not in str(refused.value)
