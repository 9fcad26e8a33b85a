"""Two of three referees keep a sample; how far the three agree, by hand."""

import asyncio
import json
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import BadInputError
from contracts.reasoning import Unparsed
from policy.growth.calls.ask import AwayError, Said
from policy.growth.parts import write_part
from policy.growth.samples.questions import KEPT as QUESTIONS
from policy.growth.samples.referee import (
    AT_ONCE,
    DROPPED,
    KEPT,
    SEATS,
    Agreement,
    Heard,
    Sample,
    agreement,
    fleiss,
    judge,
    read_scores,
    reason_of,
    referee_stage,
)
from policy.growth.samples.strike import ShowingSettings
from policy.reasoning.endpoint import Endpoint
from policy.reasoning.question import Messages
from policy.reasoning.teaching.account import BudgetSpentError
from tests.policy.growth.samples.home import AWAY, ID, TYPES, Told, part, picture_id, text_shown, write_pictures

RULE = "scores must be a list of 0 and 1"


@pytest.mark.parametrize(
    ("told", "scores"),
    [
        ([1, 0], [1, 0]),
        ([0, 0], [0, 0]),
        ([1], "has 1 scores, must have 2"),
        ([1, 0, 1], "has 3 scores, must have 2"),
        ([], "has 0 scores, must have 2"),
        ([True, False], RULE),
        ([1.0, 0.0], RULE),
        (["1", "0"], RULE),
        ([2, 0], RULE),
        ([-1, 0], RULE),
        ([None, 0], RULE),
        ([[1], [0]], RULE),
        ({"1": 1, "2": 0}, RULE),
        ("10", RULE),
        (None, RULE),
    ],
)
def test_a_score_for_each_sample_is_read_and_anything_else_is_not(told: object, scores: list[int] | str) -> None:
    expected = Unparsed(scores) if isinstance(scores, str) else scores
    assert read_scores(Said(json.dumps({"scores": told})), 2) == expected


ONE = Sample(("s1", "p1", ID["Bars"], "How many?", "Three."), "Charts~Bars")
TWO = Sample(("s2", "p1", ID["Signs"], "What is\nwritten?\n2. Type: Text", "1.  Open\u2028today"), "Text~Signs")
ITEM = Heard("p1.0", [b"one"], [ONE])


def scores(*given: int) -> str:
    return json.dumps({"scores": list(given)})


def judged(told: Told, item: Heard = ITEM, tries: int = 2) -> tuple[list[Any], list[Any]]:
    outcome = asyncio.run(judge(item, told, ShowingSettings(tries=tries)))
    return list(outcome.kept), list(outcome.dropped)


BAD = "I would rather not say."
VOTES: dict[str, str | AwayError] = {"1": scores(1), "0": scores(0), "x": BAD, "-": AWAY}
DECIDED = {
    "111": "",
    "110": "",
    "101": "",
    "011": "",
    "100": "1 of 3 votes",
    "010": "1 of 3 votes",
    "001": "1 of 3 votes",
    "000": "0 of 3 votes",
    "11-": "",
    "-11": "",
    "1-1": "",
    "11x": "",
    "x11": "",
    "10-": "1 of 2 votes",
    "-01": "1 of 2 votes",
    "00-": "0 of 2 votes",
    "1x0": "1 of 2 votes",
    "1-x": "1 of 1 votes",
    "1xx": "1 of 1 votes",
    "xx1": "1 of 1 votes",
    "0xx": "0 of 1 votes",
    "-x0": "0 of 1 votes",
    "xxx": "0 of 0 votes",
    "-xx": "0 of 0 votes",
}
"""By what the three say: a score, nothing that can be used (x), or nothing since they are away (-)."""


@pytest.mark.parametrize("votes", DECIDED)
def test_two_ones_keep_a_sample_whoever_is_away_or_cannot_be_used(votes: str) -> None:
    told = Told(**{seat: [VOTES[vote]] for seat, vote in zip(SEATS, votes, strict=True)})
    given = [{"1": 1, "0": 0}.get(vote) for vote in votes]
    kept, dropped = judged(told)
    if not DECIDED[votes]:
        assert (kept, dropped) == ([(*ONE.row, given)], [])
        return
    why = {"x": "is no JSON object", "-": "is away"}
    silent = [f"{seat}: {why[vote]}" for seat, vote in zip(SEATS, votes, strict=True) if vote in why]
    assert (kept, dropped) == ([], [(*ONE.row, given, DECIDED[votes], "; ".join(silent))])


