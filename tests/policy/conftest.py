"""One small release, trained from simulated clips, that several tests use."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from policy.casebook import Evidence
from policy.evidence import gather, read_cases
from policy.fusion import FusionSettings
from policy.lineage import Lineage, write_release
from policy.train import Policy, TrainSettings, train
from serving.preprocess.media import DecodePool, PoolSettings
from simulation.uploads import Simulation, write_uploads

INPUTS = TrainSettings().inputs.model_copy(update={"text_buckets": 4_096})
"""A table of n-grams that fits 120 cases: a release of 8 MB, where the usual one's has 114."""
SETTINGS = replace(TrainSettings(), inputs=INPUTS, fusion=FusionSettings(epochs=2), fused=True, precedents_at_most=60)


@dataclass(frozen=True, slots=True)
class Trained:
    folder: Path
    evidence: list[Evidence]
    policy: Policy
    release: Path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    write_uploads(folder / "clips", Simulation(120, 3, as_cases=True), workers=1)
    cases = read_cases(folder / "clips" / "cases.jsonl")

    async def decode() -> list[Evidence]:
        inputs = SETTINGS.inputs
        async with DecodePool(PoolSettings((folder / "clips",), 1, inputs.n_frames, inputs.frame_px)) as pool:
            return await gather(cases, pool)

    evidence = asyncio.run(decode())
    policy = train(evidence, settings=SETTINGS, seed=0)
    write_release(
        policy, folder / "release-1", Lineage.of(cases), settings=SETTINGS, now=datetime(2026, 1, 2, tzinfo=UTC)
    )
    return Trained(folder, evidence, policy, folder / "release-1")
