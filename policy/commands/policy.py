"""`precedent policy`: its commands, each of which parses, builds and calls."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contracts.errors import BadInputError
from policy.commands.options import FILE, FOLDER, RELEASES
from policy.commands.progress import progress_of, say
from policy.commands.pruning import prune
from policy.commands.publication import PUBLICATION_COMMANDS
from policy.commands.refresh import refresh
from policy.commands.releases import RELEASE_COMMANDS

if TYPE_CHECKING:
    from policy.casebook import Evidence


@click.group()
def policy() -> None:
    """Train policies from decided cases and make them live.

    \b
    Example:
      precedent policy train --cases clips/cases.jsonl --out release-1
    """


@policy.command()
@click.option("--cases", "cases_path", type=FILE, required=True, help="JSONL of decided cases, or KuaiMod's.")
@click.option("--out", type=FOLDER, required=True, help="The release folder to write; it must not exist.")
@click.option("--parent", type=FOLDER, help="The release that this one follows.")
@click.option("--media-root", "roots", type=FOLDER, multiple=True, help="Where media may lie [the cases' folder].")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Decoding processes.")
@RELEASES
def train(
    cases_path: Path,
    out: Path,
    parent: Path | None,
    roots: tuple[Path, ...],
    seed: int,
    workers: int,
    releases: Path,
) -> None:
    """Train a release from decided cases: student, calibration, casebook and thresholds.

    What taught it is kept as a data snapshot under --releases, for the refresh that follows it.

    \b
    Example:
      precedent simulate uploads --out clips --n 600 --seed 1 --as-cases
      precedent policy train --cases clips/cases.jsonl --out release-1
    """
    from policy.evidence import gather, read_cases
    from policy.lineage import Lineage, write_release
    from policy.refresh.snapshots import reference_to, write_snapshot
    from policy.train import TrainSettings
    from policy.train import train as train_policy
    from serving.preprocess.media import DecodePool, PoolSettings
    from serving.releases import open_release

    before = open_release(parent).release if parent is not None else None
    if out.exists():
        raise BadInputError(f"--out {out}: exists, a release is never written again")
    out.parent.mkdir(parents=True, exist_ok=True)  # or say now, not after the training, that it cannot be
    cases = read_cases(cases_path)
    settings = TrainSettings()
    allowed = tuple(roots) or (cases_path.parent.resolve(),)
    pool = PoolSettings(allowed, workers, settings.inputs.n_frames, settings.inputs.frame_px)

    async def decode_all(advance: Callable[[int], None]) -> "list[Evidence]":
        async with DecodePool(pool) as decoder:
            return await gather(cases, decoder, advance=advance)

    with progress_of(len(cases), "decoding") as advance:
        evidence = asyncio.run(decode_all(advance))
    trained = train_policy(evidence, settings=settings, seed=seed, tick=say)
    _, snapshot = write_snapshot(evidence, releases / "datasets")
    release = write_release(
        trained,
        out,
        Lineage.of(cases, before),
        settings=settings,
        now=datetime.now(UTC),
        beside=reference_to(snapshot),
    )
    click.echo(
        json.dumps({"release": str(out), "version": release.version, "parent": release.parent, **release.metrics})
    )


for command in (*RELEASE_COMMANDS, *PUBLICATION_COMMANDS, prune, refresh):
    policy.add_command(command)
