"""Real stores, started once: a SQLite file and its owner process, a Redis of our own where there is one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.taxonomy import CATEGORIES, N_CATEGORIES, POSITIVE_INDEX, Category
from contracts.verdicts import CandidateDecision, Decision, Verdict
from features.config import FeaturesConfig
from features.store import OpenStore, open_store

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def verdict(
    video_id: str,
    *,
    occurred_s: float = 0.0,
    scored_s: float | None = None,
    toxicity: float = 0.25,
    decision: Decision = Decision.ALLOW,
    release_version: int = 1,
    candidate: CandidateDecision | None = None,
    leaf: str = "",
) -> Verdict:
    """A verdict on a version of a video from `occurred_s` seconds after noon, scored a second later."""
    scored_s = occurred_s + 1 if scored_s is None else scored_s
    rest = toxicity / (N_CATEGORIES - 1)
    probabilities = tuple(1 - toxicity if i == POSITIVE_INDEX else rest for i in range(N_CATEGORIES))
    return Verdict(
        event_id=f"{video_id}-{occurred_s}",
        video_id=video_id,
        author_id="author-1",
        occurred_at=NOON + timedelta(seconds=occurred_s),
        scored_at=NOON + timedelta(seconds=scored_s),
        probabilities=probabilities,
        classifier=probabilities,
        toxicity=toxicity,
        category=Category.POSITIVE if toxicity < 0.9 else CATEGORIES[0],
        decision=decision,
        citations=(),
        missing=(),
        release_version=release_version,
        casebook_version=2,
        taxonomy_version="kuaimod-16",
        since_upload_ms=1.0,
        candidate=candidate,
        leaf=leaf,
    )


def candidate(toxicity: float, decision: Decision, release_version: int = 2) -> CandidateDecision:
    """What a release that is tried beside the live one decided."""
    return CandidateDecision(
        release_version=release_version,
        casebook_version=2,
        toxicity=toxicity,
        category=Category.POSITIVE if toxicity < 0.9 else CATEGORIES[0],
        decision=decision,
    )


@dataclass(frozen=True, slots=True)
class OwnerProcess:
    """`precedent features writer` as a user starts it."""

    process: "subprocess.Popen[str]"
    address: str
    store: Path

    @classmethod
    def start(cls, store: Path, *, port: int = 0) -> "OwnerProcess":
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "features", "writer", "--port", str(port)],
            env={**os.environ, "PRECEDENT_ONLINE_STORE": f"sqlite:///{store}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        return cls(process, ready["address"], store)

    def end(self, signum: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signum)
        code = self.process.wait(timeout=10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture(scope="session")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnerProcess]:
    process = OwnerProcess.start(tmp_path_factory.mktemp("owned") / "online.db")
    yield process
    process.end()


def make_config(folder: Path, online: str, writer: str | None = None) -> FeaturesConfig:
    return FeaturesConfig(
        online=online,
        offline=f"parquet:///{folder}/history",
        registry=folder / "registry.db",
        writer=writer,
    )


@pytest.fixture(scope="session")
def sqlite_store(owner: OwnerProcess, tmp_path_factory: pytest.TempPathFactory) -> OpenStore:
    folder = tmp_path_factory.mktemp("sqlite-store")
    return open_store(make_config(folder, f"sqlite:///{owner.store}", owner.address))


@pytest.fixture(scope="session")
def redis_store(redis_address: str, tmp_path_factory: pytest.TempPathFactory) -> OpenStore:
    return open_store(make_config(tmp_path_factory.mktemp("redis-store"), redis_address))


@pytest.fixture(scope="session", params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest) -> OpenStore:
    """The contract's subject: the same tests run on both online stores."""
    opened: OpenStore = request.getfixturevalue(f"{request.param}_store")
    return opened
