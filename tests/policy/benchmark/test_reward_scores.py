"""The public reward figures by hand: nine pairs of four ids and what a judge said of them."""

import math

import pytest

from contracts.reasoning import enveloped
from policy.benchmark.reward_scores import reward_table, score, vl_group
from policy.reasoning.pairwise import Order, OrderVerdict, PairVerdict
from tests.policy.benchmark.pairs import ALWAYS_1, NO_ANSWER, RIGHT, WRONG, pair_of

JUDGED = [
    (pair_of("a", "mcq/1.png"), RIGHT),
    (pair_of("a", "mcq/1.png"), RIGHT),
    (pair_of("b", "mcq/2.png"), RIGHT),
    (pair_of("b", "mcq/2.png"), ALWAYS_1),
    (pair_of("b", "mcq/2.png"), ALWAYS_1),
    (pair_of("c", "video/3"), WRONG),
    (pair_of("c", "video/3"), RIGHT),
    (pair_of("d", "video/4"), NO_ANSWER),
]
REPORT = score([pair for pair, _ in JUDGED], [verdict for _, verdict in JUDGED])


def test_accuracy_of_eight_pairs_by_hand() -> None:
    # Right: 1, 1, 1, 1/2, 1/2, 0, 1, 0 (no answer in an order).
    assert REPORT.total.accuracy.estimate == pytest.approx(5 / 8)
    # Chosen above rejected: a tie of the two pairs with position bias is wrong.
    assert REPORT.total.pooled.estimate == pytest.approx(4 / 8)
    assert (REPORT.total.pairs, REPORT.total.ids, REPORT.unanswered) == (8, 4, 1)


def test_acc_plus_of_four_ids_by_hand() -> None:
    # a: all right; b: right by one in four draws of two orders; c and d: never.
    assert REPORT.total.acc_plus.estimate == pytest.approx((1 + 1 / 4 + 0 + 0) / 4)
    assert REPORT.total.pooled_plus.estimate == pytest.approx(1 / 4)


def test_kinds_are_first_folders_and_scored_apart_by_hand() -> None:
    mcq, video = REPORT.by_kind
    assert [(row.name, row.pairs, row.ids) for row in REPORT.by_kind] == [("mcq", 5, 2), ("video", 3, 2)]
    assert mcq.accuracy.estimate == pytest.approx(4 / 5)
    assert mcq.acc_plus.estimate == pytest.approx((1 + 1 / 4) / 2)
    assert video.accuracy.estimate == pytest.approx(1 / 3)
    assert video.acc_plus.estimate == 0.0


def test_consistency_and_first_places_by_hand() -> None:
    # Of seven pairs answered in both orders, two differ between the orders.
    assert REPORT.consistency.estimate == pytest.approx(5 / 7)
    # First preferred: five pairs once in two answers, two pairs twice in two, one pair in its only usable answer.
    assert REPORT.first_place.estimate == pytest.approx((5 + 4 + 1) / 15)
    assert (REPORT.answers, REPORT.unparsed) == (16, {"the answer must be 1 or 2": 1})


def test_the_macro_accuracy_is_the_plain_mean_of_three_groups_that_ids_name() -> None:
    pairs = [
        pair_of("mathverse_12"),
        pair_of("mmmu_pro_test_Biology_3"),
        pair_of("hallucination_pair-7"),
        pair_of("RLHF-V_8"),
        pair_of("RLAIF-V-9"),
        pair_of("wildvision-battle-1"),
        pair_of("0b3f-some-other"),
        pair_of("LRVInstruction-000000009569"),
    ]
    report = score(pairs, [RIGHT, WRONG, RIGHT, RIGHT, WRONG, RIGHT, RIGHT, ALWAYS_1])
    assert {row.name: row.accuracy.estimate for row in report.by_group} == pytest.approx(
        {"general": 2.5 / 3, "hallucination": 2 / 3, "reasoning": 1 / 2}
    )
    assert report.macro is not None
    assert report.macro.estimate == pytest.approx((2.5 / 3 + 2 / 3 + 1 / 2) / 3)
    assert report.total.accuracy.estimate == pytest.approx(5.5 / 8), "the macro weighs groups, not pairs"
    assert "macro accuracy of reasoning, hallucination and general: 0.667 [" in reward_table(report, name="judge")


def test_ids_that_name_no_group_give_none() -> None:
    assert (REPORT.by_group, REPORT.macro) == ([], None)
    assert vl_group("073712_6205145") is None
    only_one = score([pair_of("mathverse_1")], [RIGHT])
    assert ([row.name for row in only_one.by_group], only_one.macro) == (["reasoning"], None)


def test_in_one_order_accuracy_and_acc_plus_are_plain_shares() -> None:
    one_order = [PairVerdict(orders=(verdict.orders[0],)) for verdict in (RIGHT, RIGHT, ALWAYS_1, WRONG)]
    report = score([pair_of("a"), pair_of("a"), pair_of("b"), pair_of("b")], one_order)
    assert (report.total.accuracy.estimate, report.total.acc_plus.estimate) == (3 / 4, 1 / 2)
    assert math.isnan(report.consistency.estimate)
    assert "each pair was asked in one order" in reward_table(report, name="judge")


def test_votes_decide_an_order_and_pool_over_both() -> None:
    def order(which: Order, *answers: str) -> OrderVerdict:
        return OrderVerdict.of(which, [enveloped("so", answer) for answer in answers])

    swayed = PairVerdict(
        orders=(order(Order.CHOSEN_FIRST, "1", "1", "1"), order(Order.REJECTED_FIRST, "1", "1", "2")),
    )
    report = score([pair_of("a")], [swayed])
    assert report.total.accuracy.estimate == 0.5, "two of three votes fall for the first place"
    assert report.total.pooled.estimate == 1.0, "four votes of six are for the chosen response"


def test_the_table_has_a_row_for_each_kind_and_tells_what_was_unparsed() -> None:
    lines = reward_table(REPORT, name="some-model").splitlines()
    assert lines[0].split() == ["some-model", "pairs", "ids", "accuracy", "ACC+", "pooled", "pooled", "ACC+"]
    assert [line.split()[:4] for line in lines[1:4]] == [
        ["all", "8", "4", "0.625"],
        ["mcq", "5", "2", "0.800"],
        ["video", "3", "2", "0.333"],
    ]
    text = "\n".join(lines)
    assert "1 of 16 answers were not of the form; 1 pairs had an order without a usable answer" in text
    assert "       1  the answer must be 1 or 2" in text
