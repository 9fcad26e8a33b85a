"""`precedent benchmark kuaimod --judge`: cases and an adjudicator in, its row under the published rows out.

The adjudicator is the one that rules on cases that wait (`policy.reasoning.adjudicator`), asked as it is there. Where
it abstains, or nothing it said was of the form, the case has no answer: it counts as wrong in accuracy and as missed in
recall, and in no precision, since it was judged neither way.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Self

import numpy as np

from contracts.cases import DecidedCase
from contracts.records import Count, Record
from contracts.taxonomy import POSITIVE_INDEX, Category
from policy.benchmark.columns import PUBLISHED, judge_columns, table
from policy.benchmark.cross_validation import labels_of
from policy.benchmark.intervals import over_cases
from policy.benchmark.journal import Journal, answer_all
from policy.benchmark.published import what_was_seen
from policy.casebook import Frames
from policy.reasoning.adjudicator import Adjudicator, Opinion
from policy.reasoning.question import Question

CHUNK = 64
"""Cases whose frames are in memory at once."""
RULES_SHOWN = 8


class CaseOpinion(Record):
    """What an adjudicator thought of a case: None where it abstained; how many answers were of the form, and why not.

    saw_frames: whether it was shown pictures.
    """

    category: Category | None
    asked: Count
    usable: Count
    unparsed: Mapping[str, int] = MappingProxyType({})
    saw_frames: bool = False

    @classmethod
    def of(cls, opinion: Opinion, *, saw_frames: bool) -> Self:
        """An opinion without its reasoning."""
        usable = opinion.asked - sum(opinion.unparsed.values())
        return cls(
            category=opinion.category,
            asked=opinion.asked,
            usable=usable,
            unparsed=dict(opinion.unparsed),
            saw_frames=saw_frames,
        )


def evenly(cases: Sequence[DecidedCase], at_most: int | None) -> list[DecidedCase]:
    """Up to `at_most` cases, spread evenly over their order."""
    if at_most is None or at_most >= len(cases):
        return list(cases)
    return [cases[i * len(cases) // at_most] for i in range(at_most)]


def ask_about_cases(
    cases: Sequence[DecidedCase],
    adjudicator: Adjudicator,
    frames_of: Callable[[Sequence[DecidedCase]], Sequence[Frames]],
    *,
    parallel: int,
    kept: Journal[CaseOpinion] | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[CaseOpinion]:
    """The opinion on each case, those already kept not asked again; what reviewers wrote of a case is not shown.

    Raises `DependencyError` where the judge is away: what was answered by then is kept.
    """

    def ask(question: Question) -> CaseOpinion:
        return CaseOpinion.of(adjudicator.opinion(question), saw_frames=question.frames is not None)

    opinions = dict[str, CaseOpinion]()
    known = {} if kept is None else kept.kept
    for start in range(0, len(cases), CHUNK):
        some = cases[start : start + CHUNK]
        new = [case for case in some if case.case_id not in known]
        frames = dict(zip((case.case_id for case in new), frames_of(new), strict=True))
        questions = {case.case_id: Question(case.case_id, case.upload, frames.get(case.case_id), None) for case in some}
        opinions |= answer_all(questions, ask, parallel=parallel, kept=kept, advance=advance)
    return [opinions[case.case_id] for case in cases]


def judged_table(cases: Sequence[DecidedCase], opinions: Sequence[CaseOpinion], *, name: str) -> str:
    """The published rows, the judge's under them, and what it did not answer, as text."""
    answered = np.array([one.category is not None for one in opinions])
    violative = np.array([one.category not in {None, Category.POSITIVE} for one in opinions])
    labels = labels_of(cases)
    columns = judge_columns(labels, violative, answered)
    right = answered & (violative == (labels != POSITIVE_INDEX))
    unparsed = sum((Counter(one.unparsed) for one in opinions), Counter[str]())
    silent = sum(one.usable == 0 for one in opinions)
    of_answered = f"{right.sum() / answered.sum():.3f}" if answered.any() else "-"
    lines = [
        table([*PUBLISHED, (name, columns)], notes=[""] * len(PUBLISHED) + [f"accuracy {over_cases(right[None])}"]),
        "",
        f"{(~answered).sum()} of {len(cases)} cases have no answer ({silent} where nothing said was of the form, the "
        "others without a majority): wrong in accuracy, missed in recall, in no precision",
        f"accuracy on those with an answer, as the published script reads the predictions: {of_answered}",
        f"{unparsed.total()} of {sum(one.asked for one in opinions)} answers were not of the form",
        *(f"  {times:>6}  {rule}" for rule, times in unparsed.most_common(RULES_SHOWN)),
        what_was_seen(len(cases), trained_here=False, saw_pictures=sum(one.saw_frames for one in opinions)),
        "what the judge was taught is not known here: the cases are public, it may have met them",
    ]
    return "\n".join(lines)
