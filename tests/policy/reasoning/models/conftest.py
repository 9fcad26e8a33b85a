"""One tiny VLM for all tests, built from the words of a few simulated cases, and the rows that they make."""

from pathlib import Path

import pytest

from contracts.releases import InputShape
from policy.reasoning.models.checkpoint import Checkpoint, read_checkpoint
from policy.reasoning.models.tiny import TinySizes, build_tiny
from policy.reasoning.question import Budget
from policy.reasoning.rows import Row, ruling_rows, texts_of
from streams.painted import usual_videos

SMALL = TinySizes(vocabulary=1_024, hidden=32, layers=2, heads=2, vision_hidden=32, vision_depth=1)
BUDGET = Budget(frames=2, chars=40)
SHAPE = InputShape(n_frames=2, frame_px=64, text_buckets=1_024, max_ngrams=512)


@pytest.fixture(scope="session")
def rows() -> list[Row]:
    return ruling_rows((one.evidence for one in usual_videos(48, 3, SHAPE)), BUDGET).rows


@pytest.fixture(scope="session")
def built(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "built"
    build_tiny(folder, texts_of(rows), sizes=SMALL, seed=1)
    return folder


@pytest.fixture
def checkpoint(built: Path) -> Checkpoint:
    return read_checkpoint(built)
