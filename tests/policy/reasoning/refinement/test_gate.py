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


GOLDEN = [row(f"g{n}", HYPE if n % 2 else GOOD) for n in range(300)]
WRONG = [row(f"w{n}", HATE) for n in range(10)]


def said(golden: Sequence[Category | str], wrong: Sequence[Category | str]) -> Answers:
    texts = [[answer(one) if isinstance(one, Category) else one for one in side] for side in (golden, wrong)]
    return Answers(texts[0], [[text, text] for text in texts[1]])


RIGHT = [Category(one.solution) for one in GOLDEN]
BEFORE = said(RIGHT, [GOOD] * 10)


def test_a_vlm_that_learned_the_day_and_lost_nothing_passes() -> None:
    refusals, figures = compare(GOLDEN, WRONG, BEFORE, said(RIGHT, [HATE] * 7 + [GOOD] * 3))
    assert refusals == []
    assert figures["samples right, parent"] == 0.0
    assert figures["samples right, candidate"] == 0.7
    assert figures["tag, at least"] == 0.0


def test_one_that_forgot_is_refused_with_the_figures() -> None:
    # 6 of 300 lost: a gain of -0.02, its standard error sqrt((0.02 - 0.0004) / 300)
    forgot = [HATE if n in {1, 3, 5, 7, 9, 11} else one for n, one in enumerate(RIGHT)]
    refusals, figures = compare(GOLDEN, WRONG, BEFORE, said(forgot, [HATE] * 10))
    assert figures["tag, at least"] == pytest.approx(-0.02 - 1.6448536 * (0.0196 / 300) ** 0.5, abs=1e-6)
    assert refusals == ["tag fell from 1.0000 to 0.9800 of 300: at least -0.0333, must be at least -0.0200"]
    assert figures["binary, candidate"] == 1.0, "another violation is a wrong tag, and still a violation"


def test_one_that_takes_good_videos_for_bad_is_refused_twice() -> None:
    strict = [HYPE if n < 40 else one for n, one in enumerate(RIGHT)]
    refusals, _ = compare(GOLDEN, WRONG, BEFORE, said(strict, [HATE] * 10))
    assert [one.split()[0] for one in refusals] == ["tag", "binary"]


def test_one_that_loses_the_form_is_refused_for_it() -> None:
    broken: list[Category | str] = ["so it is" if n < 30 else one for n, one in enumerate(RIGHT)]
    refusals, figures = compare(GOLDEN, WRONG, BEFORE, said(broken, [HATE] * 10))
    assert figures["form, candidate"] == 0.9
    assert any(one.startswith("form fell from 1.0000 to 0.9000 of 300") for one in refusals)


def test_one_that_learned_nothing_is_refused() -> None:
    refusals, _ = compare(GOLDEN, WRONG, BEFORE, said(RIGHT, [GOOD] * 10))
    assert refusals == [
        "of samples to 10 cases that the parent did not always get right 0.0000 are right, "
        "must be over the parent's 0.0000: nothing was learned"
    ]


def test_few_golden_cases_say_nothing() -> None:
    few = said(RIGHT[:20], [GOOD] * 10)
    refusals, _ = compare(GOLDEN[:20], WRONG, few, said(RIGHT[:20], [HATE] * 10), VlmLimits())
    assert refusals == ["20 golden cases, at least 270 say whether anything was lost"]


def test_one_lost_case_refuses_nobody_and_samples_of_the_wrong_ones_count_each() -> None:
    once = [HATE if n == 1 else one for n, one in enumerate(RIGHT)]
    half = Answers(said(once, []).golden, [[answer(HATE), answer(GOOD)]] * 10)
    refusals, figures = compare(GOLDEN, WRONG, BEFORE, half)
    assert refusals == []
    assert figures["samples right, candidate"] == 0.5
    always = Answers(BEFORE.golden, [[answer(HATE), answer(HATE)]] * 10)
    assert compare(GOLDEN, WRONG, half, always)[0] == []
