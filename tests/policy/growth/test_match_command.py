"""`precedent taxonomy match` from files to files, as somebody types it; and its benchmark in small."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from bench.growth.match import measure
from contracts.errors import BadInputError
from contracts.growth import Origin, TypeNode, node_id_of
from policy.growth.commands.match import match
from policy.growth.encoders.tiny import TinySettings, train_tiny
from policy.growth.match import KEPT
from policy.growth.parts import parts_of, read_part
from policy.growth.taxonomy.folder import write_taxonomy
from policy.growth.taxonomy.hierarchy import Taxonomy
from tests.policy.growth.pictures.files import encoded

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "white": (230, 230, 230)}
PATHS = [("plain",), *(("plain", name) for name in COLOURS)]
COLOURS_TAUGHT = TinySettings(side=16, patch=4, hidden=32, layers=1, dim=16, steps=60, batch=16, rate=3e-3, warm_up=10)


def plain(name: str, seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).normal(0, 20, (24, 32, 3))
    return Image.fromarray((np.array(COLOURS[name]) + noise).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A taxonomy, an encoder that knows its leaves, and a folder of 12 pictures, one twice, and one that is none."""
    root = tmp_path_factory.mktemp("match")
    nodes = [TypeNode(node_id=node_id_of(path), path=path, origin=Origin.SEED) for path in PATHS]
    write_taxonomy(Taxonomy(tuple(nodes)), root / "taxonomy")
    pairs = [(np.asarray(plain(name, seed)), name) for seed in range(20) for name in COLOURS]
    train_tiny(pairs, root / "encoder", COLOURS_TAUGHT)
    (root / "pictures").mkdir()
    for i, name in enumerate([*COLOURS] * 3):
        (root / "pictures" / f"{name}-{i:02d}.png").write_bytes(encoded(plain(name, 100 + i), "PNG"))
    shutil.copy(root / "pictures" / "red-00.png", root / "pictures" / "zz-again.png")
    (root / "pictures" / "notes.txt").write_text("no picture")
    return root


def typed(given: Path, home: Path, *options: str) -> list[str]:
    named = {"taxonomy": "taxonomy", "pictures": "pictures", "encoder": "encoder"}
    words = [str(home), *(word for name, at in named.items() for word in (f"--{name}", str(given / at)))]
    done = CliRunner().invoke(match, [*words, "--template", "{}", "--part", "5", *options], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output.splitlines()


def test_pictures_are_matched_with_the_leaves_and_all_are_counted(given: Path, tmp_path: Path) -> None:
    said = typed(given, tmp_path / "home", "--k", "2")
    assert said[0] == "pictures: 14 in = 12 kept + 2 dropped (duplicate 1, unreadable 1)"
    assert said[1].startswith("types: 4 leaves of g-")
    assert said[2:] == ["embeddings: 12 in = 12 kept + 0 dropped", "matches: 12 in = 12 kept + 0 dropped"]
    files = {path: path.read_bytes() for path in (tmp_path / "home").rglob("*.parquet")}
    assert len(files) == 1 + 3 * 2 * 3, "the types, and 3 parts of each stage with what they dropped"
    pictures, matches = (
        [row for part in parts_of(tmp_path / "home" / stage) for row in _rows(part, stage)]
        for stage in ("pictures", "matches")
    )
    leaf_of = {node_id_of(path): path[-1] for path in PATHS}
    assert [leaf_of[ids[0]] for _, ids in matches] == [source.split("-")[0] for _, source in pictures]
    assert {len(ids) for _, ids in matches} == {2}
    assert typed(given, tmp_path / "home", "--k", "2") == said, "the same command again does nothing more"
    assert {path: path.read_bytes() for path in files} == files


def _rows(part: Path, stage: str) -> list[tuple[str, Any]]:
    from policy.growth.pictures.collect import KEPT as PICTURES

    if stage == "pictures":
        return read_part(part, PICTURES, ["picture_id", "source"]).rows()
    return read_part(part, KEPT, ["picture_id", "node_ids"]).rows()


def test_a_stage_that_is_lost_is_made_again_to_the_same_bytes(given: Path, tmp_path: Path) -> None:
    typed(given, tmp_path / "home")
    files = {path: path.read_bytes() for path in (tmp_path / "home").rglob("*.parquet")}
    for stage in ("embeddings", "matches", "pictures"):
        shutil.rmtree(tmp_path / "home" / stage)
        typed(given, tmp_path / "home")
        assert {path: path.read_bytes() for path in files} == files


def test_other_settings_are_refused_where_they_matter(given: Path, tmp_path: Path) -> None:
    typed(given, tmp_path / "home", "--k", "2")
    for option, stage in ((("--px", "17"), "pictures"), (("--k", "3"), "matches")):
        with pytest.raises(BadInputError, match=rf"{stage}/part-00000\.parquet: plan == .* with other settings"):
            typed(given, tmp_path / "home", *(option if "--k" in option else ("--k", "2", *option)))
    with pytest.raises(BadInputError, match=r"types\.parquet: shown == 'name', must be 'path'"):
        typed(given, tmp_path / "home", "--k", "2", "--shown", "path")


def test_the_benchmark_holds_its_top_k_against_a_full_sort(capsys: pytest.CaptureFixture[str]) -> None:
    found = measure(sizes=(300,), n_types=700, width=16)
    assert found["rows"][0]["pictures"] == 300
    assert "search / product" in capsys.readouterr().out
