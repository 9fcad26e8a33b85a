"""What a plan sends follows from its seed: kinds by their shares, and events that speak of earlier ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import BadInputError
from streams.load.plan import LOOKS_BACK, SPEAK_OF_EARLIER, Kind, LoadPlan, Mix, draw

MIX = "text=0.7,media=0.05,update=0.1,late=0.05,repeat=0.05,poison=0.02,report=0.03"


def plan(count: int = 20_000, mix: str = MIX, seed: int = 0) -> LoadPlan:
    return LoadPlan(run="run", count=count, rate=100.0, mix=Mix.parse(mix), seed=seed)


def test_kinds_come_in_their_shares():
    kinds = draw(plan()).kind_N
    shares = {kind: float((kinds == kind).mean()) for kind in Kind}
    assert shares == pytest.approx(dict(Mix.parse(MIX).shares), abs=0.01)


@given(st.integers(1, 400), st.integers(0, 50), st.sampled_from([MIX, "text=0.1,update=0.9", "text=0.5,report=0.5"]))
@settings(max_examples=60, deadline=None)
def test_what_speaks_of_another_speaks_of_an_earlier_text_and_all_else_of_itself(count: int, seed: int, mix: str):
    drawn = draw(plan(count, mix, seed))
    speaks = np.isin(drawn.kind_N, SPEAK_OF_EARLIER)
    numbers = np.arange(count)
    assert (drawn.speaks_of_N[~speaks] == numbers[~speaks]).all()
    assert (drawn.speaks_of_N[speaks] < numbers[speaks]).all()
    assert (drawn.kind_N[drawn.speaks_of_N[speaks]] == Kind.TEXT).all()


def test_nobody_speaks_of_what_lies_long_ago():
    drawn = draw(plan(30_000))
    speaks = np.isin(drawn.kind_N, SPEAK_OF_EARLIER)
    assert (np.arange(30_000) - drawn.speaks_of_N)[speaks].max() <= LOOKS_BACK


def test_a_plan_that_is_read_again_draws_the_same():
    one = plan()
    other = LoadPlan.from_json(one.to_json())
    assert other == one
    assert (draw(other).kind_N == draw(one).kind_N).all()
    assert (draw(other).speaks_of_N == draw(one).speaks_of_N).all()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("text=0.5", "shares sum to 0.5, must be 1"),
        ("text=0.5,film=0.5", "'film' is no kind"),
        ("text=0.5,text=0.5", "text is given twice"),
        ("text=a", "'text=a', must be text=SHARE"),
        ("text=1.5,update=-0.5", "text=1.5, must be in"),
        ("update=1", "text must have a share"),
        ("text=nan", "must be in"),
    ],
)
def test_a_mix_that_is_wrong_is_refused_by_the_part_that_is(words: str, complaint: str):
    with pytest.raises(BadInputError, match=complaint):
        Mix.parse(words)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"count": 0}, "must be at least 1"),
        ({"warm_up": 10}, "must be less than the 10"),
        ({"rate": 0.0}, "--rate == 0.0, must be above 0"),
        ({"rate": float("inf")}, "must be above 0"),
    ],
)
def test_a_plan_that_cannot_be_kept_is_refused(changes: dict[str, float], complaint: str):
    with pytest.raises(BadInputError, match=complaint):
        LoadPlan(**({"run": "r", "count": 10, "rate": 1.0} | changes))
