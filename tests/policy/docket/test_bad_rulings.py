"""Rulings that contradict, name what is not there, come twice or run in a ring: refused, audited, nothing in force."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.cases import Ruling
from policy.docket.docket import Docket
from policy.docket.rules import RulingRefusedError
from tests.policy.docket.cases import ANN, FRAUD, GOOD, NOW, SUE, new_case, ruling


@pytest.fixture
def docket(tmp_path: Path) -> Iterator[Docket]:
    """A docket with a case on v-1 and one on v-2."""
    docket = Docket(tmp_path, clock=lambda: NOW)
    docket.enter([new_case("c-1"), new_case("c-2", video="v-2")], now=NOW)
    yield docket
    docket.close()


def refused(docket: Docket, given: Ruling, said: str) -> None:
    """The ruling is refused in these words, which the audit keeps; what is in force stays, and the audit verifies."""
    before = docket.decided()
    with pytest.raises(RulingRefusedError, match=said):
        docket.rule(given, SUE)
    assert docket.decided() == before
    assert [entry.action for entry in docket.audit()][-1] == "refused"
    docket.verify_audit()


def test_a_ruling_on_a_case_or_a_video_that_is_not_on_the_docket_is_refused(docket: Docket) -> None:
    refused(docket, ruling("c-9", FRAUD, SUE, video="v-9"), "case_id == 'c-9' is not on the docket")
    refused(docket, ruling("c-1", FRAUD, SUE, video="v-9"), "video_id == 'v-9', must be 'v-1', which case c-1 is about")
    assert [file.opened.case_id for file in docket.waiting()] == ["c-1", "c-2"]


def test_a_ruling_that_contradicts_what_is_in_force_must_name_it(docket: Docket) -> None:
    first = ruling("c-1", FRAUD)
    docket.rule(first, ANN)
    refused(docket, ruling("c-1", GOOD, SUE, minute=2), "is ruled false_benefits by ann .* overrules must name that")
    docket.enter([new_case("c-3")], now=NOW)  # another case on the video
    refused(docket, ruling("c-3", GOOD, SUE, minute=2), "is ruled false_benefits by ann")
    docket.rule(ruling("c-1", GOOD, SUE, minute=2, overrules=first), SUE)
    assert [one.ruling.category for one in docket.decided()] == [GOOD]


def test_a_ring_of_rulings_that_overrule_each_other_cannot_be_entered(docket: Docket) -> None:
    first = ruling("c-1", FRAUD, SUE)
    second = ruling("c-1", GOOD, SUE, minute=2, overrules=first)
    refused(docket, first.model_copy(update={"overrules": second.event_id}), "but nothing was ruled on video v-1")
    docket.rule(first, SUE)
    docket.rule(second, SUE)
    ring = ruling("c-1", FRAUD, SUE, minute=3, overrules=second).model_copy(update={"event_id": first.event_id})
    refused(docket, ring, f"event_id == '{first.event_id}' is that of another ruling, on c-1")
    itself = ruling("c-1", FRAUD, SUE, minute=3)
    itself = itself.model_copy(update={"overrules": itself.event_id})
    refused(docket, itself, "is the ruling itself, must be an earlier one")
    refused(docket, ruling("c-1", FRAUD, SUE, minute=3, overrules=first), "was overruled already, in force is")
    across = ruling("c-2", GOOD, SUE, minute=3, video="v-2")
    docket.rule(across, SUE)
    refused(docket, ruling("c-2", FRAUD, SUE, minute=4, video="v-2", overrules=second), "is no ruling on video v-2")
    assert [one.ruling for one in docket.decided()] == [second, across]
