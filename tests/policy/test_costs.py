"""When acting is worth it: lines from costs, against hand-worked values and against what cases cost in fact."""

from collections.abc import Callable

import numpy as np
import pytest

from contracts.errors import BadInputError
from contracts.taxonomy import POSITIVE_INDEX, VIOLATIVE, Category
from policy.costs import HARM, Costs, cost_of, line_of, thresholds_by_cost

EVEN = dict.fromkeys(VIOLATIVE, 1.0)


def scored(p_N: list[float], violative_N: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """One category with probability p, the rest positive."""
    probabilities = np.zeros((len(p_N), 16))
    probabilities[:, 0], probabilities[:, POSITIVE_INDEX] = p_N, 1.0 - np.array(p_N)
    return probabilities, np.where(violative_N, 0, POSITIVE_INDEX)


def test_an_action_that_costs_what_the_harm_is_begins_at_one_half() -> None:
    assert line_of(1.0, 1.0) == 0.5
    assert line_of(12.0, 1.0) == pytest.approx(12 / 13)
    assert line_of(3.0, 2.0) == pytest.approx(0.6)


def test_harms_are_one_on_average_and_the_worse_category_is_acted_on_earlier() -> None:
    assert sum(HARM.values()) / 15 == pytest.approx(1.0)
    lines = thresholds_by_cost(np.zeros((0, 16)), np.zeros(0, np.int64), Costs())
    minors, copies = lines[Category.HARM_TO_MINORS], lines[Category.PLAGIARISM]
    assert minors.remove < copies.remove
    assert minors.demote < minors.review < minors.remove


def test_a_case_costs_its_harm_when_let_be_and_the_action_when_it_was_good() -> None:
    probabilities, labels = scored([0.9, 0.9, 0.1, 0.1], [True, False, True, False])
    found = cost_of(probabilities, labels, 3.0, Costs(harm=EVEN))
    assert found.tolist() == [0.0, 3.0, 1.0, 0.0]


def test_calibrated_probabilities_leave_the_lines_where_they_are_and_overconfident_ones_move_them() -> None:
    rng = np.random.default_rng(3)
    p = rng.beta(0.6, 0.9, 20_000)
    costs = Costs(harm=EVEN)
    happened = rng.random(len(p)) < p
    calibrated = thresholds_by_cost(*scored(list(p), list(happened)), costs)[VIOLATIVE[0]]
    assert calibrated.remove == pytest.approx(12 / 13, abs=0.03)
    odds = np.log(p / (1 - p))
    boasting = 1 / (1 + np.exp(-(odds + 1.0)))  # truly less likely than it says
    moved = thresholds_by_cost(*scored(list(boasting), list(happened)), costs)[VIOLATIVE[0]]
    assert moved.review == pytest.approx(1 / (1 + np.exp(-(np.log(3.0) + 1.0))), abs=0.04)


def test_few_cases_do_not_move_the_lines() -> None:
    # 500 times 0.95 that is never right: as 2,000 of them would, it does not move the line of removal
    boasting = scored([0.95] * 500, [False] * 500)
    lines = thresholds_by_cost(*boasting, Costs(harm=EVEN))[VIOLATIVE[0]]
    assert lines.remove == pytest.approx(12 / 13, abs=1e-4)
    many = thresholds_by_cost(*scored([0.95] * 2_000, [False] * 2_000), Costs(harm=EVEN))[VIOLATIVE[0]]
    assert many.remove > 0.95


def test_the_lines_cost_no_more_than_any_shift_of_them_on_calibrated_scores() -> None:
    rng = np.random.default_rng(4)
    p = rng.beta(0.6, 0.9, 50_000)
    probabilities, labels = scored(list(p), list(rng.random(len(p)) < p))
    costs = Costs(harm=EVEN)
    at_line = cost_of(probabilities, labels, costs.review, costs).sum()
    for shift in (-1.0, -0.5, 0.5, 1.0):
        assert at_line < cost_of(probabilities, labels, costs.review, costs, shift=shift).sum()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Costs(demote=2.0, review=1.0), "demote == 2.0, review == 1.0"),
        (lambda: Costs(harm={Category.PLAGIARISM: 1.0}), "harm of illegal_activity is missing"),
    ],
)
def test_costs_that_make_no_sense_are_refused(made: Callable[[], Costs], said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        made()
