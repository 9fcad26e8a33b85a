"""Pictures of a source into parts: each content once, what cannot be used counted, and a run that ends is taken up."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from contracts.errors import BadInputError
from policy.growth.parts import Totals, dropped_of, parts_of, read_part
from policy.growth.pictures.collect import DROPPED, KEPT, collect
from policy.growth.pictures.decoders import PictureSettings
from policy.growth.pictures.decoding import PictureLimits, frame_of_picture
from policy.growth.pictures.sources import open_pictures
from simulation.uploads import Simulation, write_uploads
from tests.policy.growth.pictures.files import encoded, folder_of, painted

FOURS = PictureSettings(px=32, part=4)


def collected(source: Path, out: Path, settings: PictureSettings = FOURS, **options: Any) -> Totals:
    told = {"column": "image", "roots": (), "limits": settings.limits, **options}
    steps: list[int] = []
    pictures = open_pictures(source, **told)
    found = collect(pictures, out, settings, advance=steps.append)
    assert sum(steps) == pictures.n == found.n_in
    return found


def kept_in(out: Path) -> pl.DataFrame:
    return pl.concat([read_part(part, KEPT) for part in parts_of(out)])


def dropped_in(out: Path) -> list[tuple[Any, ...]]:
    return pl.concat([read_part(dropped_of(part), DROPPED) for part in parts_of(out)]).rows()


def bytes_in(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def test_a_folder_is_gone_through_to_its_depths_in_the_order_of_its_paths(tmp_path: Path) -> None:
    assert collected(folder_of(tmp_path / "in", 6), tmp_path / "out") == Totals(6, {})
    kept = kept_in(tmp_path / "out")
    assert kept["source"].to_list() == ["0/000.jpg", "0/002.webp", "0/004.png", "1/001.png", "1/003.jpg", "1/005.webp"]
    assert kept["picture_id"].str.len_chars().unique().to_list() == [32]
    assert kept["picture_id"].n_unique() == 6
    assert [len(frames) for frames in kept["frames"]] == [1] * 6
    assert kept.select("width", "height").unique().rows() == [(32, 24)]
    assert [part.name for part in parts_of(tmp_path / "out")] == ["part-00000.parquet", "part-00001.parquet"]


def test_a_picture_id_is_of_the_source_content_alone(tmp_path: Path) -> None:
    for folder, px in (("a", 32), ("b", 16)):
        collected(folder_of(tmp_path / folder, 3), tmp_path / f"{folder}-out", PictureSettings(px=px, part=4))
    one, other = kept_in(tmp_path / "a-out"), kept_in(tmp_path / "b-out")
    assert one["picture_id"].to_list() == other["picture_id"].to_list()
    assert one["frames"].to_list() != other["frames"].to_list()


def test_what_is_there_twice_is_kept_once_and_the_first_is_named_in_the_same_part_and_across_parts(
    tmp_path: Path,
) -> None:
    source = folder_of(tmp_path / "in", 6)
    shutil.copy(source / "0/000.jpg", source / "0/001-again.jpg")
    shutil.copy(source / "0/000.jpg", source / "9.jpg")
    shutil.copy(source / "1/005.webp", source / "9.webp")
    assert collected(source, tmp_path / "out") == Totals(6, {"duplicate": 3})
    assert dropped_in(tmp_path / "out") == [
        ("0/001-again.jpg", "duplicate", "0/000.jpg"),
        ("9.jpg", "duplicate", "0/000.jpg"),
        ("9.webp", "duplicate", "1/005.webp"),
    ]


def test_what_cannot_be_used_is_dropped_with_its_reason_and_the_counts_agree(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", 3)
    (source / "cut.jpg").write_bytes((source / "0/000.jpg").read_bytes()[:300])
    (source / "cut-again.jpg").write_bytes((source / "0/000.jpg").read_bytes()[:300])
    (source / "empty.png").touch()
    (source / "notes.txt").write_text("not a picture")
    (source / "wide.png").write_bytes(encoded(painted(7, 200, 100), "PNG"))
    (source / "heavy.png").write_bytes(b"x" * 5_000)
    (source / "gone.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(source / "pipe.jpg")
    (source / ".hidden.jpg").write_bytes(b"left out")
    settings = PictureSettings(px=32, part=4, limits=PictureLimits(bytes=4_000, pixels=10_000))
    assert collected(source, tmp_path / "out", settings) == Totals(
        3,
        {
            "empty": 1,
            "missing": 1,
            "not_a_file": 1,
            "too_many_bytes": 1,
            "too_many_pixels": 1,
            "truncated": 2,
            "unreadable": 1,
        },
    )
    told = {source: detail for source, _, detail in dropped_in(tmp_path / "out")}
    assert told["wide.png"] == "pixels of 200 x 100 == 20000, must be at most 10000"
    assert told["heavy.png"] == "size in bytes == 5000, must be at most 4000"
    assert told["notes.txt"] == "is no picture, must be JPEG, PNG or WebP"


def test_a_run_that_ended_at_any_part_is_taken_up_to_the_same_bytes(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", 13)
    shutil.copy(source / "0/000.jpg", source / "9.jpg")
    (source / "8.jpg").write_bytes(b"no picture")
    collected(source, tmp_path / "whole")
    whole = bytes_in(tmp_path / "whole")
    assert len(parts_of(tmp_path / "whole")) == 4
    for done in range(5):
        out = tmp_path / f"after-{done}"
        shutil.copytree(tmp_path / "whole", out)
        for part in parts_of(out)[done:]:
            part.unlink()
            if part.name != f"part-{done:05d}.parquet":  # what was dropped of the part in hand is there already
                dropped_of(part).unlink()
        (out / f".part-{done:05d}.parquet.draft").write_bytes(b"half a part")
        collected(source, out)
        (out / ".part-00004.parquet.draft").unlink(missing_ok=True)
        assert bytes_in(out) == whole


def test_other_settings_and_another_source_are_refused(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", 9)
    collected(source, tmp_path / "out")
    with pytest.raises(BadInputError, match=r"other settings, take another folder"):
        collected(source, tmp_path / "out", PictureSettings(px=33, part=4))
    (source / "0/004.png").write_bytes(encoded(painted(77), "PNG"))
    with pytest.raises(BadInputError, match=r"part-00000\.parquet: input == .* another input"):
        collected(source, tmp_path / "out")


def test_a_source_that_lost_its_last_part_is_another_source(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", 5)
    collected(source, tmp_path / "out")
    (source / "1/003.jpg").unlink()
    with pytest.raises(BadInputError, match=r"part-00001\.parquet: its input makes 1 parts"):
        collected(source, tmp_path / "out")


def images(values: Sequence[object], *, struct: bool) -> pl.DataFrame:
    if struct:
        kind = pl.Struct({"bytes": pl.Binary, "path": pl.String})
        return pl.DataFrame(
            {"image": [None if v is None else {"bytes": v, "path": "x.jpg"} for v in values]}, schema={"image": kind}
        )
    return pl.DataFrame({"image": values, "label": [0] * len(values)}, schema={"image": pl.Binary, "label": pl.Int64})


@pytest.mark.parametrize("struct", [False, True], ids=["bytes", "image of a data set"])
def test_a_parquet_file_or_folder_holds_bytes_in_a_column_or_in_its_field(tmp_path: Path, *, struct: bool) -> None:
    contents = [encoded(painted(i)) for i in range(5)]
    (tmp_path / "in").mkdir()
    images([*contents[:3], None], struct=struct).write_parquet(tmp_path / "in" / "a.parquet", row_group_size=2)
    images([contents[3], contents[0]], struct=struct).write_parquet(tmp_path / "in" / "b.parquet")
    assert collected(tmp_path / "in", tmp_path / "out") == Totals(4, {"duplicate": 1, "missing": 1})
    assert kept_in(tmp_path / "out")["source"].to_list() == [*(f"a.parquet:{i}" for i in range(3)), "b.parquet:0"]
    assert [(source, reason) for source, reason, _ in dropped_in(tmp_path / "out")] == [
        ("a.parquet:3", "missing"),
        ("b.parquet:1", "duplicate"),
    ]
    assert collected(tmp_path / "in" / "b.parquet", tmp_path / "one") == Totals(2, {})
    images([b""], struct=struct).rename({"image": "photo"}).write_parquet(tmp_path / "other.parquet")
    assert collected(tmp_path / "other.parquet", tmp_path / "other", column="photo") == Totals(0, {"empty": 1})


def test_a_path_that_holds_no_pictures_is_refused_with_what_it_must_be(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInputError, match=r"empty: holds no pictures"):
        collected(tmp_path / "empty", out)
    with pytest.raises(BadInputError, match=r"nowhere: is not there, must be a folder, or end in .parquet, .jsonl"):
        collected(tmp_path / "nowhere", out)
    with pytest.raises(BadInputError, match=r"none.parquet: is not there"):
        collected(tmp_path / "none.parquet", out)
    with pytest.raises(BadInputError, match=r"none.jsonl: is not a file"):
        collected(tmp_path / "none.jsonl", out)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(BadInputError, match=r"bad.parquet: cannot be read as Parquet"):
        collected(tmp_path / "bad.parquet", out)
    pl.DataFrame({"image": [1]}).write_parquet(tmp_path / "ints.parquet")
    with pytest.raises(BadInputError, match=r"ints.parquet: image is int64, must be bytes"):
        collected(tmp_path / "ints.parquet", out)
    with pytest.raises(BadInputError, match=r"ints.parquet: has columns image; one must be 'photo'"):
        collected(tmp_path / "ints.parquet", out, column="photo")
    both = folder_of(tmp_path / "both", 1)
    images([b"x"], struct=False).write_parquet(both / "a.parquet")
    with pytest.raises(BadInputError, match=r"holds 0/000.jpg beside a.parquet, must be pictures or Parquet, not both"):
        collected(both, out)
    assert not out.exists()


def test_videos_of_uploads_are_kept_as_frames_by_their_video_ids(tmp_path: Path) -> None:
    write_uploads(tmp_path / "in", Simulation(3, 1), workers=1)
    lines = (tmp_path / "in" / "uploads.jsonl").read_text().splitlines()
    ids = [line.split('"video_id":"')[1].split('"')[0] for line in lines]
    media = sorted((tmp_path / "in" / "media").iterdir())
    settings = PictureSettings(px=64, part=2, frames=3)
    whole = collected(tmp_path / "in" / "uploads.jsonl", tmp_path / "out", settings)
    assert whole == Totals(3, {})
    kept = kept_in(tmp_path / "out")
    assert kept["source"].to_list() == ids
    assert [len(frames) for frames in kept["frames"]] == [3, 3, 3]
    assert frame_of_picture(kept["frames"][0][1]).shape == (64, 64, 3)
    media[1].write_bytes(media[1].read_bytes()[:500])
    media[2].unlink()
    broken = collected(tmp_path / "in" / "uploads.jsonl", tmp_path / "broken", settings)
    assert broken.kept == 1
    assert sum(broken.dropped.values()) == 2
    assert broken.dropped["unreachable"] == 1
    elsewhere = collected(tmp_path / "in" / "uploads.jsonl", tmp_path / "roots", settings, roots=(tmp_path / "out",))
    assert elsewhere == Totals(0, {"outside_roots": 3})
