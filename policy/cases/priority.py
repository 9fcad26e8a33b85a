"""Open cases in, the order in which to rule on them out: by the harm to expect until somebody does, and the audit's.

Expected harm = impressions still to come x severity x probability that the verdict is wrong. What the audit drew has
turns of its own, in which the longest waiting comes first: by harm alone it would hardly ever be ruled on, and what
was would be no random sample any more.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from contracts.cases import CaseEvidence, CaseOpened
from contracts.errors import BadInputError
from contracts.taxonomy import VIOLATIVE, Category
from contracts.verdicts import Decision

T = TypeVar("T")


class Severity(NamedTuple):
    """The harm of one impression of a category, and why it is put there; 1 is the harm of hiding a good video."""

    harm: float
    reason: str


SEVERITY: Mapping[Category, Severity] = MappingProxyType(
    {
        Category.HARM_TO_MINORS: Severity(10.0, "lasting harm to who cannot consent, and the law allows no delay"),
        Category.ILLEGAL_ACTIVITY: Severity(8.0, "harm outside the platform, and a duty to act on knowing of it"),
        Category.PROHIBITED_GOODS: Severity(8.0, "leads to a purchase that harms body or law"),
        Category.ABUSE_AND_HATE: Severity(6.0, "harms those it is about, and invites more of itself"),
        Category.POLITICAL_MISCONDUCT: Severity(6.0, "a legal duty of the platform"),
        Category.SEXUAL_CONTENT: Severity(5.0, "reaches minors in an unsorted feed"),
        Category.MISINFORMATION: Severity(5.0, "acted on after the video is forgotten"),
        Category.HISTORICAL_NIHILISM: Severity(4.0, "a legal duty, with little harm by a single impression"),
        Category.FALSE_BENEFITS: Severity(4.0, "costs money to those who believe it"),
        Category.OFF_PLATFORM_TRADING: Severity(4.0, "takes buyers to where nobody protects them"),
        Category.MINOR_MISCONDUCT: Severity(3.0, "invites imitation; the harm is milder than where minors are victims"),
        Category.EXAGGERATED_CLAIMS: Severity(3.0, "costs money, seldom health"),
        Category.HYPE_SELLING: Severity(2.0, "annoys more than it costs"),
        Category.PLAGIARISM: Severity(2.0, "harms one author, and can be made good"),
        Category.UNLABELLED_AI: Severity(2.0, "misleads about the origin alone"),
    }
)
"""How bad one impression is, to be replaced by a platform's own judgement: only the ratios matter."""
WRONGLY_HIDDEN = 1.0
"""The harm of one impression that a good video does not get: the unit of `SEVERITY`."""
HALF_LIFE = timedelta(days=2)
"""After so long a video earns half the impressions a day that it earned: short videos are a matter of days."""

AUDIT_TURN = 10
"""One of so many rulings is the audit's, while any case that it drew waits."""


class Ranked(NamedTuple):
    """A case and the harm to expect while it is open, in impressions of a wrongly hidden video."""

    case: CaseOpened
    expected_harm: float


def impressions_to_come(recent: int, over: timedelta, *, half_life: timedelta = HALF_LIFE) -> float:
    """How many impressions a video has still to come, from the `recent` ones of the last `over`.

    With a rate r per day that decays exponentially they are the integral r x half_life / ln 2, r being the rate now:
    the recent impressions over what the same decay gives for their time, half_life / ln 2 x (2^(over / half_life) - 1).
    """
    if recent < 0 or over <= timedelta(0) or half_life <= timedelta(0):
        raise BadInputError(f"recent == {recent}, over == {over}, half_life == {half_life}, must be over 0")
    return recent / math.expm1(math.log(2.0) * (over / half_life))


def expected_harm(evidence: CaseEvidence, to_come: float) -> float:
    """The harm of leaving the verdict as it is for `to_come` impressions.

    Served videos harm by the probability that they are violative, which is the toxicity or, where reports say more,
    that of a report rate over the line, times the severity to expect of their categories. A removed video harms by
    the probability that it was good.
    """
    violative = [(category, evidence.probabilities[category.position]) for category in VIOLATIVE]
    toxicity = math.fsum(p for _, p in violative)
    if evidence.decision is Decision.REMOVE:
        return to_come * WRONGLY_HIDDEN * max(0.0, 1.0 - toxicity)
    weighed = math.fsum(p * SEVERITY[category].harm for category, p in violative)
    even = math.fsum(one.harm for one in SEVERITY.values()) / len(SEVERITY)
    severity = weighed / toxicity if toxicity > 0.0 else even
    return to_come * severity * min(1.0, max(toxicity, evidence.over_line or 0.0))


def by_priority(cases: Iterable[CaseOpened], to_come: Mapping[str, float]) -> list[Ranked]:
    """The cases, most harmful first; `to_come` is by video, 0 where nothing is known. Ties go to who waited longest.

    Raises `BadInputError` for a case without evidence.
    """
    ranked = []
    for case in cases:
        if case.evidence is None:
            raise BadInputError(f"case {case.case_id}: evidence is missing, must be there to rank it")
        ranked.append(Ranked(case, expected_harm(case.evidence, to_come.get(case.video_id, 0.0))))
    return sorted(ranked, key=lambda one: (-one.expected_harm, one.case.opened_at, one.case.case_id))


def in_turn(by_harm: Iterable[T], audited: Iterable[T], *, ruled: int, name: Callable[[T], str]) -> list[T]:
    """All of both in the order in which to rule on them, each once, after `ruled` rulings.

    Every `AUDIT_TURN`-th ruling is on the next of `audited`, the others on the next `by_harm`.
    """
    harmful, drawn = iter(by_harm), iter(audited)
    order: dict[str, T] = {}
    while True:
        audits = (ruled + len(order)) % AUDIT_TURN == AUDIT_TURN - 1
        for queue in (drawn, harmful) if audits else (harmful, drawn):
            if (one := next((one for one in queue if name(one) not in order), None)) is not None:
                order[name(one)] = one
                break
        else:
            return list(order.values())
