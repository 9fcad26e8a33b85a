"""`precedent benchmark kuaimod`: a release, or k folds of training, in; the paper's table with our row under it out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.cases import DecidedCase
from contracts.errors import BadInputError
from contracts.taxonomy import POSITIVE_INDEX
from contracts.verdicts import Verdict
from policy.benchmark.columns import PUBLISHED, Columns, judge_columns, table
from policy.benchmark.cross_validation import Contender, Judged, cross_validate, labels_of
from policy.benchmark.intervals import over_cases, paired_gain
from policy.benchmark.left_out import leave_categories_out, left_out_table
from policy.benchmark.published import what_was_seen
from policy.benchmark.reference import LayoutFit, TfidfFit
from policy.benchmark.sight import Sight
from policy.benchmark.student_fit import StudentFit

OURS = "Precedent, words only"
REFERENCE = "TF-IDF reference, words only"
LAYOUT = "layout only, no word read"
WITH_LAYOUT = "Precedent, words with layout"

Tick = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CrossValidated:
    """What cross-validation found: each contender's judgements."""

    judged: Mapping[str, Judged]
    folds: int
    seeds: Sequence[int]
    worded_N: npt.NDArray[np.bool_]

    def report(self) -> str:
        """The table, the paired gain and what was seen, as text."""
        names = [name for name in (REFERENCE, LAYOUT, OURS, WITH_LAYOUT) if name in self.judged]
        rows = [*PUBLISHED, *((name, self.judged[name].columns()) for name in names)]
        notes = [""] * len(PUBLISHED) + [_interval_of(self.judged[name]) for name in names]
        ours = self.judged[OURS]
        parts = [table(rows, notes=notes), ""]
        if (reference := self.judged.get(REFERENCE)) is not None:
            on_words = paired_gain(ours.right[:, self.worded_N], reference.right[:, self.worded_N])
            parts += [
                f"gain of words only over the reference, paired: {ours.gain_over(reference).points()}",
                f"the same on the {self.worded_N.sum()} cases that have a word at all: {on_words.points()}",
            ]
        seeds = ", ".join(map(str, self.seeds))
        parts += [
            f"{self.folds}-fold cross-validation of {len(self.worded_N)} cases, stratified, mean of seeds {seeds}; "
            f"slowest fold {max(ours.seconds_per_fold):.1f} s",
            "intervals: 95%, cases resampled; a group's recall is the share of its cases judged violative",
            what_was_seen(len(self.worded_N), trained_here=True),
        ]
        return "\n".join(parts)


def run_cross_validation(
    cases: Sequence[DecidedCase],
    *,
    folds: int = 5,
    seeds: Sequence[int] = (0, 1, 2),
    tick: Tick = lambda _: None,
) -> CrossValidated:
    """Judge every case by students that never met it, beside the reference and what layout alone gives away."""
    contenders = {
        REFERENCE: Contender(Sight.WORDS, TfidfFit()),
        LAYOUT: Contender(Sight.LAYOUT, LayoutFit()),
        OURS: Contender(Sight.WORDS, StudentFit(Sight.WORDS)),
        WITH_LAYOUT: Contender(Sight.WORDS_AND_LAYOUT, StudentFit(Sight.WORDS_AND_LAYOUT)),
    }
    judged = cross_validate(cases, contenders, folds=folds, seeds=seeds, tick=tick)
    return CrossValidated(judged, folds, tuple(seeds), _worded(cases))


def run_left_out(cases: Sequence[DecidedCase], *, seeds: Sequence[int] = (0, 1, 2), tick: Tick = lambda _: None) -> str:
    """Leave each category out of the training in turn; what precedents and a refresh find of it, as a table."""
    rows = leave_categories_out(cases, StudentFit(Sight.WORDS), seeds=seeds, tick=tick)
    return f"{left_out_table(rows)}\n{len(cases)} cases, words only, seeds {', '.join(map(str, seeds))}"


def refuse_taught(cases: Sequence[DecidedCase], taught: frozenset[str], *, name: str) -> None:
    """Raise `BadInputError` when a release was trained on some of the cases: it would recite, not judge.

    `taught`: the ids of all cases it was trained on, precedents or not, and of their videos.
    """
    if met := sorted(case.case_id for case in cases if taught & {case.case_id, case.upload.video_id}):
        raise BadInputError(
            f"case {met[0]} and {len(met) - 1} more of {len(cases)} were taught to {name}, a benchmark's cases must "
            "be unseen: take other cases, or --cross-validate"
        )


def run_benchmark(cases: Sequence[DecidedCase], verdicts: Sequence[Verdict], *, name: str) -> str:
    """The table with a release's row, from its verdicts on the cases in order."""
    violative = np.array([verdict.category.position != POSITIVE_INDEX for verdict in verdicts])
    labels = labels_of(cases)
    columns = judge_columns(labels, violative)
    right = violative == (labels != POSITIVE_INDEX)
    saw_pictures = sum("frames" not in verdict.missing for verdict in verdicts)
    rows: list[tuple[str, Columns]] = [*PUBLISHED, (name, columns)]
    notes = [""] * len(PUBLISHED) + [f"accuracy {over_cases(right[None])}"]
    return "\n".join(
        [table(rows, notes=notes), "", what_was_seen(len(cases), trained_here=False, saw_pictures=saw_pictures)]
    )


def _worded(cases: Sequence[DecidedCase]) -> npt.NDArray[np.bool_]:
    texts = ((case.upload.title, case.upload.ocr, case.upload.asr) for case in cases)
    return np.array([any(text and text.strip() for text in some) for some in texts])


def _interval_of(judged: Judged) -> str:
    return f"accuracy {judged.accuracy()}"
