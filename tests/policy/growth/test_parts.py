"""Parts of a stage: whole or not at all, done once, made of what they say."""

from pathlib import Path

import polars as pl
import pytest

from contracts.errors import BadInputError
from policy.growth.parts import (
    Totals,
    alone_in,
    check_ends_at,
    digest_of_part,
    dropped_of,
    is_done,
    part_at,
    parts_of,
    plan_digest,
    read_part,
    totals,
    write_part,
)

KEPT = {"picture_id": pl.String, "score": pl.Float32}
DROPPED = {"picture_id": pl.String, "reason": pl.String, "detail": pl.String}


def kept(*ids: str) -> pl.DataFrame:
    return pl.DataFrame({"picture_id": list(ids), "score": [0.5] * len(ids)}, schema=KEPT)


def dropped(*reasons: str) -> pl.DataFrame:
    n = len(reasons)
    return pl.DataFrame({"picture_id": ["x"] * n, "reason": list(reasons), "detail": [""] * n}, schema=DROPPED)


def write(folder: Path, i: int, *ids: str, reasons: tuple[str, ...] = ()) -> Path:
    write_part(folder, i, kept(*ids), dropped(*reasons), input="in", plan="plan")
    return part_at(folder, i)


def test_a_part_is_not_done_until_it_is_written_and_then_it_is(tmp_path: Path) -> None:
    assert not is_done(tmp_path / "stage", 0, input="in", plan="plan")
    path = write(tmp_path / "stage", 0, "a", "b", reasons=("duplicate",))
    assert is_done(tmp_path / "stage", 0, input="in", plan="plan")
    assert read_part(path, KEPT).equals(kept("a", "b"))
    assert read_part(dropped_of(path), DROPPED)["reason"].to_list() == ["duplicate"]
    assert sorted(file.name for file in path.parent.iterdir()) == ["dropped-00000.parquet", "part-00000.parquet"]


def test_a_part_of_another_input_or_of_other_settings_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, 0, "a")
    with pytest.raises(BadInputError, match=r"part-00000\.parquet: input == 'in', must be 'new'.*another input"):
        is_done(tmp_path, 0, input="new", plan="plan")
    with pytest.raises(BadInputError, match=r"plan == 'plan', must be 'new'.*other settings, take another folder"):
        is_done(tmp_path, 0, input="in", plan="new")


def test_what_was_dropped_is_there_before_the_part_and_a_crash_between_them_leaves_the_part_to_do(
    tmp_path: Path,
) -> None:
    part_at(tmp_path, 0).mkdir()  # no file takes the place of a folder: the run ends between the two
    with pytest.raises(IsADirectoryError):
        write(tmp_path, 0, "a", reasons=("torn",))
    part_at(tmp_path, 0).rmdir()
    assert dropped_of(part_at(tmp_path, 0)).exists()
    assert not is_done(tmp_path, 0, input="in", plan="plan")
    assert totals(tmp_path) == Totals(0, {})
    write(tmp_path, 0, "a")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["dropped-00000.parquet", "part-00000.parquet"]


def test_equal_rows_and_digests_give_equal_bytes(tmp_path: Path) -> None:
    one, other = write(tmp_path / "1", 0, "a", "b"), write(tmp_path / "2", 0, "a", "b")
    assert one.read_bytes() == other.read_bytes()
    assert digest_of_part(one) == digest_of_part(other) != digest_of_part(write(tmp_path / "3", 0, "a"))


def test_parts_come_in_order_and_a_gap_is_an_error(tmp_path: Path) -> None:
    assert parts_of(tmp_path / "none") == []
    for i in (2, 0, 1):
        write(tmp_path, i, str(i))
    assert [path.name for path in parts_of(tmp_path)] == [f"part-0000{i}.parquet" for i in range(3)]
    part_at(tmp_path, 1).unlink()
    with pytest.raises(BadInputError, match=r"part-00001\.parquet: is missing, later parts"):
        parts_of(tmp_path)


def test_a_stage_of_more_parts_than_its_input_makes_is_refused(tmp_path: Path) -> None:
    write(tmp_path, 0, "a")
    write(tmp_path, 1, "b")
    check_ends_at(tmp_path, 2)
    with pytest.raises(BadInputError, match=r"part-00001\.parquet: its input makes 1 parts"):
        check_ends_at(tmp_path, 1)


def test_totals_count_the_kept_and_the_dropped_by_reason(tmp_path: Path) -> None:
    assert totals(tmp_path) == Totals(0, {})
    write(tmp_path, 0, "a", "b", reasons=("torn", "duplicate"))
    write(tmp_path, 1, reasons=("torn",))
    write(tmp_path, 2, "c")
    assert totals(tmp_path) == Totals(3, {"duplicate": 1, "torn": 2})
    assert totals(tmp_path).n_in == 6


@pytest.mark.parametrize("keep", [0, 3, 100, -5])
def test_a_damaged_part_is_an_error_that_names_it(tmp_path: Path, keep: int) -> None:
    path = write(tmp_path, 0, "a", "b")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadInputError, match=r"part-00000\.parquet: cannot be read, it is damaged"):
        read_part(path, KEPT)
    with pytest.raises(BadInputError, match=r"part-00000\.parquet: cannot be read, it is damaged"):
        is_done(tmp_path, 0, input="in", plan="plan")
    with pytest.raises(BadInputError, match="damaged"):
        totals(tmp_path)


def test_a_missing_file_other_columns_and_somebody_elses_parquet_are_errors(tmp_path: Path) -> None:
    path = write(tmp_path, 0, "a")
    with pytest.raises(BadInputError, match=r"columns == picture_id String, score Float32, must be picture_id String"):
        read_part(path, {"picture_id": pl.String})
    with pytest.raises(BadInputError, match=r"part-00007\.parquet: is missing, its step has not run"):
        read_part(part_at(tmp_path, 7), KEPT)
    dropped_of(path).unlink()
    with pytest.raises(BadInputError, match=r"dropped-00000\.parquet: is missing"):
        is_done(tmp_path, 0, input="in", plan="plan")
    with pytest.raises(BadInputError, match=r"dropped-00000\.parquet.*is missing"):
        totals(tmp_path)
    kept("a").write_parquet(part_at(tmp_path, 1))
    with pytest.raises(BadInputError, match=r"part-00001\.parquet: names no input in its metadata"):
        is_done(tmp_path, 1, input="in", plan="plan")


def test_a_plan_is_of_its_stage_and_settings_in_any_order() -> None:
    assert plan_digest("match", {"k": 10, "px": 336}) == plan_digest("match", {"px": 336, "k": 10})
    assert len({plan_digest("match", {"k": 10}), plan_digest("match", {"k": 5}), plan_digest("strike", {"k": 10})}) == 3


def test_one_run_at_a_time_works_in_a_folder(tmp_path: Path) -> None:
    with (
        alone_in(tmp_path / "home"),
        pytest.raises(BadInputError, match="another run works in it"),
        alone_in(tmp_path / "home"),
    ):
        pass
    with alone_in(tmp_path / "home"):
        pass
