"""Simulated cases of words alone, and releases trained on them in seconds."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from policy.casebook import Evidence
from policy.lineage import Lineage, write_release
from policy.train import Policy, TrainSettings
from simulation.latents import draw_latents
from simulation.uploads import to_case, to_truth, to_upload

SETTINGS = replace(TrainSettings(), fused=False)
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def word_cases(n: int, seed: int) -> list[Evidence]:
    """N simulated videos without media, ruled what is true."""
    return [Evidence(to_case(to_upload(v, seed, None), to_truth(v, seed)), None) for v in draw_latents(n, seed)]


def lineage(taught: list[Evidence], version: int, parent: int | None = None) -> Lineage:
    """The lineage of a release that was taught these cases."""
    return Lineage(version, parent, tuple(item.case for item in taught))


def write(policy: Policy, taught: list[Evidence], path: Path, *, settings: TrainSettings = SETTINGS) -> None:
    """Write a policy as release 2, after release 1."""
    write_release(policy, path, lineage(taught, 2, 1), settings=settings, now=NOW)
