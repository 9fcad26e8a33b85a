"""Which cases are kept, held out, and speak for how many uploads: worked out by hand."""

from datetime import UTC, datetime

import numpy as np
import pytest

from contracts.cases import DecidedCase
from contracts.taxonomy import Category
from contracts.videos import VideoUploaded
from policy.casebook import choose_precedents
from policy.sampling import held_out, judges, sample_with_rare, uploads_spoken_for

WHEN = datetime(2026, 1, 2, tzinfo=UTC)
GOOD, BAD, OTHER = Category.POSITIVE, Category.PLAGIARISM, Category.SEXUAL_CONTENT


def ruled(name: str, category: Category, *, sampled: float = 1.0) -> DecidedCase:
    upload = VideoUploaded(event_id=name, video_id=name, author_id="author", occurred_at=WHEN, title=name)
    return DecidedCase(case_id=name, upload=upload, category=category, decided_at=WHEN, sampled=sampled)


def test_a_sample_keeps_the_rare_whole_and_is_mixed_as_the_cases_are() -> None:
    categories = [GOOD] * 1_000 + [BAD] * 30
    rows = sample_with_rare(categories, at_most=200, rng=np.random.default_rng(0))
    assert len(set(rows.tolist())) == 200
    assert (rows >= 1_000).sum() == 30


def test_what_was_just_ruled_becomes_a_precedent_and_what_was_one_stays_one() -> None:
    cases = [ruled(f"c{n}", GOOD) for n in range(100)]
    new, before = {"c7", "c8"}, {f"c{n}" for n in range(50, 60)}
    chosen = choose_precedents(cases, at_most=12, rng=np.random.default_rng(1), new=new, before=before)
    assert chosen.tolist() == [7, 8, *range(50, 60)]
    fewer = choose_precedents(cases, at_most=5, rng=np.random.default_rng(1), new=new, before=before)
    assert {7, 8} <= set(fewer.tolist()) <= {7, 8, *range(50, 60)}


def test_a_busy_day_puts_no_more_than_half_of_the_casebook_out() -> None:
    cases = [*(ruled(f"n{n}", BAD) for n in range(100)), *(ruled(f"o{n}", GOOD) for n in range(100))]
    new, before = {f"n{n}" for n in range(100)}, {f"o{n}" for n in range(100)}
    chosen = choose_precedents(cases, at_most=60, rng=np.random.default_rng(2), new=new, before=before)
    assert [(chosen < 100).sum(), (chosen >= 100).sum()] == [30, 30]


def test_rare_precedents_stay_whatever_is_ruled_of_their_category_since() -> None:
    # 5 rare precedents of 100 come before the 200 others of their category that were never precedents
    categories = [BAD] * 5 + [GOOD] * 95 + [BAD] * 200
    turn = np.array([0] * 100 + [1] * 200)
    for seed in range(5):
        rows = sample_with_rare(categories, at_most=80, rng=np.random.default_rng(seed), turn_N=turn)
        assert {0, 1, 2, 3, 4} <= set(rows.tolist())


def test_what_was_brought_up_for_a_reason_speaks_for_no_other_upload() -> None:
    plain = [ruled(f"p{n}", (GOOD, BAD)[n % 2]) for n in range(100)]
    assert uploads_spoken_for([*plain, ruled("reported", BAD, sampled=0.0)]).tolist() == [1.0] * 100 + [0.0]


def test_audited_cases_speak_for_as_many_as_their_chance_was_small() -> None:
    # 1 in 100 of the allowed and 1 in 50 of the removed were audited: 100 and 50 uploads, 75 on average
    allowed = [ruled(f"a{n}", GOOD, sampled=0.01) for n in range(50)]
    removed = [ruled(f"r{n}", BAD, sampled=0.02) for n in range(50)]
    assert uploads_spoken_for([*allowed, *removed]) == pytest.approx([100 / 75] * 50 + [50 / 75] * 50)


def test_without_a_sample_of_both_kinds_every_case_speaks_for_itself() -> None:
    few = [*(ruled(f"a{n}", GOOD) for n in range(90)), *(ruled(f"b{n}", BAD) for n in range(49))]
    reported = [ruled(f"c{n}", BAD, sampled=0.0) for n in range(50)]
    assert set(uploads_spoken_for([*few, *reported]).tolist()) == {1.0}


def test_who_judged_the_parent_judges_its_children() -> None:
    cases = [ruled(f"c{n}", (GOOD, BAD)[n % 2]) for n in range(1_000)]
    rows = held_out(cases, np.arange(1_000), 0.2)
    assert 160 < len(rows) < 240  # 200 by chance, give or take three standard errors
    grown = [*cases[::2], *(ruled(f"d{n}", GOOD) for n in range(300))]
    again = {grown[row].case_id for row in held_out(grown, np.arange(len(grown)), 0.2)}
    before = {cases[row].case_id for row in rows}
    assert {case.case_id for case in cases[::2]} & again == before & {case.case_id for case in cases[::2]}
    assert {case.case_id for case in cases if judges(case)} == before


def test_of_each_category_somebody_judges_and_somebody_teaches() -> None:
    cases = [*(ruled(f"c{n}", GOOD) for n in range(50)), ruled("one", BAD), ruled("two", BAD), ruled("lone", OTHER)]
    rows = held_out(cases, np.arange(len(cases)), 1e-9)
    found = [cases[row].category for row in rows]
    assert (found.count(GOOD), found.count(BAD), found.count(OTHER)) == (1, 1, 0)
    assert held_out([], np.arange(0), 0.2).tolist() == []


def test_only_what_may_be_held_out_is() -> None:
    cases = [ruled(f"c{n}", GOOD) for n in range(100)]
    rows = held_out(cases, np.arange(50, 100), 0.2)
    assert 0 < len(rows) < 50
    assert set(rows.tolist()) <= set(range(50, 100))
