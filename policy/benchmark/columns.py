"""Labels and judgements in, the columns of KuaiMod's benchmark out: accuracy, precision and recall, recall by group.

A case counts as found when it is judged violative, whatever the category: that is how the paper's multi-class rows
are read as binary. Its recall by group must be meant so too, since the groups' recalls, weighted by their sizes in the
public cases (127, 121, 40, 12), average to 0.850, which is its violative recall of 0.846 but for the other 300 cases;
had a group's recall asked for the right group, their average would be far below it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.taxonomy import CATEGORIES, POSITIVE_INDEX, VIOLATIVE_GROUPS, Group

Labels = npt.NDArray[np.integer[Any]]
Verdicts = npt.NDArray[np.bool_]

_GROUPS = np.array([category.group.value for category in CATEGORIES])


@dataclass(frozen=True, slots=True)
class Columns:
    """One row of the benchmark's table, shares in [0, 1]; NaN where nothing was judged so, or nothing was published."""

    accuracy: float
    positive_precision: float = np.nan
    positive_recall: float = np.nan
    violative_precision: float = np.nan
    violative_recall: float = np.nan
    recall_by_group: dict[Group, float] = field(default_factory=dict)

    def cells(self) -> list[float]:
        """The shares in the order of `HEADINGS`."""
        groups = [self.recall_by_group.get(group, np.nan) for group in VIOLATIVE_GROUPS]
        return [
            self.accuracy,
            self.positive_precision,
            self.positive_recall,
            self.violative_precision,
            self.violative_recall,
            *groups,
        ]


HEADINGS = ("accuracy", "pos. prec.", "pos. rec.", "viol. prec.", "viol. rec.", "law", "ethics", "commerce", "IP")

PUBLISHED: tuple[tuple[str, Columns], ...] = (
    ("Perspective", Columns(0.619)),
    ("GPT-4o, 16 classes as binary", Columns(0.730)),
    ("RoBERTa", Columns(0.740)),
    ("GPT-4o mini", Columns(0.743)),
    ("GPT-4o", Columns(0.762)),
    ("CN-CLIP", Columns(0.785)),
    ("YOLO", Columns(0.807)),
    ("InternVL-7B SFT", Columns(0.823)),
    (
        "KuaiMod-7B, 16 classes as binary",
        Columns(
            0.924,
            violative_precision=0.970,
            violative_recall=0.846,
            recall_by_group=dict(zip(VIOLATIVE_GROUPS, (0.877, 0.833, 0.855, 0.706), strict=True)),
        ),
    ),
)
"""Rows of the paper (arXiv 2504.14904) on all 1,000 cases, most of them with pictures seen."""


def judge_columns(labels_N: Labels, violative_N: Verdicts, answered_N: Verdicts | None = None) -> Columns:
    """The columns of N cases, labelled by index into `CATEGORIES` and judged violative or not.

    A case that was not answered is wrong in accuracy, missed in recall, and in no precision; by default all were.
    """
    truly = labels_N != POSITIVE_INDEX
    answered = np.ones(len(labels_N), np.bool_) if answered_N is None else answered_N
    violative, positive = violative_N & answered, ~violative_N & answered
    groups = _GROUPS[labels_N]
    return Columns(
        accuracy=_share(np.where(truly, violative, positive)),
        positive_precision=_share(~truly[positive]),
        positive_recall=_share(positive[~truly]),
        violative_precision=_share(truly[violative]),
        violative_recall=_share(violative[truly]),
        recall_by_group={group: _share(violative[groups == group.value]) for group in VIOLATIVE_GROUPS},
    )


def mean_columns(rows: Sequence[Columns]) -> Columns:
    """The mean of several rows, such as those of several seeds; NaN where one of them is."""
    accuracy, *rest = np.array([row.cells() for row in rows]).mean(axis=0).tolist()
    by_group = dict(zip(VIOLATIVE_GROUPS, rest[4:], strict=True))
    return Columns(accuracy, rest[0], rest[1], rest[2], rest[3], by_group)


def _share(happened: Verdicts) -> float:
    return float(happened.mean()) if happened.size else np.nan


def table(rows: Sequence[tuple[str, Columns]], *, notes: Sequence[str] = ()) -> str:
    """Rows as text under `HEADINGS`, a dash where there is no figure; `notes[i]` stands at the end of row i."""
    width = max(len(name) for name, _ in rows)
    lines = [" " * width + "".join(f"{heading:>12}" for heading in HEADINGS)]
    for position, (name, columns) in enumerate(rows):
        cells = "".join(f"{'-' if np.isnan(cell) else f'{cell:.3f}':>12}" for cell in columns.cells())
        note = notes[position] if position < len(notes) else ""
        lines.append(f"{name:{width}}{cells}  {note}".rstrip())
    return "\n".join(lines)
