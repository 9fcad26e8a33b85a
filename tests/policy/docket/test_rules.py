"""When a ruling is refused, and in which words."""

import re

import pytest

from contracts.cases import CaseReason, Ruling
from policy.docket.principals import Principal
from policy.docket.rules import refusal, repeats, standing
from tests.policy.docket.cases import ANN, BOB, FRAUD, GOOD, PLATFORM, SUE, VLM, new_case, ruling

CASE = new_case("c-1").opened
APPEAL = new_case("c-2", reason=CaseReason.APPEAL).opened
FIRST = ruling("c-1", FRAUD, ANN)
BY_VLM = ruling("c-1", FRAUD, VLM)
FELL = ruling("c-1", GOOD, SUE, minute=2, overrules=FIRST)


def test_a_first_ruling_and_each_way_to_follow_one_are_entered() -> None:
    assert refusal(FIRST, CASE, [], ANN) is None
    assert refusal(ruling("c-1", GOOD, ANN, minute=2, overrules=FIRST), CASE, [FIRST], ANN) is None
    assert refusal(FELL, CASE, [FIRST], SUE) is None
    assert refusal(ruling("c-1", GOOD, BOB, minute=2, overrules=BY_VLM), CASE, [BY_VLM], BOB) is None
    assert refusal(ruling("c-2", FRAUD, BOB, minute=2), APPEAL, [FIRST], BOB) is None


@pytest.mark.parametrize(
    ("given", "earlier", "by", "said"),
    [
        (ruling("c-1", FRAUD, video="v-2"), [], ANN, "video_id == 'v-2', must be 'v-1', which case c-1 is about"),
        (FIRST, [], BOB, r"ruled_by == 'ann' \(person\), must be who rules: 'bob' \(person\)"),
        (FIRST, [], PLATFORM, r"must be who rules: 'platform' \(service\)"),
        (ruling("c-1", FRAUD, minute=-1), [], ANN, "must not be before the case was opened"),
        (ruling("c-1", GOOD, overrules=FIRST), [], ANN, "but nothing was ruled on video v-1"),
        (ruling("c-1", GOOD, BOB, minute=2), [FIRST], BOB, "is ruled false_benefits by ann .* overrules must name"),
        (ruling("c-1", FRAUD, BOB, minute=2), [FIRST], BOB, "is ruled false_benefits by ann .* overrules must name"),
        (ruling("c-1", FRAUD, SUE, minute=2, overrules=FIRST), [FIRST], SUE, "must differ to overrule it"),
        (ruling("c-1", GOOD, BOB, minute=2, overrules=FIRST), [FIRST], BOB, "bob is reviewer, .* by a senior alone"),
        (ruling("c-1", GOOD, VLM, minute=2, overrules=FIRST), [FIRST], VLM, "falls by a person alone"),
        (ruling("c-1", GOOD, SUE, minute=0, overrules=FIRST), [FIRST], SUE, "must not be before ruling-"),
        (
            ruling("c-1", FRAUD, SUE, minute=3, overrules=FIRST),
            [FIRST, FELL],
            SUE,
            "was overruled already, in force is 'ruling-",
        ),
        (ruling("c-1", GOOD, SUE, minute=3, overrules=BY_VLM), [FIRST], SUE, "is no ruling on video v-1"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_name(given: Ruling, earlier: list[Ruling], by: Principal, said: str) -> None:
    reason = refusal(given, CASE, earlier, by)
    assert reason is not None
    assert re.search(said, reason)


def test_a_ruling_cannot_overrule_itself() -> None:
    itself = FIRST.model_copy(update={"overrules": FIRST.event_id, "category": GOOD})
    assert "is the ruling itself" in str(refusal(itself, CASE, [FIRST], ANN))


def test_ones_own_ruling_is_not_ones_own_to_hear_on_appeal() -> None:
    again = ruling("c-2", GOOD, SUE, minute=2, overrules=ruling("c-1", FRAUD, SUE))
    assert "must be heard by somebody else" in str(refusal(again, APPEAL, [ruling("c-1", FRAUD, SUE)], SUE))


def test_a_case_that_was_never_opened_is_refused() -> None:
    assert str(refusal(FIRST, None, [], ANN)).startswith("case_id == 'c-1' is not on the docket")


def test_what_overrules_fells_what_stood_and_what_had_affirmed_it() -> None:
    affirmed = ruling("c-2", FRAUD, BOB, minute=2)
    restored = ruling("c-1", FRAUD, SUE, minute=4, overrules=(fell := ruling("c-1", GOOD, SUE, minute=3)))
    fell = fell.model_copy(update={"overrules": affirmed.event_id})
    assert standing([]).in_force is None
    assert standing([FIRST, affirmed])[:2] == (affirmed, (FIRST,))
    after = standing([FIRST, affirmed, fell], [4, 6, 9])
    assert (after.in_force, after.affirmed) == (fell, ())
    assert [(one.sequence, one.ruling) for one in after.fell] == [(9, FIRST), (9, affirmed)]
    assert standing([FIRST, affirmed, fell, restored]).in_force == restored


def test_the_same_words_at_another_time_repeat_a_ruling() -> None:
    assert repeats(ruling("c-1", FRAUD, minute=9), FIRST)
    assert not repeats(ruling("c-1", FRAUD, minute=9, reasoning="more"), FIRST)
    assert not repeats(ruling("c-1", FRAUD, BOB), FIRST)
    assert not repeats(FIRST, None)
