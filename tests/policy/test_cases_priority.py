"""The order in which to rule: by harm, and the audit's turns."""

import pytest

from policy.cases.priority import AUDIT_TURN, in_turn

HARMFUL = [f"h{n}" for n in range(30)]


def turns(by_harm: list[str], audited: list[str], ruled: int = 0) -> list[str]:
    return in_turn(by_harm, audited, ruled=ruled, name=lambda case: case)


@pytest.mark.parametrize(
    ("by_harm", "audited", "ruled", "order"),
    [
        ([], [], 0, []),
        ([], ["a", "b"], 0, ["a", "b"]),
        (["h"], [], AUDIT_TURN - 1, ["h"]),
        (["h", "a"], ["a"], AUDIT_TURN - 1, ["a", "h"]),
        (["a", "h"], ["a"], 0, ["a", "h"]),
    ],
)
def test_each_waits_once_and_none_is_left_out(
    by_harm: list[str], audited: list[str], ruled: int, order: list[str]
) -> None:
    assert turns(by_harm, audited, ruled) == order


def test_every_tenth_turn_is_the_audits_wherever_one_begins() -> None:
    for ruled in (0, 7, 9, 23):
        order = turns(HARMFUL, ["a0", "a1", "a2"], ruled)
        assert [place for place, case in enumerate(order, ruled) if case.startswith("a")] == [
            place for place in range(ruled, ruled + 33) if place % AUDIT_TURN == AUDIT_TURN - 1
        ][:3]
        assert [case for case in order if case.startswith("h")] == HARMFUL
