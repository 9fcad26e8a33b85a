"""The stand-in that names types for the scale run: imperfect as a model is, and the same every time."""

from collections import Counter

from bench.growth.namer import FAULTY_ANSWERS, FEWEST, MOST, children
from policy.growth.grow.parsing import Refusal, parse

PATH = ("Charts", "Bars")


def answers(n: int) -> list[str]:
    return [children(PATH, ["Stacked bars", "Grouped bars"], seed) for seed in range(n)]


def test_equal_questions_have_equal_answers_and_others_have_others() -> None:
    assert answers(50) == answers(50)
    assert children(PATH, ["Stacked"], 0) != children(PATH, ["Grouped"], 0) != children(("Charts",), ["Grouped"], 0)


def test_it_errs_in_every_way_that_it_says() -> None:
    found = Counter[str]()
    for text in (told := answers(1_500)):
        parsed = parse(text, PATH, most_lines=50)
        found["none"] += parsed.none
        found["empty"] += not parsed.none and not parsed.lines
        found["long"] += text.count("\n") > 1_000
        found.update(line.refused for line in parsed.lines if line.refused)
    rules = {
        Refusal.CYCLE,
        Refusal.OTHER_SEPARATOR,
        Refusal.INVENTED_LEVELS,
        Refusal.NOT_A_NAME,
        Refusal.REPEATED,
        Refusal.TOO_MANY,
    }
    assert rules | {"none", "empty", "long"} <= {what for what, times in found.items() if times}
    usual = [text for text in told if FEWEST <= text.count("\n") + 1 <= MOST]
    assert abs(len(usual) / len(told) - (1 - sum(FAULTY_ANSWERS.values()) / 1_000)) < 0.02
