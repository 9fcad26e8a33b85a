"""When acting is worth it: lines from costs, against hand-worked values and against what cases cost in fact."""

from collections.abc import Callable

import numpy as np
import pytest

from contracts.errors import BadInputError
from contracts.taxonomy import VIOLATIVE, Category
from policy.costs import HARM, Costs, line_of, thresholds_by_cost

EVEN = dict.fromkeys(VIOLATIVE, 1.0)


def test_an_action_that_costs_what_the_harm_is_begins_at_one_half() -> None:
    assert line_of(1.0, 1.0) == 0.5
    assert line_of(12.0, 1.0) == pytest.approx(12 / 13)
    assert line_of(3.0, 2.0) == pytest.approx(0.6)


def test_harms_are_one_on_average_and_the_worse_category_is_acted_on_earlier() -> None:
    assert sum(HARM.values()) / 15 == pytest.approx(1.0)
    lines = thresholds_by_cost(Costs())
    minors, copies = lines[Category.HARM_TO_MINORS], lines[Category.PLAGIARISM]
    assert minors.remove < copies.remove
    assert minors.demote < minors.review < minors.remove


def test_no_other_line_costs_less_on_calibrated_scores() -> None:
    rng = np.random.default_rng(4)
    p = rng.beta(0.6, 0.9, 50_000)
    violative = rng.random(len(p)) < p
    review, harm = 3.0, 1.0

    def cost(line: float) -> float:
        acted = p >= line
        return review * int((acted & ~violative).sum()) + harm * int((~acted & violative).sum())

    best = line_of(review, harm)
    for other in (0.5, 0.6, 0.85, 0.95):
        assert cost(best) < cost(other)


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
