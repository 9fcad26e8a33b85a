"""The gate of a VLM, by hand: what falls is refused by name, what is merely unproven is not."""

from collections.abc import Sequence

import pytest

from contracts.reasoning import Check, Reasoning, render
from contracts.taxonomy import Category
from policy.reasoning.refinement.gate import Answers, VlmLimits, compare
from policy.reasoning.rows import Row

HYPE, GOOD, HATE = Category.HYPE_SELLING, Category.POSITIVE, Category.ABUSE_AND_HATE


def row(name: str, category: Category) -> Row:
    return Row(name, "ruling", [], [], "", category.value)


def answer(category: Category) -> str:
    said = {"content": "a lamp", "analysis": "it is sold", "feedback": "none", "summary": "so"}
    return render(Reasoning(check=Check.UNDECIDED, category=category, **said))


GOLDEN = [row(f"g{n}", HYPE if n % 2 else GOOD) for n in range(200)]
WRONG = [row(f"w{n}", HATE) for n in range(10)]


def said(golden: Sequence[Category | str], wrong: Sequence[Category | str]) -> Answers:
    texts = [[answer(one) if isinstance(one, Category) else one for one in side] for side in (golden, wrong)]
    return Answers(*texts)


RIGHT = [Category(one.solution) for one in GOLDEN]
BEFORE = said(RIGHT, [GOOD] * 10)


def test_a_vlm_that_learned_the_day_and_lost_nothing_passes() -> None:
    refusals, figures = compare(GOLDEN, WRONG, BEFORE, said(RIGHT, [HATE] * 7 + [GOOD] * 3))
    assert refusals == []
    assert figures["wrong ones right, parent"] == 0.0
    assert figures["wrong ones right, candidate"] == 0.7
    assert figures["tag, at least"] == 0.0


def test_one_that_forgot_is_refused_with_the_figures() -> None:
    # 6 of 200 lost: a gain of -0.03, its standard error sqrt((0.03 - 0.0009) / 200)
    forgot = [HATE if n in {1, 3, 5, 7, 9, 11} else one for n, one in enumerate(RIGHT)]
    refusals, figures = compare(GOLDEN, WRONG, BEFORE, said(forgot, [HATE] * 10))
    assert figures["tag, at least"] == pytest.approx(-0.03 - 1.6448536 * (0.0291 / 200) ** 0.5, abs=1e-6)
    assert refusals == ["tag fell from 1.0000 to 0.9700 of 200: at least -0.0498, must be at least -0.0200"]
    assert figures["binary, candidate"] == 1.0, "another violation is a wrong tag, and still a violation"


def test_one_that_takes_good_videos_for_bad_is_refused_twice() -> None:
    strict = [HYPE if n < 40 else one for n, one in enumerate(RIGHT)]
    refusals, _ = compare(GOLDEN, WRONG, BEFORE, said(strict, [HATE] * 10))
    assert [one.split()[0] for one in refusals] == ["tag", "binary"]


def test_one_that_loses_the_form_is_refused_for_it() -> None:
    broken: list[Category | str] = ["so it is" if n < 20 else one for n, one in enumerate(RIGHT)]
    refusals, figures = compare(GOLDEN, WRONG, BEFORE, said(broken, [HATE] * 10))
    assert figures["form, candidate"] == 0.9
    assert any(one.startswith("form fell from 1.0000 to 0.9000 of 200") for one in refusals)


def test_one_that_learned_nothing_is_refused() -> None:
    refusals, _ = compare(GOLDEN, WRONG, BEFORE, said(RIGHT, [GOOD] * 10))
    assert refusals == [
        "of 10 cases that the parent did not always get right it is right on 0.0000, must be over the parent's 0.0000: "
        "nothing was learned"
    ]


def test_few_golden_cases_say_nothing() -> None:
    few = said(RIGHT[:20], [GOOD] * 10)
    refusals, _ = compare(GOLDEN[:20], WRONG, few, said(RIGHT[:20], [HATE] * 10), VlmLimits())
    assert refusals == ["20 golden cases, at least 100 say whether anything was lost"]