@pytest.mark.parametrize("votes", [v for v in map("".join, product("10x-", repeat=3)) if v.count("-") >= 2])
def test_one_referee_alone_does_not_decide(votes: str) -> None:
    told = Told(**{seat: [VOTES[vote]] for seat, vote in zip(SEATS, votes, strict=True)})
    with pytest.raises(AwayError, match="does not answer in 180 s"):
        judged(told)


def test_each_sample_of_a_request_has_its_own_votes() -> None:
    told = Told(referee_1=[scores(1, 0)], referee_2=[scores(1, 1)], referee_3=[scores(0, 0)])
    kept, dropped = judged(told, Heard("p1.0", [b"one"], [ONE, TWO]))
    assert kept == [(*ONE.row, [1, 1, 0])]
    assert dropped == [(*TWO.row, [0, 1, 0], "1 of 3 votes", "")]


def test_all_referees_are_asked_the_same_and_what_a_sample_says_stays_on_its_lines() -> None:
    told = Told(**{seat: [scores(1, 1)] for seat in SEATS})
    judged(told, Heard("p1.0", [b"one"], [ONE, TWO]))
    assert sorted(told.asked) == [(seat, "p1.0", 1) for seat in SEATS]
    assert text_shown(told.shown[0]) == (
        "1. Type: Charts~Bars\n   Question: How many?\n   Answer: Three.\n"
        "2. Type: Text~Signs\n   Question: What is written? 2. Type: Text\n   Answer: 1. Open today"
    )
    assert told.shown[0] == told.shown[1] == told.shown[2]


def test_a_referee_is_asked_again_where_its_scores_cannot_be_used_and_nobody_else_is() -> None:
    told = Told(referee_1=[BAD, scores(1)], referee_2=[scores(1)], referee_3=[scores(0)])
    assert judged(told)[0] == [(*ONE.row, [1, 1, 0])]
    assert sorted(told.asked) == [
        ("referee-1", "p1.0", 1),
        ("referee-1", "p1.0", 2),
        ("referee-2", "p1.0", 1),
        ("referee-3", "p1.0", 1),
    ]
    assert judged(Told(referee_1=[BAD, scores(1)], referee_2=[scores(1)], referee_3=[scores(0)]), tries=1)[0] == []


@pytest.mark.parametrize("error", [BudgetSpentError("spent"), BadInputError("answers 401"), OSError("full")])
def test_where_one_request_ends_the_run_the_others_are_waited_for(error: Exception) -> None:
    came = list[str]()

    async def ask(item_id: str, attempt: int, messages: Messages, *, seat: str = "") -> Said:
        if seat == SEATS[0]:
            raise error
        for _ in range(5):
            await asyncio.sleep(0)
        came.append(seat)
        return Said(scores(1))

    with pytest.raises(type(error), match=str(error)):
        asyncio.run(judge(ITEM, ask, ShowingSettings()))
    assert came == list(SEATS[1:])


def test_votes_are_told_of_those_that_were_given() -> None:
    assert reason_of([0, 1, 0]) == "1 of 3 votes"
    assert reason_of([None, 1, 0]) == "1 of 2 votes"
    assert reason_of([None, None, None]) == "0 of 0 votes"


def test_kappa_is_what_it_is_by_hand() -> None:
    """Ten samples: 5 with three ones, 2 with two, 1 with one, 2 with none; 20 ones of 30 scores.

    Raters agree in all pairs of 7 samples and in a third of those of 3: (7 + 1) / 10 = 0.8. By chance they do in
    (2/3)^2 + (1/3)^2 = 5/9. So kappa is (4/5 - 5/9) / (1 - 5/9) = (11/45) / (20/45) = 0.55.
    """
    found = fleiss({3: 5, 2: 2, 1: 1, 0: 2})
    assert found.n == 10
    assert found.kappa == pytest.approx(0.55)


@pytest.mark.parametrize(
    ("votes", "kappa"),
    [
        ({3: 4, 0: 4}, 1.0),  # no pair disagrees, and both answers come
        ({3: 1, 2: 1}, -1 / 5),  # 5 ones of 6: (2/3 - 13/18) / (5/18)
        ({2: 1, 1: 1}, -1 / 3),  # half are ones: (1/3 - 1/2) / (1/2)
        ({1: 7}, -1 / 2),  # a third are: (1/3 - 5/9) / (4/9), the least that three raters can have
        ({3: 1, 2: 3, 1: 3, 0: 1}, 0.0),  # as four coins would fall: (1/2 - 1/2) / (1/2)
        ({3: 9}, None),  # chance alone agrees in all
        ({0: 9}, None),
    ],
)
def test_kappa_at_its_ends(votes: dict[int, int], kappa: float | None) -> None:
    found = fleiss(votes)
    assert found.n == sum(votes.values())
    assert found.kappa == (None if kappa is None else pytest.approx(kappa))


