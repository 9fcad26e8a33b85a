"""Two trends' rulings become proposals, leaves, and from there cases, casebook, verdicts and the feature."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import polars as pl
import pytest

from contracts.errors import BadInputError
from contracts.growth import Origin
from contracts.taxonomy import Category
from contracts.verdicts import Verdict
from contracts.videos import VideoUploaded
from features.lookup import lookup
from features.store import open_store
from policy.decide import judge
from policy.docket.principals import NotAllowedError
from policy.growth.leaves.accept import Accepted, accept, reject
from policy.growth.leaves.accepted import read_accepted
from policy.growth.leaves.desk import Desk, Proposal
from policy.growth.leaves.propose import Proposed, propose
from policy.growth.leaves.seen import Video, suggested
from policy.growth.taxonomy.folder import read_taxonomy, read_version
from serving.preprocess.batch import preprocess
from simulation.trends.settings import FRUIT_CUPS, SUBSIDY_WHEEL, TRENDS, Trend
from simulation.trends.uploads import draw_trend, upload_of
from tests.features.conftest import make_config
from tests.features.test_lookup import write
from tests.policy.growth.leaves.conftest import trend_of
from tests.policy.publication.conftest import ANN, LIKE_IT, SAM, Court, video

UNSEEN_SEED = 77


def look(desk: Desk, court: Court) -> Proposed:
    return asyncio.run(propose(desk, court.root, court.docket, now=court.now))


def of_trend(desk: Desk, trend: Trend) -> Iterator[Proposal]:
    return (one for one in desk.waiting() if trend_of(one.members) is trend)


def accept_trends(desk: Desk, court: Court) -> list[Accepted]:
    """Accept each trend's clusters as one leaf, a language each."""
    return [
        accept(desk, court.docket, one.proposal_id, SAM, name=trend.name.replace("_", " "), now=court.now)
        for trend in TRENDS.values()
        for one in of_trend(desk, trend)
    ]


def verdict_on(court: Court, upload: VideoUploaded) -> Verdict:
    """As a worker judges it: by the live pin's models and the leaves beside them."""
    release, pin = court.root.open(1).release, court.live
    inputs = preprocess([upload], [None], release.inputs)
    leaves = court.root.leaves_of(pin)
    (verdict,) = judge([upload], inputs.present, court.score(upload), release, pin, now=court.now, leaves=leaves)
    return verdict


def test_clusters_are_the_trends_named_by_their_words_and_proposed_once(trending: Court, desk: Desk) -> None:
    done = look(desk, trending)
    assert (done.recent, done.explained, done.unseen) == (64, 0, 0)
    assert set(done.new) == set(desk.waiting())
    for trend in TRENDS.values():
        found = list(of_trend(desk, trend))
        members = [member for one in found for member in one.members]
        hits = sum(trend_of((member,)) is trend for member in members)
        assert {one.category for one in found} == {trend.category}
        assert hits >= 0.85 * 20, "nearly all of the trend's rulings are in its clusters"
        assert hits >= 0.8 * len(members)
        assert all(one.authors >= 2 and one.nearest == "" for one in found)
    assert any("lycheecup" in one.name for one in of_trend(desk, FRUIT_CUPS))
    again = look(desk, trending)
    assert (again.new, again.waiting) == ((), len(done.new))


