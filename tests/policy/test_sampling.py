"""Which cases are kept, held out, and speak for how many uploads: worked out by hand."""

from datetime import UTC, datetime

import numpy as np
import pytest

from contracts.cases import DecidedCase
from contracts.taxonomy import Category
from contracts.videos import VideoUploaded
from policy.casebook import choose_precedents
from policy.sampling import held_out, sample_with_rare, uploads_spoken_for

WHEN = datetime(2026, 1, 2, tzinfo=UTC)
GOOD, BAD = Category.POSITIVE, Category.PLAGIARISM


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
    chosen = choose_precedents(cases, at_most=12, rng=np.random.default_rng(1), first=(new, before))
    assert chosen.tolist() == [7, 8, *range(50, 60)]
    fewer = choose_precedents(cases, at_most=5, rng=np.random.default_rng(1), first=(new, before))
    assert {7, 8} <= set(fewer.tolist()) <= {7, 8, *range(50, 60)}


def test_what_was_brought_up_for_a_reason_speaks_for_no_other_upload() -> None:
    plain = [ruled(f"p{n}", (GOOD, BAD)[n % 2]) for n in range(20)]
    assert uploads_spoken_for([*plain, ruled("reported", BAD, sampled=0.0)]).tolist() == [1.0] * 20 + [0.0]


def test_audited_cases_speak_for_as_many_as_their_chance_was_small() -> None:
    # 1 in 100 of the allowed and 1 in 50 of the removed were audited: 100 and 50 uploads, 75 on average
    allowed = [ruled(f"a{n}", GOOD, sampled=0.01) for n in range(10)]
    removed = [ruled(f"r{n}", BAD, sampled=0.02) for n in range(10)]
    assert uploads_spoken_for([*allowed, *removed]) == pytest.approx([100 / 75] * 10 + [50 / 75] * 10)


def test_without_a_sample_of_both_kinds_every_case_speaks_for_itself() -> None:
    few = [*(ruled(f"a{n}", GOOD) for n in range(50)), *(ruled(f"b{n}", BAD) for n in range(9))]
    reported = [ruled(f"c{n}", BAD, sampled=0.0) for n in range(50)]
    assert set(uploads_spoken_for([*few, *reported]).tolist()) == {1.0}


def test_who_judged_the_parent_judges_its_children() -> None:
    cases = [ruled(f"c{n}", (GOOD, BAD)[n % 2]) for n in range(200)]
    rows = held_out(cases, np.arange(200), 0.2)
    assert [sum(cases[row].category is kind for row in rows) for kind in (GOOD, BAD)] == [20, 20]
    more = [*cases, *(ruled(f"d{n}", GOOD) for n in range(100))]
    again = held_out(more, np.arange(300), 0.2)
    known = {cases[row].case_id for row in rows}
    grown = {more[row].case_id for row in again}
    assert len(grown) == 60
    assert {name for name in known if name not in grown and BAD is cases[int(name[1:])].category} == set()
    newly_judged = {name for name in grown - known if name.startswith("c")}
    assert len(newly_judged) <= 6


def test_only_what_may_be_held_out_is() -> None:
    cases = [ruled(f"c{n}", GOOD) for n in range(100)]
    among = np.arange(50, 100)
    rows = held_out(cases, among, 0.1)
    assert len(rows) == 5
    assert set(rows.tolist()) <= set(among.tolist())
