"""What the referees passed is written once, whole or not at all, and is read back as it was."""

import json
from pathlib import Path

import pytest

from contracts.errors import BadInputError
from policy.growth.instruction import rows_of_dataset, rows_of_export, rows_of_llava
from policy.growth.pictures.decoding import frame_of_picture
from policy.growth.samples.export import CONVERSATIONS, DATASETS, IMAGES, Exported, conversation, export, names_of
from policy.growth.samples.referee import KEPT as JUDGED
from tests.policy.growth.calls.saying import files_of
from tests.policy.growth.samples.home import jpeg, part, picture_id, write_pictures

ODD = ' "quoted" \\ and\n\tlines\0, 茶 😀 \u2028 </s> {"type": 1} '


def judged(home: Path) -> Path:
    """Three pictures in two parts, one of three frames; of a fourth no sample passed, and of part 1 none did."""
    write_pictures(home, {10: [jpeg(1)], 11: [jpeg(2), jpeg(3), jpeg(4)], 13: [jpeg(5)]}, {}, {12: [jpeg(6)]})
    ids = [picture_id(n) for n in (10, 11, 12)]
    part(
        home / "judged",
        0,
        JUDGED,
        [
            ("s1", ids[0], "t-1", "What is shown?", "Bars.", [1, 1, 0]),
            ("s2", ids[0], "t-2", ODD, ODD, [1, 1, 1]),
            ("s3", ids[1], "t-1", "Who moves?", "Nobody.", [None, 1, 1]),
        ],
    )
    part(home / "judged", 1, JUDGED, [])
    part(home / "judged", 2, JUDGED, [("s4", ids[2], "t-1", "What is shown?", "Bars.", [1, 1, 1])])
    return home


def test_conversations_are_in_the_order_of_the_parts_with_a_mark_for_each_frame(tmp_path: Path) -> None:
    advanced = list[int]()
    assert export(judged(tmp_path / "home"), tmp_path / "out", advance=advanced.append) == Exported(4, 3)
    assert advanced == [1, 1, 1]
    one, two, three = (f"00/{picture_id(n)}" for n in (10, 11, 12))
    assert json.loads((tmp_path / "out" / CONVERSATIONS).read_bytes()) == [
        conversation("s1", [f"{one}.jpg"], "What is shown?", "Bars."),
        conversation("s2", [f"{one}.jpg"], ODD, ODD),
        {
            "id": "s3",
            "image": [f"{two}-0.jpg", f"{two}-1.jpg", f"{two}-2.jpg"],
            "conversations": [
                {"from": "human", "value": "<image>\n<image>\n<image>\nWho moves?"},
                {"from": "gpt", "value": "Nobody."},
            ],
        },
        {
            "id": "s4",
            "image": f"{three}.jpg",
            "conversations": [
                {"from": "human", "value": "<image>\nWhat is shown?"},
                {"from": "gpt", "value": "Bars."},
            ],
        },
    ]


def test_pictures_are_there_by_the_names_that_conversations_give_and_no_others(tmp_path: Path) -> None:
    export(judged(tmp_path / "home"), tmp_path / "out")
    images = {str(path.relative_to(tmp_path / "out" / IMAGES)): path for path in (tmp_path / "out").rglob("*.jpg")}
    named = {10: [jpeg(1)], 11: [jpeg(2), jpeg(3), jpeg(4)], 12: [jpeg(6)]}
    expected = {
        name: frame
        for number, frames in named.items()
        for name, frame in zip(names_of(picture_id(number), len(frames)), frames, strict=True)
    }
    assert {name: path.read_bytes() for name, path in images.items()} == expected
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [CONVERSATIONS, IMAGES]


def test_fine_tuning_reads_what_was_judged(tmp_path: Path) -> None:
    export(judged(tmp_path / "home"), tmp_path / "out")
    rows = list(rows_of_llava(tmp_path / "out" / CONVERSATIONS, tmp_path / "out" / IMAGES))
    assert [(row.row_id, row.completion) for row in rows] == [
        ("s1", "Bars."),
        ("s2", ODD.strip()),
        ("s3", "Nobody."),
        ("s4", "Bars."),
    ]
    assert rows[1].messages[0]["content"][-1]["text"] == ODD.strip()
    assert [len(row.pictures) for row in rows] == [1, 1, 3, 1]
    for shown, shade in zip(rows[2].pictures, (2, 3, 4), strict=True):
        assert (shown == frame_of_picture(jpeg(shade))).all()


def test_the_datasets_folder_is_the_same_data_and_hangs_on_it_alone(tmp_path: Path) -> None:
    for name in ("one", "another"):
        export(judged(tmp_path / name / "home"), tmp_path / name / "out", datasets=True)
    one, another = (tmp_path / name / "out" for name in ("one", "another"))
    assert files_of(one / DATASETS) == files_of(another / DATASETS)
    assert sorted(path.name for path in one.iterdir()) == [CONVERSATIONS, DATASETS, IMAGES]
    for ours, theirs in zip(rows_of_export(one), rows_of_dataset(one / DATASETS), strict=True):
        assert (ours.row_id, ours.completion) == (theirs.row_id, theirs.completion)
        for shown, again in zip(ours.pictures, theirs.pictures, strict=True):
            assert (shown == again).all()


def test_an_export_takes_nobodys_place(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(BadInputError, match="out: is there already, must be a new folder"):
        export(judged(tmp_path / "home"), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_nothing_to_export_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="judged: holds no part, `precedent taxonomy referee` makes them"):
        export(tmp_path / "home", tmp_path / "out")
    write_pictures(tmp_path / "home", {10: [jpeg(1)]})
    part(tmp_path / "home" / "judged", 0, JUDGED, [])
    with pytest.raises(BadInputError, match="judged: holds no sample that was let pass, there must be one to export"):
        export(tmp_path / "home", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_an_export_that_ends_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    home = judged(tmp_path / "home")
    part(home / "judged", 2, JUDGED, [("s4", picture_id(99), "t-1", "What?", "That.", [1, 1, 1])])
    with pytest.raises(BadInputError, match=rf"pictures/part-00002\.parquet: holds no picture '{picture_id(99)}'"):
        export(home, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
