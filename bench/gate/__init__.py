"""Retrainings on the same data and seeded damages in; how many of each the gate refuses, and the replay's rate, out.

Words only, so that a training takes seconds. Aim: at most 5% of the retrainings are refused, and every damage.
"""

import copy
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from contracts.taxonomy import CATEGORIES, POSITIVE_INDEX, Category
from policy.casebook import Evidence
from policy.gate.decision_diff import replay
from policy.gate.gate import pass_gate
from policy.train import Lineage, Policy, TrainSettings, train, write_release
from serving.releases import MANIFEST, STUDENT
from simulation.latents import draw_latents
from simulation.uploads import to_case, to_truth, to_upload

SETTINGS = replace(TrainSettings(), fused=False)
Damage = Callable[[Policy, list[Evidence], Path], None]
"""Writes a damaged release at a path, from a sound policy and what taught it."""
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def word_cases(n: int, seed: int) -> list[Evidence]:
    """N simulated videos without media, ruled what is true."""
    return [Evidence(to_case(to_upload(v, seed, None), to_truth(v, seed)), None) for v in draw_latents(n, seed)]


def measure(
    *,
    n_train: int = 2_000,
    n_golden: int = 2_000,
    n_traffic: int = 1_000,
    retrainings: int = 20,
    replayed: int = 100_000,
) -> dict[str, Any]:
    """Train a parent, its retrainings and its damaged likes, and put each through the gate."""
    taught, golden = word_cases(n_train, 1), word_cases(n_golden, 2)
    traffic = [(item.case.upload, None) for item in word_cases(n_traffic, 3)]
    with tempfile.TemporaryDirectory(prefix="precedent-gate-") as folder:
        root = Path(folder)
        policy = train(taught, settings=SETTINGS, seed=0)
        parent = root / "parent"
        before = write_release(policy, parent, _lineage(taught, 1), settings=SETTINGS, now=NOW)

        def refused(name: str, path: Path) -> bool:
            result = pass_gate(path, parent, golden, now=NOW, traffic=traffic)
            click.echo(f"{name:28s} {'passes' if result.passed else 'refused: ' + result.refusals[0]}")
            return not result.passed

        again = 0
        for seed in range(1, retrainings + 1):
            path = root / f"again-{seed}"
            other = train(taught, settings=SETTINGS, seed=seed)
            write_release(other, path, _lineage(taught, 2, before.version), settings=SETTINGS, now=NOW)
            again += refused(f"retraining {seed}", path)
        caught = {}
        for name, damage in DAMAGES.items():
            path = root / "damaged"
            damage(policy, taught, path)
            caught[name] = refused(name, path)
            shutil.rmtree(path)
    rate = _replay_rate(replayed, policy)
    click.echo(
        f"retrainings refused: {again} of {retrainings}; damages refused: {sum(caught.values())} of {len(caught)}"
    )
    click.echo(f"replay of {replayed:,} scored verdicts: {replayed / rate:.2f} s, {rate:,.0f} verdicts/s")
    return {"retrainings": retrainings, "retrainings_refused": again, "damages": caught, "replay_verdicts_per_s": rate}


def _lineage(taught: list[Evidence], version: int, parent: int | None = None) -> Lineage:
    return Lineage(version, parent, tuple(item.case for item in taught))


def _write(policy: Policy, taught: list[Evidence], path: Path) -> None:
    write_release(policy, path, _lineage(taught, 2, 1), settings=SETTINGS, now=NOW)


def _shuffled_labels(_: Policy, taught: list[Evidence], path: Path) -> None:
    order = np.random.default_rng(7).permutation(len(taught))
    cases = [
        Evidence(item.case.model_copy(update={"category": taught[other].case.category}), None)
        for item, other in zip(taught, order, strict=True)
    ]
    _write(train(cases, settings=SETTINGS, seed=7), cases, path)


def _changed(change: Callable[[Policy], Policy]) -> Damage:
    return lambda policy, taught, path: _write(change(copy.deepcopy(policy)), taught, path)


def _line(toxicity: float) -> Callable[[Policy], Policy]:
    return lambda policy: replace(policy, thresholds=policy.thresholds.model_copy(update={"toxicity": toxicity}))


def _remove_at(line: float) -> Callable[[Policy], Policy]:
    def change(policy: Policy) -> Policy:
        one = {"demote": line, "review": line, "remove": line}
        lines = {category: type(old)(**one) for category, old in policy.thresholds.by_category.items()}
        return replace(policy, thresholds=policy.thresholds.model_copy(update={"by_category": lines}))

    return change


def _zeroed(category: Category) -> Callable[[Policy], Policy]:
    def change(policy: Policy) -> Policy:
        with torch.no_grad():
            policy.student.text.table[:, 1 + category.position] = 0.0
            policy.student.text.bias[category.position] = 0.0
        return policy

    return change


def _sharpened(policy: Policy) -> Policy:
    policy.student.log_temperature -= float(np.log(4.0))
    return policy


def _biased(policy: Policy) -> Policy:
    policy.student.class_bias[POSITIVE_INDEX] += 2.0
    return policy


def _no_precedents(policy: Policy) -> Policy:
    book = policy.casebook
    empty = replace(
        book, embeddings=book.embeddings[:0], case_ids=(), categories=book.categories[:0], weights=book.weights[:0]
    )
    return replace(policy, casebook=empty, precedents=[])


def _mislabelled(policy: Policy) -> Policy:
    turned = (policy.casebook.categories + 5) % len(CATEGORIES)
    return replace(policy, casebook=replace(policy.casebook, categories=turned.astype(np.int32)))


def _truncated(name: str) -> Damage:
    def damage(policy: Policy, taught: list[Evidence], path: Path) -> None:
        _write(policy, taught, path)
        whole = (path / name).read_bytes()
        (path / name).write_bytes(whole[: len(whole) // 2])

    return damage


DAMAGES: dict[str, Damage] = {
    "labels shuffled": _shuffled_labels,
    "line moved to 0.3": _changed(_line(0.3)),
    "line moved to 0.7": _changed(_line(0.7)),
    "removes from 0.3": _changed(_remove_at(0.3)),
    "sexual content zeroed": _changed(_zeroed(Category.SEXUAL_CONTENT)),
    "plagiarism zeroed": _changed(_zeroed(Category.PLAGIARISM)),
    "four times too certain": _changed(_sharpened),
    "biased to positive": _changed(_biased),
    "casebook emptied": _changed(_no_precedents),
    "casebook mislabelled": _changed(_mislabelled),
    "student truncated": _truncated(STUDENT),
    "manifest truncated": _truncated(MANIFEST),
}


def _replay_rate(n: int, policy: Policy) -> float:
    """Verdicts a second that both releases' decisions are taken and cross-counted at."""
    rng = np.random.default_rng(0)
    before, after = (rng.dirichlet(np.full(len(CATEGORIES), 0.2), n).astype(np.float32) for _ in range(2))
    ids = [f"v{number}" for number in range(n)]
    began = time.perf_counter()
    diff = replay(ids, (before, policy.thresholds), (after, policy.thresholds))
    took = time.perf_counter() - began
    assert diff.n == n
    return n / took
