"""What a refresh learns from: mixtures worked out by hand."""

from datetime import UTC, datetime

import pytest

from contracts.cases import CaseReason, DecidedCase
from contracts.errors import BadInputError
from contracts.taxonomy import Category
from contracts.videos import VideoUploaded
from policy.casebook import Evidence
from policy.refresh.mining import Asked, Chosen, choose_mixture, most_telling, share_of_traffic

WHEN = datetime(2026, 1, 2, tzinfo=UTC)
GOOD, BAD = Category.POSITIVE, Category.PLAGIARISM


def ruled(name: str, category: Category, *, video: str | None = None) -> Evidence:
    video = video or f"video-{name}"
    upload = VideoUploaded(event_id=video, video_id=video, author_id="author", occurred_at=WHEN, title=name)
    return Evidence(DecidedCase(case_id=f"case-{name}", upload=upload, category=category, decided_at=WHEN), None)


def asked(name: str, ruling: Category, said: Category, *, distance: float = 0.0, audited: float = 0.0) -> Asked:
    reason = CaseReason.AUDIT if audited else CaseReason.UNCERTAIN
    return Asked(case_id=name, reason=reason, audited=audited, said=said, ruled=ruling, distance=distance)


def test_a_video_that_is_ruled_anew_is_learned_once_by_its_new_ruling() -> None:
    old = [ruled("a", GOOD), ruled("b", BAD)]
    new = [ruled("c", BAD, video="video-a"), ruled("d", GOOD)]
    assert choose_mixture(old, new, at_most=10, seed=0) == [Chosen(0, 1), Chosen(1, 0), Chosen(1, 1)]


def test_a_full_mixture_is_half_new_and_what_tells_most_comes_first() -> None:
    old = [ruled(f"o{n}", GOOD) for n in range(10)]
    new = [ruled(f"n{n}", BAD) for n in range(10)]
    chosen = choose_mixture(old, new, at_most=6, seed=0, first=[9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    assert [row for side, row in chosen if side == 1] == [7, 8, 9]
    assert sum(side == 0 for side, _ in chosen) == 3


def test_errors_of_the_deployed_policy_come_before_what_it_doubted() -> None:
    cases = [
        asked("sure", GOOD, GOOD, distance=0.4),
        asked("doubted", GOOD, GOOD, distance=0.01),
        asked("wrong", BAD, GOOD, distance=0.3),
    ]
    assert most_telling(cases) == [2, 1, 0]


def test_the_share_of_violative_videos_is_that_of_the_traffic_not_of_the_docket() -> None:
    # 100 audited at 1 in 100 stand for 10,000 videos, 500 of them violative, 50 at 1 in 10 for 500, all violative
    audited = [asked(f"a{n}", BAD if n < 5 else GOOD, GOOD, audited=0.01) for n in range(100)]
    removed = [asked(f"r{n}", BAD, BAD, audited=0.1) for n in range(50)]
    opened = [asked(f"o{n}", BAD, GOOD) for n in range(100)]
    assert share_of_traffic([*audited, *removed, *opened], 0.4) == pytest.approx(1_000 / 10_500)
    assert share_of_traffic(opened, 0.4) == 0.4


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ([ruled("a", GOOD)], [], "0 new rulings"),
        ([ruled("a", GOOD)], [ruled("b", GOOD)], "2 cases, all positive"),
        ([], [ruled("a", GOOD), ruled("b", BAD, video="video-a")], "is ruled positive and plagiarism"),
    ],
)
def test_what_teaches_nothing_is_refused(old: list[Evidence], new: list[Evidence], said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        choose_mixture(old, new, at_most=10, seed=0)
