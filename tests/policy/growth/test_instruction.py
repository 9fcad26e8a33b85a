"""What a growth run exports is read back, picture by picture, as rows that supervised fine-tuning takes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from contracts.errors import BadInputError
from policy.growth.instruction import rows_of_dataset, rows_of_export, rows_of_llava
from policy.growth.parts import write_part
from policy.growth.pictures.collect import KEPT as PICTURES
from policy.growth.pictures.decoding import frame_of_picture, picture_of_frame
from policy.growth.samples.export import DATASETS, export
from policy.growth.samples.referee import KEPT as JUDGED
from policy.reasoning.models.checkpoint import read_checkpoint
from policy.reasoning.models.tiny import TinySizes, build_tiny
from policy.reasoning.rows import texts_of
from policy.reasoning.training.sft import SftSettings, run_sft
from policy.reasoning.training.tables import sft_table
from simulation.subtypes.uploads import draw_subtypes, stills_of

NOTHING = pl.DataFrame(schema={"reason": pl.String})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures, of one and of two frames, with three samples on them."""
    home = tmp_path_factory.mktemp("growth") / "home"
    frames = [frame for video in draw_subtypes(3, 1) for frame in stills_of(video, 1, 32)]
    jpegs = [picture_of_frame(frame, quality=95).jpeg for frame in frames]
    pictures = pl.DataFrame(
        {"picture_id": ["aa", "bb"], "source": ["a", "b"], "frames": [jpegs[:1], jpegs[1:]]}
        | {"width": [32, 32], "height": [32, 32]},
        schema=PICTURES,
    )
    judged = pl.DataFrame(
        [
            ("s1", "aa", "t-1", "What is shown?", "A brawl.", [1, 1, 0]),
            ("s2", "bb", "t-1", "Is it a raffle?", "no", [1, 1, 1]),
            ("s3", "bb", "t-2", "哪一类？", "抽奖", [1, None, 1]),
        ],
        schema=JUDGED,
        orient="row",
    )
    write_part(home / "pictures", 0, pictures, NOTHING, input="i", plan="p")
    write_part(home / "judged", 0, judged, NOTHING, input="i", plan="p")
    export(home, home.parent / "out", datasets=True)
    return home.parent / "out"


