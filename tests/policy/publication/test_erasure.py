"""An author is erased: their precedents fall with the next publication, and the casebooks that had them by a prune."""

from datetime import timedelta

from contracts.taxonomy import Category
from policy.casebook import read_precedents
from policy.publication.pruning import Keeping, prune
from serving.releases import PRECEDENTS
from tests.policy.publication.conftest import LIKE_IT, SAM, TREND, Court, video


def kept_cases(court: Court) -> set[str]:
    """Ids of the cases whose words and frames lie in any casebook that was published."""
    homes = (court.root.path / "casebooks").iterdir()
    return {item.case.case_id for home in homes for item in read_precedents(home / PRECEDENTS)}


def test_an_erased_author_is_cited_no_more_and_after_a_prune_no_casebook_has_their_words(court: Court) -> None:
    court.rule(video("theirs", TREND, author="leaves"), Category.FALSE_BENEFITS)
    court.rule(video("others", "free winter tram tickets for all", author="stays"), Category.FALSE_BENEFITS)
    court.publish()
    assert court.score(video("alike", LIKE_IT)).cited_ids[0, 0] == "case-u-theirs"
    court.docket.erase_author("leaves", SAM, now=court.now)
    [done] = court.publish()
    assert (done.outcome, done.casebook and done.casebook.news) == ("published", ("case-u-others",))
    assert "case-u-theirs" not in court.score(video("alike", LIKE_IT)).cited_ids
    assert kept_cases(court) == {"case-u-theirs", "case-u-others"}, "the casebook before may still be rolled back to"
    prune(court.root, Keeping(1), now=court.now + timedelta(days=2), apply=True)
    assert kept_cases(court) == {"case-u-others"}


def test_what_a_release_was_taught_of_an_erased_case_falls_too_and_the_others_stay(court: Court) -> None:
    taught = court.taught.evidence[0].case
    opened = court.open(taught.upload.model_copy(update={"event_id": taught.upload.video_id}))
    assert opened == taught.case_id, "the docket knows the case by the id that the release was taught it under"
    court.rule(video("others", TREND, author="stays"), Category.FALSE_BENEFITS)
    court.docket.erase_author(taught.upload.author_id, SAM, now=court.now)
    [done] = court.publish()
    assert (done.outcome, done.draft.fell) == ("published", (taught.case_id,))
    assert taught.case_id not in done.draft.casebook.case_ids
    assert len(done.draft.casebook) == 120 - 1 + 1
