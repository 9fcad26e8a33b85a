"""Pictures into directions, part by part, and leaves into directions, kept with what they were made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contracts.errors import BadInputError
from contracts.growth import Origin, TypeNode, node_id_of
from policy.growth.encoders.dual import DualEncoder, Floats
from policy.growth.encoders.embed import DROPPED, embed, embeddings_schema, read_embeddings
from policy.growth.encoders.typed import TypeTexts, embed_types, read_types
from policy.growth.parts import Totals, digest_of_part, dropped_of, part_at, parts_of, read_part, write_part
from policy.growth.pictures.collect import DROPPED as PICTURES_DROPPED
from policy.growth.pictures.collect import KEPT as PICTURES
from policy.growth.pictures.decoding import Frame, picture_of_frame
from policy.growth.taxonomy.hierarchy import Taxonomy

RED, GREEN, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 0)


@dataclass
class ByColour:
    """An encoder without a model: a picture is its mean colour, a text the letters r, g and b in it."""

    name: str = "by-colour"
    dim: int = 3
    told: list[str] = field(default_factory=list)

    def pictures(self, frames: Sequence[Frame]) -> Floats:
        means = np.stack([frame.mean(axis=(0, 1)) for frame in frames]).astype(np.float32)
        with np.errstate(invalid="ignore"):
            return means / np.linalg.norm(means, axis=1, keepdims=True)

    def texts(self, texts: Sequence[str]) -> Floats:
        self.told += texts
        counts = np.array([[text.count(c) for c in "rgb"] for text in texts], np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def pictures_in(folder: Path, *parts: Sequence[Sequence[tuple[int, int, int]]]) -> Path:
    """A part of each list of pictures, a picture of as many frames as colours."""
    for i, part in enumerate(parts):
        rows = [
            (
                f"{i}-{row}",
                "file",
                [picture_of_frame(np.full((8, 8, 3), c, np.uint8), quality=95).jpeg for c in cs],
                8,
                8,
            )
            for row, cs in enumerate(part)
        ]
        kept = pl.DataFrame(rows, schema=dict(PICTURES), orient="row")
        write_part(folder, i, kept, pl.DataFrame(schema=dict(PICTURES_DROPPED)), input=f"in {i}", plan="plan")
    return folder


def embedded(home: Path, encoder: DualEncoder) -> Totals:
    steps: list[int] = []
    found = embed(home / "pictures", home / "embeddings", encoder, advance=steps.append)
    assert sum(steps) == found.n_in
    return found


def test_a_picture_is_its_direction_and_a_video_the_mean_of_its_frames(tmp_path: Path) -> None:
    pictures_in(tmp_path / "pictures", [[RED], [RED, GREEN], [GREEN, GREEN, RED]], [], [[GREEN]])
    assert embedded(tmp_path, ByColour()) == Totals(4, {})
    first, empty, last = (read_embeddings(part) for part in parts_of(tmp_path / "embeddings"))
    assert first[0] == ["0-0", "0-1", "0-2"]
    np.testing.assert_allclose(first[1], [[1, 0, 0], [0.5**0.5, 0.5**0.5, 0], [0.2**0.5, 0.8**0.5, 0]], atol=0.02)
    np.testing.assert_allclose(np.linalg.norm(first[1], axis=1), 1.0, rtol=1e-6)
    assert (empty[1].shape, last[0]) == ((0, 3), ["2-0"])


def test_a_picture_without_a_direction_is_dropped_and_counted(tmp_path: Path) -> None:
    pictures_in(tmp_path / "pictures", [[RED], [BLACK], [RED, BLACK]])
    assert embedded(tmp_path, ByColour()) == Totals(1, {"not_finite": 2})
    dropped = read_part(dropped_of(part_at(tmp_path / "embeddings", 0)), DROPPED)
    assert dropped["picture_id"].to_list() == ["0-1", "0-2"]


def test_a_run_that_ended_is_taken_up_to_the_same_bytes_and_another_encoder_is_refused(tmp_path: Path) -> None:
    pictures_in(tmp_path / "pictures", [[RED]], [[GREEN]], [[RED, GREEN]])
    whole = embedded(tmp_path, ByColour())
    digests = [digest_of_part(part) for part in parts_of(tmp_path / "embeddings")]
    for done in range(3):
        for part in parts_of(tmp_path / "embeddings")[done:]:
            part.unlink()
        assert embedded(tmp_path, ByColour()) == whole
        assert [digest_of_part(part) for part in parts_of(tmp_path / "embeddings")] == digests
    with pytest.raises(BadInputError, match="other settings"):
        embedded(tmp_path, ByColour(name="another"))
    pictures_in(tmp_path / "pictures", [[GREEN]])
    with pytest.raises(BadInputError, match="another input"):
        embedded(tmp_path, ByColour())


def test_a_damaged_picture_of_a_part_and_a_part_of_something_else_are_errors(tmp_path: Path) -> None:
    kept = pl.DataFrame([("0-0", "file", [b"no picture"], 8, 8)], schema=dict(PICTURES), orient="row")
    dropped = pl.DataFrame(schema=dict(PICTURES_DROPPED))
    write_part(tmp_path / "pictures", 0, kept, dropped, input="in", plan="plan")
    with pytest.raises(BadInputError, match="is no picture"):
        embedded(tmp_path, ByColour())
    with pytest.raises(BadInputError, match="must be picture_id String, embedding Array"):
        read_embeddings(part_at(tmp_path / "pictures", 0))


def taxonomy_of(*paths: tuple[str, ...]) -> Taxonomy:
    return Taxonomy(tuple(TypeNode(node_id=node_id_of(path), path=path, origin=Origin.SEED) for path in paths))


COLOURS = taxonomy_of(("things",), ("things", "red"), ("things", "green"), ("blue",))


def typed(home: Path, encoder: ByColour, texts: TypeTexts, *, version: str = "g-1") -> Floats:
    found = embed_types(home, COLOURS, version, encoder, texts, advance=lambda _: None)
    assert found.node_ids == [node_id_of(path) for path in (("blue",), ("things", "green"), ("things", "red"))]
    return found.embeddings


def test_leaves_are_embedded_once_by_what_the_encoder_is_shown_of_them(tmp_path: Path) -> None:
    encoder = ByColour()
    found = typed(tmp_path, encoder, TypeTexts(template="rgb {}"))
    assert encoder.told == ["rgb blue", "rgb green", "rgb red"]
    np.testing.assert_allclose(found[0], np.array([1, 1, 2]) / 6**0.5, rtol=1e-6)
    np.testing.assert_array_equal(typed(tmp_path, encoder, TypeTexts(template="rgb {}")), found)
    assert len(encoder.told) == 3, "they are read where they are kept"
    typed(tmp_path, encoder, TypeTexts("path", "{}"))
    assert encoder.told[3:] == ["blue", "things, green", "things, red"]
    assert read_types(tmp_path / "types.parquet", 3).digest != ""


def test_types_that_pictures_are_matched_with_are_not_replaced(tmp_path: Path) -> None:
    texts = TypeTexts(template="{}")
    typed(tmp_path, ByColour(), texts)
    write_part(tmp_path / "matches", 0, pl.DataFrame({"a": [1]}), pl.DataFrame(schema=dict(DROPPED)), input="", plan="")
    typed(tmp_path, ByColour(), texts)
    for name, asked in (
        ("version == 'g-1', must be 'g-2'", {"version": "g-2", "encoder": ByColour(), "texts": texts}),
        ("encoder == 'by-colour', must be 'new'", {"encoder": ByColour(name="new"), "texts": texts}),
        ("template == '{}', must be 'a {}'", {"encoder": ByColour(), "texts": TypeTexts(template="a {}")}),
        ("shown == 'name', must be 'path'", {"encoder": ByColour(), "texts": TypeTexts("path", "{}")}),
    ):
        with pytest.raises(BadInputError, match=name):
            typed(tmp_path, **asked)  # type: ignore[arg-type]


def test_a_template_holds_the_mark_once() -> None:
    for template in ("a photo", "{} and {}"):
        with pytest.raises(BadInputError, match=r"must hold \{\} once"):
            TypeTexts(template=template)


def test_a_schema_is_of_its_width() -> None:
    assert embeddings_schema(3) != embeddings_schema(4)
