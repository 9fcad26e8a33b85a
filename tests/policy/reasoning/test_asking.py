"""Questions that are asked at once: bounded, each once, and what was answered before a failure is not lost."""

from threading import Barrier, Lock

import pytest

from contracts.errors import DependencyError
from policy.reasoning.asking import each_answer


def test_every_question_is_answered_once_and_no_more_are_under_way_than_may_be() -> None:
    lock, under_way, most = Lock(), 0, 0
    pairs = Barrier(2)  # an answer waits for another that is under way: two at once, or it would never end

    def ask(question: int) -> int:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        pairs.wait(timeout=60)
        with lock:
            under_way -= 1
        return question * question

    assert sorted(each_answer(ask, range(10), parallel=2)) == [(n, n * n) for n in range(10)]
    assert most == 2


def test_a_failure_ends_the_asking_and_is_raised_after_what_was_answered() -> None:
    asked: list[int] = []

    def ask(question: int) -> str:
        asked.append(question)
        if question == 2:
            raise DependencyError("the judge is away")
        return "yes"

    answers = []
    with pytest.raises(DependencyError, match="the judge is away"):
        for one in each_answer(ask, range(9), parallel=1):
            answers.append(one)  # noqa: PERF402 (what came before the failure is what is looked at)
    assert (asked, answers) == ([0, 1, 2], [(0, "yes"), (1, "yes")])


def test_no_questions_have_no_answers() -> None:
    assert list(each_answer(str, [], parallel=3)) == []
