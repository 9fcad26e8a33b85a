"""`precedent benchmark reward`: preference pairs and a judge in, the public figures and rewards in their format out."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import orjson

from contracts.errors import BadInputError
from contracts.preferences import PreferenceRow, read_preferences
from policy.benchmark.journal import Journal, Settings, answer_all
from policy.benchmark.reward_scores import RewardReport
from policy.reasoning.pair_pictures import pictures_of, require_pictures
from policy.reasoning.pairwise import BOTH_ORDERS, Order, PairVerdict, PairwiseJudge
from serving.releases import digest_of

Orders = Literal["both", "seeded"]


@dataclass(frozen=True, slots=True)
class Asking:
    """How pairs are asked: in both orders, or each in one that the seed draws; pictures from below a root, or none."""

    orders: Orders = "both"
    seed: int = 0
    images: Path | None = None
    parallel: int = 4


def read_pairs(path: Path, asking: Asking) -> list[PreferenceRow]:
    """A benchmark's rows; raises `BadInputError` where one breaks a rule, or its picture is missing below the root."""
    rows = list(read_preferences(path))
    if not rows:
        raise BadInputError(f"{path}: is empty, must hold at least one pair")
    for row in rows:
        if "rewards" in json.loads(row.line):
            raise BadInputError(f"{path}:{row.number}: has rewards already, must be a file of pairs without them")
    if asking.images is not None:
        require_pictures(rows, asking.images)
    return rows


def orders_of(n_rows: int, asking: Asking) -> list[tuple[Order, ...]]:
    """The orders in which each row is asked."""
    if asking.orders == "both":
        return [BOTH_ORDERS] * n_rows
    chosen_first = np.random.default_rng(asking.seed).random(n_rows) < 0.5
    return [(Order.CHOSEN_FIRST if first else Order.REJECTED_FIRST,) for first in chosen_first.tolist()]


def settings_of(pairs: Path, asking: Asking, *, judge: str, model: str, votes: int) -> Settings:
    """What answers depend on: a run goes on only from one with the same."""
    return {
        "pairs": digest_of(pairs),
        "judge": judge,
        "model": model,
        "votes": votes,
        "orders": asking.orders,
        "seed": asking.seed if asking.orders == "seeded" else None,
        "images": None if asking.images is None else str(asking.images.resolve()),
    }


def judge_rows(
    rows: Sequence[PreferenceRow],
    judge: PairwiseJudge,
    asking: Asking,
    *,
    kept: Journal[PairVerdict] | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[PairVerdict]:
    """The verdict on each row, those already kept not asked again.

    Raises `DependencyError` where the judge is away: what was answered by then is kept.
    """
    orders = dict(zip((row.number for row in rows), orders_of(len(rows), asking), strict=True))

    def ask(row: PreferenceRow) -> PairVerdict:
        return judge.verdict(row.pair, pictures=pictures_of(row.pair, asking.images), orders=orders[row.number])

    questions = {str(row.number): row for row in rows}
    answers = answer_all(questions, ask, parallel=asking.parallel, kept=kept, advance=advance)
    return [answers[key] for key in questions]


def write_rewards(path: Path, rows: Sequence[PreferenceRow], verdicts: Sequence[PairVerdict]) -> None:
    """Write each row as it stood with `"rewards": [chosen, rejected]` added, as the public scripts read it."""
    lines = (row.with_rewards(*verdict.rewards) for row, verdict in zip(rows, verdicts, strict=True))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_report(path: Path, report: RewardReport) -> None:
    """Write the figures as JSON; a share of nothing is null."""
    path.write_bytes(orjson.dumps(asdict(report), option=orjson.OPT_INDENT_2) + b"\n")