def test_an_accepted_leaf_is_in_cases_casebook_verdicts_and_the_feature(trending: Court, desk: Desk) -> None:
    look(desk, trending)
    accepted = accept_trends(desk, trending)
    leaves = {one.node.label: one.node for one in accepted}
    assert set(leaves) == {
        "law_and_safety~prohibited_goods~fruit cups",
        "commercial~false_benefits~subsidy wheel",
    }
    assert {node.origin for node in leaves.values()} == {Origin.ACCEPTED}
    cups = leaves["law_and_safety~prohibited_goods~fruit cups"]
    of_cups = {one.ruling.case_id for one in trending.docket.decided() if one.leaf == cups.node_id}
    assert of_cups == {case_id for one in accepted if one.node.label == cups.label for case_id in one.cases}
    assert set(read_taxonomy(desk.root).by_id(cups.node_id).evidence) == of_cups
    assert trending.docket.file(min(of_cups)).leaf == cups.node_id
    trending.docket.verify_audit()

    (published,) = trending.publish()
    assert published.casebook is not None
    table = pl.read_parquet(trending.root.casebook_path(published.casebook.version) / "casebook.parquet")
    assert set(table.filter(pl.col("leaf") == cups.node_id)["case_id"]) == of_cups
    assert trending.publish()[0].outcome == "unchanged"

    verdicts = [verdict_on(trending, upload_of(one)) for one in draw_trend(FRUIT_CUPS, 20, UNSEEN_SEED)]
    judged = [one for one in verdicts if one.category is Category.PROHIBITED_GOODS]
    assert len(judged) >= 3, "so small a student finds few of a trend"
    assert sum(one.leaf == cups.node_id for one in judged) >= 0.8 * len(judged)
    assert all(not one.leaf for one in verdicts if one.category is Category.POSITIVE)
    (of_leaf, *_) = [one for one in judged if one.leaf]
    store = open_store(make_config(desk.root, f"sqlite:///{desk.root}/online.db"))
    write(store, [of_leaf])
    read = lookup(store, [of_leaf.video_id, "never"], trending.now)
    assert read.leaf_N == (cups.node_id, "")
    assert read.to_dicts()[0]["leaf"] == cups.node_id


def test_what_a_leaf_explains_is_not_proposed_and_is_suggested(trending: Court, desk: Desk) -> None:
    look(desk, trending)
    accept_trends(desk, trending)
    for trend in TRENDS.values():
        node = read_accepted(desk.root).find(trend.name.replace("_", " "), trend.category)
        fits = [
            suggested(trending.root, trending.docket, Video(upload_of(one), None), trend.category)
            for one in draw_trend(trend, 4, UNSEEN_SEED)
        ]
        assert sum(fit is not None and fit.leaf == node.node_id for fit in fits) >= 3
    assert suggested(trending.root, trending.docket, Video(video("x", LIKE_IT), None), Category.PLAGIARISM) is None
    for seen in draw_trend(FRUIT_CUPS, 8, UNSEEN_SEED):
        trending.rule(upload_of(seen), FRUIT_CUPS.category)
    for one in desk.waiting():
        reject(desk, one.proposal_id, SAM, reason="usual", now=trending.now)
    assert look(desk, trending).new == ()


def test_what_was_rejected_comes_back_when_it_has_grown_by_half(trending: Court, desk: Desk) -> None:
    look(desk, trending)
    for one in desk.waiting():
        reject(desk, one.proposal_id, SAM, reason="not yet", now=trending.now)
    rejected = look(desk, trending)
    assert (rejected.new, rejected.waiting) == ((), 0)
    assert rejected.rejected == len(desk.decisions())
    for more in draw_trend(SUBSIDY_WHEEL, 20, UNSEEN_SEED):
        trending.rule(upload_of(more), SUBSIDY_WHEEL.category)
    grown = look(desk, trending)
    assert {trend_of(tuple(set(one.members) & known(desk))) for one in grown.new} >= {SUBSIDY_WHEEL}
    assert {one.category for one in grown.new} == {SUBSIDY_WHEEL.category}


def known(desk: Desk) -> set[str]:
    return {member for one in desk.decisions() for member in one.members}


def test_old_rulings_and_those_of_one_author_make_no_proposal(court: Court, desk: Desk) -> None:
    for n in range(6):
        court.rule(video(f"same-{n}", f"{LIKE_IT} {n}"), Category.FALSE_BENEFITS)
    assert look(desk, court).new == ()
    for n in range(6):
        court.rule(video(f"other-{n}", f"{LIKE_IT} {n}", author=f"author-{n}"), Category.FALSE_BENEFITS)
    later = court.now + timedelta(days=31)
    assert asyncio.run(propose(desk, court.root, court.docket, now=later)).recent == 0
    assert [len(one.members) for one in look(desk, court).new] == [12]


