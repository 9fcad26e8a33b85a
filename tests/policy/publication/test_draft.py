"""Which rulings speak, by hand."""

from datetime import timedelta

import numpy as np
import pytest

from contracts.taxonomy import Category
from policy.publication.contradictions import Nearness, settle
from policy.publication.draft import read_own, without
from policy.publication.precedents import Precedent, select
from serving.casebook import Casebook, read_casebook, search, write_casebook
from serving.releases import open_release
from tests.policy.publication.conftest import ANN, NOW, SAM, TREND, VLM, Court, Taught, video

GOOD, BAD, WORSE = Category.POSITIVE, Category.FALSE_BENEFITS, Category.HYPE_SELLING


def precedent(name: str, category: Category, sequence: int, *, person: bool = True, text: str = "") -> Precedent:
    from contracts.cases import DecidedCase

    upload = video(name, text or f"words of {name}")
    case = DecidedCase(
        case_id=name, upload=upload, category=category, decided_at=NOW + timedelta(minutes=sequence), weight=1.0
    )
    return Precedent(case, by_person=person, sequence=sequence, frames_digest=None)


def at(*cosines: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Unit vectors in the plane with these cosines to the first axis."""
    return np.array([(c, np.sqrt(1 - c * c)) for c in cosines], np.float32)


NOBODY = Casebook(np.zeros((0, 2), np.float32), (), np.zeros(0, np.int32), np.zeros(0, np.float32))


def test_of_two_people_the_newer_speaks_and_both_are_listed() -> None:
    settled = settle([precedent("old", BAD, 1), precedent("new", GOOD, 2)], at(1.0, 0.99), NOBODY)
    assert settled.rows == [1]
    [found] = settled.contradictions
    assert (found.heard, found.silent) == ("new", "old")
    assert found.reason == (
        "cosine 0.990: positive (a person, 2026-01-02 00:02) against false_benefits (a person, 2026-01-02 00:01)"
    )


def test_a_person_is_heard_before_a_newer_adjudicator_and_the_far_away_speak_on() -> None:
    person, judge = precedent("person", WORSE, 1), precedent("judge", BAD, 2, person=False)
    assert settle([person, judge], at(1.0, 0.99), NOBODY).rows == [0]
    assert settle([person, judge], at(1.0, 0.97), NOBODY).rows == [0, 1]
    assert settle([person, precedent("same", WORSE, 2)], at(1.0, 1.0), NOBODY).contradictions == []


def test_an_adjudicator_keeps_farther_from_what_a_person_found_good() -> None:
    good, judge = precedent("good", GOOD, 1), precedent("judge", BAD, 2, person=False)
    # the floor is 0.5: half way from there to 1
    assert settle([good, judge], at(1.0, 0.76), NOBODY).rows == [0]
    assert settle([good, judge], at(1.0, 0.74), NOBODY).rows == [0, 1]
    assert settle([good, precedent("person", BAD, 2)], at(1.0, 0.91), NOBODY).rows == [0, 1]


def test_the_same_words_contradict_whatever_the_student_sees() -> None:
    old, new = precedent("old", BAD, 1, text="Ｃｕｒｅ  all"), precedent("new", GOOD, 2, text="cure ALL")
    assert settle([old, new], at(1.0, 0.0), NOBODY).contradictions[0].reason.startswith("the same words and frames")


def test_beside_the_taught_a_person_speaks_and_an_adjudicator_does_not() -> None:
    taught = Casebook(at(1.0), ("taught",), np.array([GOOD.position], np.int32), np.ones(1, np.float32))
    person = settle([precedent("person", BAD, 1)], at(0.99), taught)
    assert (person.rows, person.contradictions[0].silent) == ([0], None)
    judge = settle([precedent("judge", BAD, 1, person=False)], at(0.99), taught)
    assert (judge.rows, judge.contradictions[0].heard) == ([], "taught")
    assert settle([precedent("person", BAD, 1)], at(0.0), taught, Nearness()).contradictions == []


def test_who_rules_says_how_loud_and_what_was_taught_is_no_news(court: Court) -> None:
    court.rule(video("a", TREND), BAD)
    court.rule(video("b", "b"), BAD, VLM, confidence=0.6)
    court.rule(video("c", "c"), GOOD, VLM)
    court.rule(video("d", "d"), BAD)
    court.rule(video("e", "e"), BAD, VLM)
    court.rule(video("f", "f"), BAD, VLM, confidence=0.0)
    chosen = select(court.docket.decided(), {"v-d": BAD, "v-e": GOOD})
    assert [(one.case.case_id, one.case.weight) for one in chosen.precedents] == [
        ("case-u-a", 1.0),
        ("case-u-b", pytest.approx(0.3)),
    ]
    reasons = {one.case_id: one.reason for one in chosen.left_out}
    assert set(reasons) == {"case-u-c", "case-u-e", "case-u-f"}
    assert "a person must overrule" in reasons["case-u-e"]
    assert "confidence == 0" in reasons["case-u-f"]


def test_an_author_is_heard_by_the_newest_and_by_people_first(court: Court) -> None:
    for n, by in enumerate((ANN, ANN, VLM, ANN, VLM)):
        court.rule(video(f"v{n}", f"text {n}"), BAD, by)
    court.rule(video("other", "other", author="author-2"), BAD, SAM)
    chosen = select(court.docket.decided(), {}, an_author_at_most=2)
    assert [one.case.case_id for one in chosen.precedents] == ["case-u-v1", "case-u-v3", "case-u-other"]
    assert [one.case_id for one in chosen.left_out] == ["case-u-v0", "case-u-v2", "case-u-v4"]


def test_a_written_casebook_is_read_as_it_was(taught: Taught) -> None:
    folder = open_release(taught.release)
    cases, casebook = read_own(folder)
    assert [case.case_id for case in cases] == list(casebook.case_ids)
    assert (casebook.n_taught, casebook.blend.floor, casebook.blend.k) == (120, 0.5, 16)
    assert casebook.blend.strength == pytest.approx(0.1)
    news = Casebook(casebook.embeddings[:1], ("news",), np.array([3], np.int32), np.array([0.5], np.float32))
    path = taught.release.parent / "both.onnx"
    write_casebook(casebook.with_news(news), path)
    weights = {case.case_id: case.weight for case in cases} | {"news": 0.5}
    again = read_casebook(path, weights)
    assert (again.n_taught, again.blend.news, again.case_ids[-1]) == (120, pytest.approx(10.0), "news")
    query, even = casebook.embeddings[:5], np.full((5, 16), 1 / 16, np.float32)
    expected = search(casebook.with_news(news), query, even).probabilities
    assert np.abs(search(again, query, even).probabilities - expected).max() < 1e-6
    assert without(again, [0, 120]).n_taught == 119
