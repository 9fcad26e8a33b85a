"""What assignment costs: users a second on one core, beside a plain loop of `hashlib` over the same users."""

import hashlib
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import date
from itertools import accumulate
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ab_tests.assignment import assign
from contracts.experiments import N_BUCKETS, Experiment, MetricName, Subject, Variant


def measure(*, users: int = 1_000_000, rounds: int = 3) -> dict[str, Any]:
    """Assign `users` ids of each kind; the best of some rounds, in core time of this process."""
    rng = np.random.default_rng(1)
    kinds = {
        "user-1234567": [f"user-{number}" for number in rng.permutation(10 * users)[:users].tolist()],
        "UUID": [str(uuid.UUID(bytes=bytes(row))) for row in rng.integers(0, 256, (users, 16), np.uint8)],
    }
    rows = []
    for what, buckets in (("all users", (0, N_BUCKETS)), ("a tenth of them", (0, N_BUCKETS // 10))):
        experiment = _experiment(buckets)
        for kind, ids in kinds.items():
            ours = _rate(lambda e=experiment, some=ids: assign(e, some), users, rounds)  # type: ignore[misc]
            loop = _rate(lambda e=experiment, some=ids: _loop(e, some), users, 1)  # type: ignore[misc]
            row = {"experiment": what, "ids": kind, "users_per_s": ours, "loop_per_s": loop, "ratio": ours / loop}
            rows.append(row)
    _print(rows, users)
    return {"users": users, "rows": rows}


def _experiment(buckets: tuple[int, int]) -> Experiment:
    return Experiment(
        experiment_id="bench",
        hypothesis="It is fast.",
        subject=Subject.RANKING,
        layer="feed",
        buckets=buckets,
        salt="toxicity-ranking-1",
        variants=(Variant(name="control", share=0.5), Variant(name="treatment", share=0.5)),
        primary=MetricName.REPORT_RATE,
        metrics=(MetricName.REPORT_RATE,),
        starts_on=date(2026, 11, 1),
        ends_on=date(2026, 11, 14),
        smallest_effect=0.05,
    )


def _loop(experiment: Experiment, user_ids: Sequence[str]) -> list[int]:
    """The same assignment as one would write it at first: BLAKE2 of layer and user, then of salt and user."""
    low, high = experiment.buckets
    edges = list(accumulate(variant.share for variant in experiment.variants))
    layer, salt = f"layer:{experiment.layer}:", f"arm:{experiment.salt}:"
    everybody = low == 0 and high == N_BUCKETS
    places = []
    for user_id in user_ids:
        if not everybody:
            digest = hashlib.blake2b((layer + user_id).encode(), digest_size=8).digest()
            if not low <= int.from_bytes(digest, "little") % N_BUCKETS < high:
                places.append(-1)
                continue
        digest = hashlib.blake2b((salt + user_id).encode(), digest_size=8).digest()
        point = int.from_bytes(digest, "little") / 2**64
        places.append(next(i for i, edge in enumerate(edges) if point < edge))
    return places


def _rate(call: Callable[[], object], users: int, rounds: int) -> float:
    best_s = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        call()
        best_s = min(best_s, time.process_time() - started)
    return users / best_s


def _print(rows: Sequence[dict[str, Any]], users: int) -> None:
    table = Table(
        "experiment on", "ids", "users/s", "hashlib loop, users/s", "ratio", title=f"{users:,} users, one core"
    )
    for row in rows:
        rates = (f"{row['users_per_s']:,.0f}", f"{row['loop_per_s']:,.0f}", f"{row['ratio']:.1f}")
        table.add_row(row["experiment"], row["ids"], *rates)
    Console(width=100).print(table)
