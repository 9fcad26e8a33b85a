"""What became of each case, as records a line each, and how many of each there are: nothing vanishes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from contracts.cases import DecidedCase
from contracts.reasoning import Reasoning, render_states
from contracts.records import Count, Id, Record
from contracts.taxonomy import Category
from policy.kept import write_text
from policy.reasoning.teaching.account import Spent
from policy.reasoning.teaching.plan import Disagreements
from policy.reasoning.teaching.prompts import Stage

REASONINGS, REVIEW, DROPPED, REPORT = "reasonings.jsonl", "review.jsonl", "dropped.jsonl", "report.json"
DISAGREES = "another category follows from the reasoning"
Tries = Annotated[int, Field(strict=True, ge=1)]


class Taught(Record):
    """A case's reasoning, which concludes its tag, and what was derived again from the reasoning alone.

    `rederived` None: the reader found that no category follows. `tries` and `readings`: the requests that it took;
    `unusable`: how often an answer broke which rule. Tokens are those of all its requests.
    """

    case_id: Id
    reasoning: Reasoning
    rederived: Category | None
    tries: Tries
    readings: Tries
    teacher: str
    reader: str
    prompt_tokens: Count
    completion_tokens: Count
    unusable: Mapping[str, int] = Field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        return self.rederived is self.reasoning.category


class Dropped(Record):
    """A case that has no reasoning, and why: `reason` is what is counted, `detail` what was found."""

    case_id: Id
    category: Category
    reason: str
    detail: str
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    unusable: Mapping[str, int] = Field(default_factory=dict)


class TeachingReport(Record):
    """Where all cases went: given == already + kept + review + dropped + left.

    already: they had a reasoning by states. first_try: of the kept, those that took one request of each stage. left:
    for later, because the budget was spent (`stopped` says so) or the teacher was away. unusable: answers by the rule
    that they break, of the cases that are done.
    """

    given: Count
    already: Count
    kept: Count
    first_try: Count
    review: Count
    dropped: Mapping[str, int]
    left: Count
    spent: Mapping[Stage, Spent]
    cost: Annotated[float, Field(ge=0.0)]
    unusable: Mapping[str, int]
    stopped: str | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        found = self.already + self.kept + self.review + sum(self.dropped.values()) + self.left
        if found != self.given:
            raise ValueError(f"{found} cases are accounted for, must be the {self.given} that were given")
        return self


Outcome = Taught | Dropped


def sorted_out(
    outcomes: Iterable[Outcome], disagreements: Disagreements
) -> tuple[list[Taught], list[Taught], list[Dropped]]:
    """Kept, for review, dropped: in the order of the outcomes."""
    kept, review, dropped = list[Taught](), list[Taught](), list[Dropped]()
    for one in outcomes:
        if isinstance(one, Dropped):
            dropped.append(one)
        elif one.agrees:
            kept.append(one)
        elif disagreements == "review":
            review.append(one)
        else:
            found = "none" if one.rederived is None else one.rederived.value
            dropped.append(
                Dropped(
                    case_id=one.case_id,
                    category=one.reasoning.category,
                    reason=DISAGREES,
                    detail=f"derived again: {found}",
                    prompt_tokens=one.prompt_tokens,
                    completion_tokens=one.completion_tokens,
                    unusable=one.unusable,
                )
            )
    return kept, review, dropped


def report_of(
    cases: Sequence[DecidedCase],
    outcomes: Sequence[Outcome],
    disagreements: Disagreements,
    *,
    already: int,
    spent: Mapping[Stage, Spent],
    cost: float,
    stopped: str | None,
) -> TeachingReport:
    """Count what became of the cases."""
    kept, review, dropped = sorted_out(outcomes, disagreements)
    unusable = Counter[str]()
    for one in outcomes:
        unusable.update(one.unusable)
    return TeachingReport(
        given=len(cases),
        already=already,
        kept=len(kept),
        first_try=sum(one.tries == one.readings == 1 for one in kept),
        review=len(review),
        dropped=dict(sorted(Counter(one.reason for one in dropped).items())),
        left=len(cases) - already - len(outcomes),
        spent=spent,
        cost=cost,
        unusable=dict(sorted(unusable.items())),
        stopped=stopped,
    )


def write_outcomes(
    folder: Path, outcomes: Sequence[Outcome], report: TeachingReport, disagreements: Disagreements
) -> None:
    """Write FOLDER/reasonings.jsonl, review.jsonl, dropped.jsonl and report.json, each whole or not at all."""
    kept, review, dropped = sorted_out(outcomes, disagreements)
    for name, rows in ((REASONINGS, kept), (REVIEW, review), (DROPPED, dropped)):
        write_text(folder / name, "".join(f"{row.model_dump_json()}\n" for row in rows))
    write_text(folder / REPORT, report.model_dump_json(indent=2) + "\n")


def reasoned(cases: Iterable[DecidedCase], kept: Iterable[Taught]) -> list[DecidedCase]:
    """The cases in their order, the kept ones with their states as reasoning; the others as they were."""
    states = {one.case_id: render_states(one.reasoning) for one in kept}
    return [
        case.model_copy(update={"reasoning": states[case.case_id]}) if case.case_id in states else case
        for case in cases
    ]