def test_only_a_senior_accepts_and_only_what_waits_once(trending: Court, desk: Desk) -> None:
    look(desk, trending)
    (one, *_) = of_trend(desk, SUBSIDY_WHEEL)
    with pytest.raises(NotAllowedError, match="ann is reviewer, to approve one must be senior"):
        accept(desk, trending.docket, one.proposal_id, ANN, now=trending.now)
    with pytest.raises(BadInputError, match="proposal == 'p-nothing', must be one that waits"):
        accept(desk, trending.docket, "p-nothing", SAM, now=trending.now)
    for name in ("a~b", "!?", "x" * 121, ""):
        if name:
            with pytest.raises(BadInputError, match=rf"name of {one.proposal_id}"):
                accept(desk, trending.docket, one.proposal_id, SAM, name=name, now=trending.now)
    done = accept(desk, trending.docket, one.proposal_id, SAM, now=trending.now)
    assert done.node.name == one.name
    assert read_version(desk.root).by_origin[Origin.ACCEPTED] == 1
    for again in (lambda: accept(desk, trending.docket, one.proposal_id, SAM, now=trending.now),
                  lambda: reject(desk, one.proposal_id, SAM, reason="no", now=trending.now)):  # fmt: skip
        with pytest.raises(
            BadInputError, match=rf"'{one.proposal_id}' was accepted as commercial~false_benefits~.* by sam"
        ):
            again()
    with pytest.raises(BadInputError, match="reason is empty"):
        reject(desk, one.proposal_id, SAM, reason=" ", now=trending.now)


def test_a_case_that_was_ruled_otherwise_since_stays_out_of_the_leaf(trending: Court, desk: Desk) -> None:
    look(desk, trending)
    (one, *_) = of_trend(desk, SUBSIDY_WHEEL)
    first, second, *_ = one.members
    trending.rule(trending.docket.file(first).upload, Category.POSITIVE, SAM)
    trending.docket.label({second: "t-other"}, SAM, now=trending.now)
    done = accept(desk, trending.docket, one.proposal_id, SAM, now=trending.now)
    assert done.left_out == ((first, "is ruled positive now"), (second, "is of leaf t-other already"))
    assert set(done.cases) == set(one.members) - {first, second}


def test_an_acceptance_that_was_killed_goes_on_as_it_was_begun(
    trending: Court, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(desk, trending)
    (one, *_) = of_trend(desk, SUBSIDY_WHEEL)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Desk, "decide", killed)
        with pytest.raises(KeyboardInterrupt):
            accept(desk, trending.docket, one.proposal_id, SAM, name="wheel", now=trending.now)
    with pytest.raises(BadInputError, match="its acceptance was begun as 'wheel' and can only go on"):
        accept(desk, trending.docket, one.proposal_id, SAM, name="another", now=trending.now)
    with pytest.raises(BadInputError, match="its acceptance as 'wheel' was begun, accept it first"):
        reject(desk, one.proposal_id, SAM, reason="no", now=trending.now)
    audited = len(list(trending.docket.audit()))
    done = accept(desk, trending.docket, one.proposal_id, SAM, now=trending.now)
    assert (done.node.name, done.cases) == ("wheel", one.members)
    assert len(list(trending.docket.audit())) == audited, "nothing is labelled twice"
    assert [leaf.name for leaf in read_accepted(desk.root).all()] == ["wheel"]


def test_a_leaf_of_a_case_that_taught_the_release_is_published_beside_its_casebook(court: Court) -> None:
    case = next(item.case for item in court.taught.evidence if item.case.category is not Category.POSITIVE)
    upload = case.upload.model_copy(update={"event_id": case.upload.video_id})  # the docket knows it by the same id
    court.rule(upload, case.category)
    assert court.publish()[0].outcome == "unchanged", "the release was taught this very ruling"
    court.docket.label({case.case_id: "t-1"}, SAM, now=court.now)
    assert court.publish()[0].outcome == "published"
    assert court.root.leaves_of(court.live) == {case.case_id: "t-1"}
    assert court.publish()[0].outcome == "unchanged"
    court.docket.label({case.case_id: ""}, SAM, now=court.now)
    assert court.publish()[0].outcome == "published"
    assert court.root.leaves_of(court.live) == {}
