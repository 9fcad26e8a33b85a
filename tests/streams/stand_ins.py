"""Small real parts behind the worker's protocols: scores by hand, features in SQLite, media by file name.

`python -m tests.streams.stand_ins BROKER STATE_DIR GROUP` runs a whole worker on them: the agent, the carrier and
the producer are the real ones.
"""

import asyncio
import json
import logging
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from contracts.errors import DependencyError
from contracts.releases import CategoryThresholds, InputShape, Pin, Release, Thresholds
from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX, VIOLATIVE
from contracts.verdicts import MODALITIES, Verdict
from policy.decide import judge
from serving.preprocess.inputs import SIGNALS, ModelInputs
from serving.preprocess.media import Frames, MediaError, MediaReason
from serving.scorer import N_CITED, Scores
from streams.moderation import Parts, Policy

SESSION_S = 2.0
PIN = Pin(release_version=1, casebook_version=1)
DIGEST = "sha256:" + "0" * 64
RELEASE = Release(
    version=1,
    parent=None,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    inputs=InputShape(n_frames=2, frame_px=8, text_buckets=1024, max_ngrams=16),
    thresholds=Thresholds(
        toxicity=0.5, by_category={c: CategoryThresholds(demote=0.3, review=0.6, remove=0.9) for c in VIOLATIVE}
    ),
    casebook_version=1,
    n_cases=0,
    digests={},
    metrics={},
    trained_on=DIGEST,
)
POLICY = Policy(RELEASE, PIN)


@dataclass
class StandInScorer:
    """p(positive) is 1 - feedback's first signal's share: toxic where the title says so, by a signal of its own."""

    away: bool = False
    pins: list[Pin] = field(default_factory=list)
    broken_by: float | None = None

    async def score(self, inputs: ModelInputs, pin: Pin) -> Scores:
        if self.away:
            raise DependencyError("the stand-in scorer is away")
        toxic = inputs.signals[:, 0]
        if self.broken_by is not None and (toxic == self.broken_by).any():
            raise ZeroDivisionError("a fault of the code")
        self.pins.append(pin)
        rows = len(inputs)
        probabilities = np.zeros((rows, N_CATEGORIES), np.float32)
        probabilities[:, 0] = toxic
        probabilities[:, POSITIVE_INDEX] = 1 - toxic
        nothing = np.full((rows, N_CITED), -1)
        return Scores(
            probabilities,
            probabilities,
            np.full((rows, N_CITED), "", object),
            nothing.astype(np.int32),
            nothing.astype(np.float32),
        )

    async def ready(self, pin: Pin) -> bool:
        return not self.away

    async def close(self) -> None:
        return None


class FileScorer(StandInScorer):
    """Away while a file exists, so that a test can take it away from a worker in another process."""

    def __init__(self, away: Path) -> None:
        super().__init__()
        self._file = away

    async def score(self, inputs: ModelInputs, pin: Pin) -> Scores:
        self.away = self._file.exists()
        return await super().score(inputs, pin)


def toxic_by_title(uploads: Sequence, frames: Sequence[Frames | None], shape: InputShape) -> ModelInputs:
    """Inputs whose first signal is the number that the title ends in, else 0."""
    rows = len(uploads)
    signals = np.zeros((rows, len(SIGNALS)), np.float32)
    for row, upload in enumerate(uploads):
        last = (upload.title or "").rpartition(" ")[2]
        signals[row, 0] = float(last) if last.replace(".", "", 1).isdigit() else 0.0
    present = np.zeros((rows, len(MODALITIES)), np.uint8)
    present[:, 0] = [clip is not None for clip in frames]
    present[:, 1] = 1
    return ModelInputs(
        np.zeros((rows, 1, 8, 8, 3), np.uint8),
        np.zeros((rows, 1), np.int32),
        np.zeros((rows, 1), np.uint8),
        signals,
        present,
    )


class DecoderByName:
    """Addresses that end in .mp4 decode to black frames; the others are refused."""

    async def decode(self, urls: Sequence[str], shape: InputShape) -> list[Frames | MediaError]:
        clip = np.zeros((1, shape.frame_px, shape.frame_px, 3), np.uint8)
        return [
            clip if url.endswith(".mp4") else MediaError(MediaReason.UNREACHABLE, url, "no such file") for url in urls
        ]


class SqliteFeatures:
    """Keeps the newest verdict of a video in a table, and counts every write."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS features (video_id TEXT PRIMARY KEY, occurred_at TEXT, toxicity REAL)"
        )

    async def write(self, verdicts: Sequence[Verdict]) -> int:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(
            "INSERT INTO features VALUES (?, ?, ?) ON CONFLICT (video_id) DO UPDATE SET "
            "occurred_at = excluded.occurred_at, toxicity = excluded.toxicity "
            "WHERE excluded.occurred_at >= features.occurred_at",
            [(v.video_id, v.occurred_at.isoformat(), v.toxicity) for v in verdicts],
        )
        self._connection.execute("COMMIT")
        return len(verdicts)

    def read(self) -> dict[str, float]:
        return dict(self._connection.execute("SELECT video_id, toxicity FROM features"))

    def close(self) -> None:
        self._connection.close()


def stand_in_parts(scorer: StandInScorer) -> Parts:
    return Parts(DecoderByName(), toxic_by_title, scorer, judge)


@dataclass
class FixedPolicy:
    """A follower that follows nothing."""

    policy: Policy = POLICY

    async def first_policy(self) -> Policy:
        return self.policy

    async def follow(self) -> None:
        await asyncio.Event().wait()


def main() -> None:
    from streams.kafka.delivery import ConfirmedProducer
    from streams.worker.app import WorkerConfig
    from streams.worker.carry import Outlets
    from streams.worker.run import Assembly, run_worker

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    broker, state, group = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    producer = ConfirmedProducer(broker, client_id="stand-in")
    features = SqliteFeatures(state / "features.db")

    async def close() -> None:
        producer.close()
        features.close()

    def ready(address: str) -> None:
        print(json.dumps({"part": "worker", "address": address}), flush=True)  # noqa: T201

    scorer = FileScorer(state / "away")
    assembly = Assembly(stand_in_parts(scorer), Outlets(features, producer), FixedPolicy(), close)
    config = WorkerConfig(broker=broker, group=group, commit_every_s=0.2, session_timeout_s=SESSION_S)
    asyncio.run(run_worker(config, assembly, metrics_port=0, ready=ready))


if __name__ == "__main__":
    main()
