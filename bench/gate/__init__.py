"""Retrainings, seeded damages, recent traffic and simulated canaries in; what is refused and halted, and how fast, out.

Words only, so that a training takes seconds. Aims: at most 5% of the retrainings are refused and every damage, each
for a reason that names it; 100,000 verdicts replayed in under 2 minutes; at most 5% of harmless canaries halted.

A retraining has the parent's 3,000 cases and another seed: other folds, another 2,048 cases that vote, another 2,000
that span the space of likeness, other precedents. Its margins were set on seeds 101 to 120, and are reported on others.
"""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from bench.gate.damages import DAMAGES, NAMED
from bench.gate.halts import measure_halts
from bench.gate.releases import NOW, SETTINGS, lineage, word_cases, write
from contracts.verdicts import Decision
from policy.casebook import Evidence
from policy.gate.gate import Traffic, pass_gate
from policy.lineage import write_release
from policy.train import train
from simulation.uploads import text_uploads


def measure(
    *,
    n_train: int = 3_000,
    n_golden: int = 2_000,
    n_traffic: int = 1_000,
    retrainings: int = 24,
    replayed: int = 100_000,
    rollouts: int = 200,
) -> dict[str, Any]:
    """Put retrainings of a parent and its damaged likes through the gate, replay traffic, watch canaries."""
    taught, golden = word_cases(n_train, 1), word_cases(n_golden, 2)
    traffic = [(item.case.upload, None) for item in word_cases(n_traffic, 3)]
    with tempfile.TemporaryDirectory(prefix="precedent-gate-") as folder:
        root = Path(folder)
        policy = train(taught, settings=SETTINGS, seed=0)
        parent = root / "parent"
        write_release(policy, parent, lineage(taught, 1), settings=SETTINGS, now=NOW)

        def refusals(name: str, path: Path) -> tuple[str, ...]:
            result = pass_gate(path, parent, golden, now=NOW, traffic=traffic)
            shown = next((r for r in result.refusals if NAMED.get(name, "") in r), "".join(result.refusals[:1]))
            click.echo(f"{name:30s} {'passes' if result.passed else f'refused ({len(result.refusals)}): {shown}'}")
            return result.refusals

        again = 0
        for seed in range(1, retrainings + 1):
            path = root / "again"
            write(train(taught, settings=SETTINGS, seed=seed), taught, path)
            again += bool(refusals(f"retraining {seed}", path))
            shutil.rmtree(path)
        caught, named = {}, {}
        for name, damage in DAMAGES.items():
            path = root / "damaged"
            damage(policy, taught, path)
            reasons = refusals(name, path)
            caught[name], named[name] = bool(reasons), any(NAMED.get(name, "") in reason for reason in reasons)
            shutil.rmtree(path)
        click.echo(
            f"retrainings refused: {again} of {retrainings}; damages refused: {sum(caught.values())} of {len(caught)}, "
            f"by name {sum(named.values())}"
        )
        replay = _replay(parent, root / "again", taught, golden[:200], replayed)
    return {
        "retrainings": retrainings,
        "retrainings_refused": again,
        "damages": caught,
        "damages_named": named,
        **replay,
        **measure_halts(rollouts=rollouts),
    }


def _replay(parent: Path, path: Path, taught: list[Evidence], golden: list[Evidence], n: int) -> dict[str, float]:
    """Seconds for n uploads through both releases, and through the candidate alone beside recorded decisions."""
    write(train(taught, settings=SETTINGS, seed=99), taught, path)
    traffic = [(upload, None) for upload in text_uploads(n, 9)]
    recorded = {upload.event_id: Decision.ALLOW for upload, _ in traffic}

    def timed(some: Traffic, known: dict[str, Decision]) -> float:
        began = time.perf_counter()
        pass_gate(path, parent, golden, now=NOW, traffic=some, recorded=known)
        return time.perf_counter() - began

    rest = timed((), {})
    figures = {}
    for name, known in (("both releases", {}), ("candidate, parent recorded", recorded)):
        took = timed(traffic, known) - rest
        click.echo(f"replay of {n:,} uploads, {name}: {took:.1f} s, {n / took:,.0f} uploads/s")
        figures[f"replay_s, {name}"] = took
    return figures
