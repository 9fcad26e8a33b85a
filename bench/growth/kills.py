"""A growth folder whose stages are killed at ten random moments, beside one that nobody disturbed: bytes and calls.

`precedent taxonomy strike`, `questions` and `referee` run as commands against an endpoint that takes its time; each is
killed (SIGKILL) and begun again until all ten kills are spent. A moment is a number of requests that came. What is left
must be byte for byte what an undisturbed run left, and at most as many requests may have come twice as were under way
at the kills.

Predicted before the first run: equal bytes, and about half of `parallel` requests repeated a kill.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl

from bench.growth.scale import counts, endpoint, paint
from contracts.errors import CheckFailedError
from policy.growth.match import KEPT as MATCHES
from policy.growth.parts import parts_of, read_part, write_part
from policy.growth.pictures.collect import KEPT as PICTURES
from policy.growth.taxonomy.folder import write_taxonomy
from policy.growth.taxonomy.hierarchy import Taxonomy
from policy.growth.taxonomy.seeds import SEEDS, read_seeds

PICTURES_N, PART = int(os.environ.get("KILLS_PICTURES", "1500")), 256
KILLS = int(os.environ.get("KILLS", "10"))
PARALLEL, DELAY_MS, K = 24, 20.0, 6
STAGES = ("strike", "questions", "referee")


def measure() -> dict[str, Any]:
    """Disturb one of two equal runs; raises `CheckFailedError` where bytes or calls are not as they must be."""
    rng = random.Random(7)
    with tempfile.TemporaryDirectory(prefix="precedent-kills-") as folder:
        home = Path(folder)
        taxonomy = read_seeds(SEEDS)
        write_taxonomy(taxonomy, home / "taxonomy")
        for name in ("calm", "killed"):
            _matched(home / name, taxonomy)
        with endpoint("--delay-ms", str(DELAY_MS)) as at:
            came = {stage: _run(at, home, "calm", stage) for stage in STAGES}
        killed_in = rng.choices(STAGES, [came[stage] for stage in STAGES], k=KILLS)
        with endpoint("--delay-ms", str(DELAY_MS)) as at:
            for stage in STAGES:
                for _ in range(killed_in.count(stage)):
                    _run(at, home, "killed", stage, kill_after=rng.randrange(1, came[stage] // KILLS))
                _run(at, home, "killed", stage)
            calls = counts(at)["calls"]
        same = _digests(home / "calm") == _digests(home / "killed")
        samples = sum(
            read_part(part, pl.read_parquet_schema(part)).height for part in parts_of(home / "calm" / "judged")
        )
    allowed = KILLS * PARALLEL
    click.echo(f"{KILLS} kills: files {'equal byte for byte' if same else 'DIFFER'}, {samples} samples")
    repeated = calls - sum(came.values())
    click.echo(
        f"calls {calls}, undisturbed {sum(came.values())}: {repeated} repeated, at most {allowed} were under way"
    )
    if not same or repeated > allowed:
        raise CheckFailedError("killed runs did not leave what an undisturbed one does")
    return {"kills": KILLS, "equal": same, "calls": calls, "undisturbed": sum(came.values()), "repeated": repeated}


def _run(at: str, home: Path, name: str, stage: str, *, kill_after: int | None = None) -> int:
    """Run a stage to its end, or kill it when so many requests came of it; how many came."""
    asked = [f"{at}/{stage}/v1"] if stage != "referee" else [f"{at}/referee-{number}/v1" for number in (1, 2, 3)]
    option = "--referee" if stage == "referee" else "--llm"
    argv = [sys.executable, "-c", "from cli import main; main()", "taxonomy", stage, str(home / name)]
    argv += ["--taxonomy", str(home / "taxonomy"), "--parallel", str(PARALLEL)]
    argv += [part for url in asked for part in (option, url)]
    before = counts(at)["calls"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if kill_after is not None and counts(at)["calls"] - before >= kill_after:
                process.send_signal(signal.SIGKILL)
            time.sleep(0.005 if kill_after is not None else 0.1)
    if process.returncode not in {0, -signal.SIGKILL}:
        raise subprocess.CalledProcessError(process.returncode, argv)
    return counts(at)["calls"] - before


def _matched(home: Path, taxonomy: Taxonomy) -> None:
    """A growth folder up to its matches: painted pictures, each with some leaves drawn for it."""
    rng = np.random.default_rng(3)
    leaves = [leaf.node_id for leaf in taxonomy.leaves]
    empty = pl.DataFrame(schema={"reason": pl.String})
    painted = paint(PICTURES_N, seed=3)
    for part, first in enumerate(range(0, PICTURES_N, PART)):
        ids = [hashlib.sha256(jpeg).hexdigest()[:32] for jpeg in painted[first : first + PART]]
        pictures = [(one, one, [jpeg], 48, 48) for one, jpeg in zip(ids, painted[first : first + PART], strict=True)]
        near = [(one, rng.choice(leaves, K, replace=False).tolist(), [0.5] * K) for one in ids]
        for stage, rows, schema in (("pictures", pictures, PICTURES), ("matches", near, MATCHES)):
            table = pl.DataFrame(rows, schema=dict(schema), orient="row")
            write_part(home / stage, part, table, empty, input=str(part), plan="painted")


def _digests(home: Path) -> dict[str, str]:
    return {
        path.relative_to(home).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.rglob("*"))
        if path.is_file()
    }