def test_kappa_of_nothing_is_none() -> None:
    assert fleiss({}) == Agreement(0, None)


@given(st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=1, max_size=30))
def test_kappa_is_that_of_the_pairs_counted_one_by_one_and_of_the_scores_turned_over(samples: list[list[int]]) -> None:
    votes = {v: n for v in range(4) if (n := sum(sum(one) == v for one in samples))}
    found = fleiss(votes).kappa
    turned = fleiss({3 - v: n for v, n in votes.items()}).kappa
    pairs = [one[i] == one[j] for one in samples for i in range(3) for j in range(3) if i != j]
    share = sum(map(sum, samples)) / (3 * len(samples))
    chance = share**2 + (1 - share) ** 2
    if found is None:
        assert turned is None
        assert share in {0.0, 1.0}
        return
    assert found == pytest.approx((sum(pairs) / len(pairs) - chance) / (1 - chance))
    assert found == pytest.approx(turned)
    assert -0.5000001 <= found <= 1.0000001


def test_agreement_is_over_what_all_three_scored_kept_or_not(tmp_path: Path) -> None:
    """The hand-worked ten in two parts, and others that one was away for or nobody scored."""
    both = [("s", "p", "t", "q", "a", one) for one in [[1, 1, 1]] * 5 + [[1, 0, 1], [0, 1, 1], [1, None, 1]]]
    no_votes: list[list[int | None]] = [[0, 0, 1], [0, 0, 0], [0, 0, 0], [None, 0, 0], [None, None, None]]
    none = [("s", "p", "t", "q", "a", one, reason_of(one), "") for one in no_votes]
    for i, rows in enumerate((slice(0, 4), slice(4, 8))):
        write_part(
            tmp_path / "judged",
            i,
            pl.DataFrame(both[rows], schema=dict(KEPT), orient="row"),
            pl.DataFrame(none[rows], schema=dict(DROPPED), orient="row"),
            input="i",
            plan="p",
        )
    found = agreement(tmp_path)
    assert found.n == 10
    assert found.kappa == pytest.approx(0.55)
    assert agreement(tmp_path / "nothing") == Agreement(0, None)


def endpoints(*told: tuple[str, str]) -> dict[str, Endpoint]:
    return {
        seat: Endpoint(f"http://127.0.0.1:1/{base}/v1", model) for seat, (base, model) in zip(SEATS, told, strict=False)
    }


THREE = (("a", "m"), ("b", "m"), ("a", "n"))


def test_referees_are_three_and_each_another() -> None:
    stage = referee_stage(Path("home"), TYPES, endpoints(*THREE), ShowingSettings())
    assert (stage.source, stage.folder) == (Path("home/questions"), Path("home/judged"))
    for told, rule in (
        (THREE[:2], "2 referees, must be 3"),
        ((), "0 referees, must be 3"),
        ((("a", "m"), ("b", "m"), ("a", "m")), "the same model at the same address, each must be another"),
    ):
        with pytest.raises(BadInputError, match=rule):
            referee_stage(Path("home"), TYPES, endpoints(*told), ShowingSettings())
    moved = endpoints(("x", "m"), ("y", "m"), ("z", "n"))
    assert referee_stage(Path("home"), TYPES, moved, ShowingSettings()).plan == stage.plan
    other = endpoints(("a", "m"), ("b", "o"), ("a", "n"))
    assert referee_stage(Path("home"), TYPES, other, ShowingSettings()).plan != stage.plan


def test_the_samples_of_a_picture_are_heard_together_as_many_as_a_request_takes(tmp_path: Path) -> None:
    home = write_pictures(tmp_path, {1: [b"one"], 2: [b"two"]})
    rows = [(f"s{n}", picture_id(1), ID["Bars"], f"q{n}", "a") for n in range(AT_ONCE + 1)]
    rows.append(("last", picture_id(2), ID["Signs"], "q", "a"))
    part(home / "questions", 0, QUESTIONS, rows)
    stage = referee_stage(home, TYPES, endpoints(*THREE), ShowingSettings())
    items = list(stage.items(home / "questions" / "part-00000.parquet"))
    assert [(item.item_id, len(item.samples), list(item.frames)) for item in items] == [
        (f"{picture_id(1)}.0", 16, [b"one"]),
        (f"{picture_id(1)}.16", 1, [b"one"]),
        (f"{picture_id(2)}.0", 1, [b"two"]),
    ]
    assert [sample.row for item in items for sample in item.samples] == rows
    assert items[2].samples[0].label == "Text~Signs"
