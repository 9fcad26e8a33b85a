"""What cases teach: votes by their shares, rulings of persons for certain."""

import numpy as np
import pytest
from pydantic import ValidationError

from contracts.cases import DecidedCase
from contracts.taxonomy import CATEGORIES, N_CATEGORIES, Category
from policy.lesson import targets_of
from tests.policy.refresh.test_steps import spoken


def voted(**votes: int) -> tuple[int, ...]:
    return tuple(votes.get(category.value, 0) for category in CATEGORIES)


def case(**changes: object) -> DecidedCase:
    [item] = spoken(1, 3)
    return DecidedCase.model_validate(item.case.model_dump() | changes)


def test_a_person_is_certain_and_a_vlm_is_as_certain_as_its_votes() -> None:
    certain = case(category=Category.HYPE_SELLING)
    divided = case(category=Category.HYPE_SELLING, votes=voted(hype_selling=3, positive=1))
    targets = targets_of([certain, divided])
    assert targets.shape == (2, N_CATEGORIES)
    assert np.flatnonzero(targets[0]).tolist() == [Category.HYPE_SELLING.position]
    assert targets[1, Category.HYPE_SELLING.position] == 0.75
    assert targets[1, Category.POSITIVE.position] == 0.25
    assert targets.sum(axis=1).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("votes", [(1, 2), voted(positive=3), (0,) * N_CATEGORIES])
def test_votes_are_those_of_the_ruling(votes: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="16 counts with a vote for hype_selling, or none"):
        case(category=Category.HYPE_SELLING, votes=votes)
