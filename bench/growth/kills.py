"""A growth folder whose stages are killed at ten random moments, beside one that nobody disturbed: bytes and calls.

`precedent taxonomy strike`, `questions` and `referee` run as commands against an endpoint that takes its time; each is
killed (SIGKILL) and begun again until all ten kills are spent. What is left must be byte for byte what an undisturbed
run left, and at most as many requests may have come twice as were under way at the kills.

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
            seconds = {stage: _run(at, home, "calm", stage, None)[1] for stage in STAGES}
            calm = counts(at)
        killed_in = sorted(rng.choices(range(len(STAGES)), [seconds[stage] for stage in STAGES], k=KILLS))
        with endpoint("--delay-ms", str(DELAY_MS)) as at:
            for number, stage in enumerate(STAGES):
                for _ in range(killed_in.count(number)):
                    _run(at, home, "killed", stage, _begin_s(seconds[stage], rng))
                _run(at, home, "killed", stage, None)
            after = counts(at)
        same = _digests(home / "calm") == _digests(home / "killed")
        samples = sum(
            read_part(part, pl.read_parquet_schema(part)).height for part in parts_of(home / "calm" / "judged")
        )
    allowed = KILLS * PARALLEL
    click.echo(f"{KILLS} kills: files {'equal byte for byte' if same else 'DIFFER'}, {samples} samples")
    repeated = after["calls"] - calm["calls"]
    click.echo(f"calls {after['calls']}, undisturbed {calm['calls']}: {repeated} repeated, at most {allowed} under way")
    if not same or repeated > allowed:
        raise CheckFailedError("killed runs did not leave what an undisturbed one does")
    return {"kills": KILLS, "equal": same, "calls": after["calls"], "calm": calm["calls"], "repeated": repeated}


def _begin_s(whole_s: float, rng: random.Random) -> float:
    """When to kill a run: at any moment of its work, after it has started."""
    return STARTS_S + rng.random() * max(0.2, whole_s - STARTS_S) * 0.6


STARTS_S = 2.5
"""Seconds until a command asks its first question."""


def _run(at: str, home: Path, name: str, stage: str, kill_after_s: float | None) -> tuple[int, float]:
    """Run a stage to its end, or kill it; its exit code and seconds."""
    asked = [f"{at}/{stage}/v1"] if stage != "referee" else [f"{at}/referee-{number}/v1" for number in (1, 2, 3)]
    option = "--referee" if stage == "referee" else "--llm"
    argv = [sys.executable, "-c", "from cli import main; main()", "taxonomy", stage, str(home / name)]
    argv += ["--taxonomy", str(home / "taxonomy"), "--parallel", str(PARALLEL)]
    argv += [part for url in asked for part in (option, url)]
    began = time.perf_counter()
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        try:
            code = process.wait(kill_after_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            code = process.wait()
    if code not in {0, -signal.SIGKILL}:
        raise subprocess.CalledProcessError(code, argv)
    return code, time.perf_counter() - began


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
