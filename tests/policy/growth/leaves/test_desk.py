"""Proposals wait for a person; what was rejected comes back grown by half; a half-written decision is none."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.errors import BadInputError
from contracts.taxonomy import Category
from policy.growth.leaves.desk import DECISIONS, Decision, Desk, Proposal, is_again, proposal_id, was_decided

NOW = datetime(2026, 11, 1, tzinfo=UTC)
GOODS, FRAUD = Category.PROHIBITED_GOODS, Category.FALSE_BENEFITS


def proposal(*members: str) -> Proposal:
    return Proposal(
        proposal_id=proposal_id(GOODS, members),
        category=GOODS,
        members=tuple(sorted(members)),
        examples=members[:1],
        authors=2,
        cohesion=0.5,
        name="fruit cups",
        proposed_at=NOW,
        release_version=1,
    )


def rejected(one: Proposal) -> Decision:
    return Decision(
        proposal_id=one.proposal_id,
        outcome="rejected",
        category=one.category,
        members=one.members,
        decided_by="sam",
        decided_at=NOW,
        reason="no",
    )


def test_a_proposal_is_known_by_its_members_in_any_order() -> None:
    assert proposal("a", "b").proposal_id == proposal("b", "a").proposal_id != proposal("a", "c").proposal_id
    assert proposal_id(GOODS, ["a", "b"]) != proposal_id(FRAUD, ["a", "b"])


@pytest.mark.parametrize(
    ("now", "before", "again"),
    [
        ("abcd", "abcd", True),
        ("abcde", "abcd", True),  # one more of four is less than half
        ("abcdef", "abcd", False),  # grown by half
        ("ab", "abcd", True),  # it shrank
        ("wxyz", "abcd", False),
        ("awx", "abcd", False),  # a third of it is not that cluster
        ("abwxyz", "abcd", False),
    ],
)
def test_a_cluster_is_the_same_again_until_it_grew_by_half(now: str, before: str, again: bool) -> None:
    assert is_again(now, before) is again


def test_what_was_rejected_is_known_by_its_category_too() -> None:
    decisions = [rejected(proposal("a", "b", "c", "d"))]
    assert was_decided(GOODS, list("abcde"), decisions)
    assert not was_decided(FRAUD, list("abcde"), decisions)
    assert not was_decided(GOODS, list("abcdef"), decisions)


def test_a_decided_proposal_waits_no_more_and_says_what_became_of_it(tmp_path: Path) -> None:
    desk, one, two = Desk(tmp_path), proposal("a", "b"), proposal("c", "d", "e")
    desk.put(one)
    desk.put(two)
    assert desk.waiting() == [two, one], "the largest first"
    desk.decide(rejected(one))
    assert desk.waiting() == [two]
    assert desk.decisions() == [rejected(one)]
    with pytest.raises(BadInputError, match=rf"'{one.proposal_id}' was rejected by sam on 2026-11-01"):
        desk.find(one.proposal_id)
    with pytest.raises(BadInputError, match=rf"proposal == 'p-none', must be one that waits: {two.proposal_id}"):
        desk.find("p-none")
    with pytest.raises(BadInputError, match=r"must be one that waits"):
        desk.find("../decisions")


def test_a_decision_that_was_written_by_half_is_none_and_the_next_is_whole(tmp_path: Path) -> None:
    desk, one, two = Desk(tmp_path), proposal("a", "b"), proposal("c", "d")
    desk.put(one)
    desk.decide(rejected(one))
    with (tmp_path / DECISIONS).open("ab") as lines:
        lines.write(rejected(two).model_dump_json().encode()[:40])
    assert desk.decisions() == [rejected(one)]
    desk.put(two)
    assert desk.waiting() == [two]
    desk.decide(rejected(two))
    assert desk.decisions() == [rejected(one), rejected(two)]
    (tmp_path / DECISIONS).write_text("{}\n")
    with pytest.raises(BadInputError, match=rf"{DECISIONS}:1: "):
        desk.decisions()
