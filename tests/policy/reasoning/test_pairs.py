"""Preference pairs from reasoned cases, right beside wrong, in both orders; what a reasoning concludes by its words."""

import pytest

from contracts.errors import BadInputError
from policy.reasoning.pairs import moderation_pairs, preference_rows, told
from policy.reasoning.question import Budget
from policy.reasoning.training.consistency import WordsJudge
from policy.reasoning.training.rewards import read_answer
from streams.painted import usual_videos
from tests.policy.reasoning.models.conftest import SHAPE

BUDGET = Budget(frames=1, chars=30)


def test_the_wrong_reasoning_is_of_another_category_and_both_orders_are_asked() -> None:
    evidence = [one.evidence for one in usual_videos(30, 3, SHAPE)]
    pairs = moderation_pairs(evidence, BUDGET, seed=1)
    assert len(pairs) == 30
    for one, item in zip(pairs, evidence, strict=True):
        assert one.pair.chosen == told(one.right)
        assert one.pair.rejected.split(". ")[-1] != one.pair.chosen.split(". ")[-1]
        assert (one.pair.kind, one.pair.id) == (item.case.category.value, item.case.case_id)
        assert [picture.tolist() for picture in one.pictures] == [item.frames[0].tolist()]  # type: ignore[index]
    rows = preference_rows(pairs)
    assert [row.solution for row in rows] == ["1", "2"] * 30
    for one, first, second in zip(pairs, rows[::2], rows[1::2], strict=True):
        texts = [row.messages[1]["content"][-1]["text"] for row in (first, second)]
        assert texts[0].index(one.pair.chosen) < texts[0].index(one.pair.rejected)
        assert texts[1].index(one.pair.rejected) < texts[1].index(one.pair.chosen)
        read = read_answer(second.completion, "preference", "2")
        assert WordsJudge().consistency(read.think, read.answer) == 1  # type: ignore[union-attr]
    assert moderation_pairs(evidence, BUDGET, seed=1)[0].pair == pairs[0].pair
    others = moderation_pairs(evidence, BUDGET, seed=2)
    assert [one.pair.rejected for one in others] != [one.pair.rejected for one in pairs]


def test_cases_of_one_category_make_no_pairs() -> None:
    [one, *_] = [shown.evidence for shown in usual_videos(1, 3, SHAPE)]
    with pytest.raises(BadInputError, match="1 reasoned cases of one category, pairs need at least two"):
        moderation_pairs([one], BUDGET)


@pytest.mark.parametrize(
    ("reasoning", "answer", "found"),
    [
        ("<summary>it is hype selling</summary>", "hype_selling", 1),
        ("Response 2 is vague. Therefore Response 1 is clearly better.", "1", 1),
        ("Response 2 is vague. Therefore Response 1 is clearly better.", "2", -1),
        ("At first response 1 seems right. On a second look response 2 is preferred!", "2", 1),
        ("Response 1 is not better.", "1", 0),
        ("Response 1 is right and response 2 is right.", "1", 0),
        ("Both are vague.", "1", 0),
        ("<summary>it is hype selling</summary>", "positive", -1),
        ("<summary>it breaks no rule</summary>", "positive", 1),
        ("<summary>it is hype selling or plagiarism</summary>", "plagiarism", 0),
        ("<summary>who knows</summary>", "positive", 0),
        ("<content>it is plagiarism</content><summary>it is hype selling</summary>", "plagiarism", -1),
        ("response 1 is right", "1", 1),
        ("response 1 is right", "2", -1),
        ("response 1 is right, no, response 2 is right", "2", 0),
        ("words of hype selling", "1", 0),
    ],
)
def test_what_a_reasoning_concludes_is_read_from_its_words(reasoning: str, answer: str, found: int) -> None:
    assert WordsJudge().consistency(reasoning, answer) == found
