"""A case whose frozen frames are lost on the disk: it makes no precedent and is not judged half, the others go on."""

from pathlib import Path

import numpy as np

from contracts.taxonomy import Category
from policy.docket.opinions import read_opinions
from policy.reasoning.adjudicate import adjudicate
from policy.reasoning.adjudicator import Opinion
from policy.reasoning.question import Question
from tests.policy.docket.cases import frames_digest
from tests.policy.publication.conftest import LIKE_IT, TREND, VLM, Court, video


def lose_frames(court: Court, case_id: str) -> Path:
    """Remove the file of a case's frozen frames from the docket's folder."""
    digest = frames_digest(court.docket.file(case_id))
    assert digest is not None
    place = court.docket.folder / "frames" / f"{digest.removeprefix('sha256:')}.npz"
    place.unlink()
    return place


def open_with_frames(court: Court, name: str, text: str, shade: int) -> str:
    px = court.root.open(1).release.inputs.frame_px
    return court.open(video(name, text), frames=np.full((1, px, px, 3), shade, np.uint8))


def test_a_ruling_whose_frames_are_lost_makes_no_precedent_and_the_others_are_published(court: Court) -> None:
    lost = open_with_frames(court, "lost", TREND, 7)
    open_with_frames(court, "kept", "free winter tram tickets for all", 9)
    place = lose_frames(court, lost)
    for name, text in (("lost", TREND), ("kept", "free winter tram tickets for all")):
        court.rule(video(name, text), Category.FALSE_BENEFITS)
    [done] = court.publish()
    assert (done.outcome, done.casebook and done.casebook.news) == ("published", ("case-u-kept",))
    [left_out] = done.draft.left_out
    assert left_out.case_id == lost
    assert left_out.reason.startswith(f"its frames cannot be read: {place}: is missing, the docket has no frames")


class Sees:
    """An adjudicator that finds a fraud in whatever it is shown, and remembers what that was."""

    def __init__(self) -> None:
        self.asked = list[str]()

    def opinion(self, question: Question) -> Opinion:
        self.asked.append(question.case_id)
        return Opinion(Category.FALSE_BENEFITS, 1.0, {Category.FALSE_BENEFITS: 3}, 3, {})


def test_an_adjudicator_is_not_asked_about_a_case_of_which_half_is_lost(court: Court) -> None:
    lost = open_with_frames(court, "lost", TREND, 7)
    open_with_frames(court, "kept", LIKE_IT, 9)
    lose_frames(court, lost)
    judge = Sees()
    done = adjudicate(court.docket, judge, court.docket.folder, VLM, at_most=9, now=court.now)
    assert {one.case_id: one.outcome for one in done} == {lost: "frames unreadable", "case-u-kept": "ruled"}
    assert judge.asked == ["case-u-kept"]
    assert [file.opened.case_id for file in court.docket.waiting()] == [lost], "a person will look"
    assert {one.case_id: one.outcome for one in read_opinions(court.docket.folder)}[lost] == "frames unreadable"