def sample(**changed: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A raffle."}]
    return {"id": "s1", "image": "one.jpg", "conversations": turns, **changed}


def said(*values: str) -> list[dict[str, str]]:
    return [{"from": side, "value": value} for side, value in zip(["human", "gpt"] * 4, values, strict=False)]


def write(folder: Path, *samples: Any) -> Path:
    frame = np.full((8, 8, 3), 99, np.uint8)
    (folder / "one.jpg").write_bytes(picture_of_frame(frame, quality=95).jpeg)
    file = folder / "conversations.json"
    file.write_text(json.dumps(list(samples)), "utf-8")
    return file


def test_an_export_comes_back_as_it_was_asked_and_shown(exported: Path) -> None:
    rows = list(rows_of_export(exported))
    assert [(row.row_id, row.task, row.completion, row.solution) for row in rows] == [
        ("s1", "instruction", "A brawl.", "A brawl."),
        ("s2", "instruction", "no", "no"),
        ("s3", "instruction", "抽奖", "抽奖"),
    ]
    assert [len(row.pictures) for row in rows] == [1, 2, 2]
    kinds = [[part["type"] for part in row.messages[0]["content"]] for row in rows]
    assert kinds == [["image_url", "text"], ["image_url", "image_url", "text"], ["image_url", "image_url", "text"]]
    assert rows[1].messages[0]["content"][-1] == {"type": "text", "text": "Is it a raffle?"}
    jpeg = (exported / "images" / "aa" / "aa.jpg").read_bytes()
    assert (rows[0].pictures[0] == frame_of_picture(jpeg)).all()


def test_the_datasets_folder_holds_the_same_rows(exported: Path) -> None:
    ours, theirs = list(rows_of_export(exported)), list(rows_of_dataset(exported / DATASETS))
    assert [(row.row_id, row.completion, texts_of([row])) for row in ours] == [
        (row.row_id, row.completion, texts_of([row])) for row in theirs
    ]
    for one, other in zip(ours, theirs, strict=True):
        for frame, again in zip(one.pictures, other.pictures, strict=True):
            assert (frame == again).all()


def test_fine_tuning_learns_from_them(exported: Path, tmp_path: Path) -> None:
    rows = list(rows_of_export(exported))
    assert sft_table(rows).column_names == ["prompt", "images", "completion"]
    sizes = TinySizes(vocabulary=400, hidden=32, layers=1, heads=2, vision_hidden=32, vision_depth=1)
    build_tiny(tmp_path / "built", texts_of(rows), sizes=sizes)
    start = read_checkpoint(tmp_path / "built")
    before = {name: weights.clone() for name, weights in start.model.named_parameters()}
    told: list[str] = []
    settings = SftSettings(steps=2, batch=3, learning_rate=1e-3, save_every=2)
    model = run_sft(start, rows, tmp_path / "run", settings, tick=told.append)
    assert told == ["sft: 3 rows, 2 steps of 3"]
    assert any((weights != before[name]).any() for name, weights in model.named_parameters())


def test_earlier_turns_are_asked_with_and_the_last_is_right(tmp_path: Path) -> None:
    turns = said("Look. <image> What is it?", "A shop.", "And now: <image>", "A raffle.")
    file = write(tmp_path, sample(image=["one.jpg", "one.jpg"], conversations=turns))
    (row,) = rows_of_llava(file, tmp_path)
    assert [message["role"] for message in row.messages] == ["user", "assistant", "user"]
    assert [part.get("text") for part in row.messages[0]["content"]] == ["Look.", None, "What is it?"]
    assert row.messages[1]["content"] == "A shop."
    assert row.completion == "A raffle."
    assert len(row.pictures) == 2


def test_samples_may_stand_a_line_and_may_have_no_picture(tmp_path: Path) -> None:
    plain = sample(conversations=said("How many levels?", "Eight."))
    del plain["image"]
    file = tmp_path / "lines.jsonl"
    file.write_text(f"{json.dumps(plain)}\n\n{json.dumps(plain | {'id': 's2'})}\n", "utf-8")
    rows = list(rows_of_llava(file, tmp_path))
    assert [(row.row_id, row.pictures) for row in rows] == [("s1", []), ("s2", [])]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (sample(conversations=said("<image> a", "b", "c")), "turns are of human, gpt, human"),
        (sample(conversations=said("<image> a", " ")), "a turn says nothing"),
        (sample(conversations=said("<image> a", "see <image>")), "an answer holds <image>"),
        (sample(conversations=said("a", "b")), r"1 pictures, must be one for each of 0 <image> .*sample 0"),
        (sample(image=None), "0 pictures, must be one for each of 1"),
        (sample(image="../one.jpg"), "must lie below"),
        (sample(image="two.jpg"), "No such file"),
        (sample(image=7), "image"),
        (sample(extra=1), "extra"),
        ("text", "sample 0"),
    ],
)
def test_what_breaks_the_format_is_refused_with_its_place(tmp_path: Path, bad: Any, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        list(rows_of_llava(write(tmp_path, bad), tmp_path))


def test_a_picture_alone_is_a_question(tmp_path: Path) -> None:
    (row,) = rows_of_llava(write(tmp_path, sample(conversations=said("<image>", "A raffle."))), tmp_path)
    assert [part["type"] for part in row.messages[0]["content"]] == ["image_url"]


def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('[{"id": ', "utf-8")
    with pytest.raises(BadInputError, match=r"half\.json: .*must be JSON"):
        list(rows_of_llava(tmp_path / "half.json", tmp_path))
    with pytest.raises(BadInputError, match="must be conversations in JSON"):
        list(rows_of_export(tmp_path))
    with pytest.raises(BadInputError, match="must be a datasets folder"):
        list(rows_of_dataset(tmp_path))
