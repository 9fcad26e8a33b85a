"""`rank` is pure: hand-worked scores, stated defaults, and properties of every list."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import BadInputError
from contracts.verdicts import Decision
from features.lookup import DECISIONS, AuthorFeatures, Freshness, VideoFeatures, ViewerFeatures
from features.rank import Candidates, RankPolicy, Signals, order, rank, score

INTOLERANT = ViewerFeatures("user-1", Freshness.FRESH, tolerance=0.0, report_rate=0.01, toxic_skip_rate=1.0)
TOLERANT = replace(INTOLERANT, tolerance=1.0)
ALLOW, DEMOTE, REVIEW, REMOVE = range(4)


def candidates(*relevance: float, ids: tuple[str, ...] | None = None) -> Candidates:
    return Candidates(ids or tuple(f"v{i}" for i in range(len(relevance))), np.array(relevance, np.float64))


def features(
    toxicity: list[float], *, decision: list[int] | None = None, state: list[int] | None = None,
    ids: tuple[str, ...] | None = None, candidate: list[tuple[float, int]] | None = None,
) -> VideoFeatures:  # fmt: skip
    n = len(toxicity)
    tried = [(np.nan, -1)] * n if candidate is None else candidate
    nothing = np.zeros(n)
    return VideoFeatures(
        video_ids=ids or tuple(f"v{i}" for i in range(n)),
        state_N=np.array([Freshness.FRESH] * n if state is None else state, np.int8),
        probabilities_N_16=np.full((n, 16), np.nan, np.float32),
        toxicity_N=np.array(toxicity, np.float32),
        decision_N=np.array([ALLOW] * n if decision is None else decision, np.int8),
        category_N=np.zeros(n, np.int8),
        release_version_N=np.ones(n, np.int64),
        casebook_version_N=np.ones(n, np.int64),
        age_s_N=nothing,
        expires_in_s_N=nothing,
        occurred_us_N=nothing.astype(np.int64),
        candidate_toxicity_N=np.array([one[0] for one in tried], np.float32),
        candidate_decision_N=np.array([one[1] for one in tried], np.int8),
        candidate_release_version_N=np.array([2 if one[1] >= 0 else 0 for one in tried], np.int64),
        leaf_N=("",) * n,
    )


def authors(share: list[float], state: list[int]) -> AuthorFeatures:
    counts = np.zeros(len(share), np.int64)
    ids = tuple(f"a{i}" for i in range(len(share)))
    return AuthorFeatures(ids, np.array(state, np.int8), np.array(share, np.float32), counts, counts, counts)


def test_a_toxic_video_falls_below_a_less_relevant_clean_one() -> None:
    ranked = rank(candidates(1.0, 0.5), features([0.5, 0.0]), INTOLERANT)
    assert ranked.video_ids == ("v1", "v0")
    assert ranked.scores_K == pytest.approx([0.5, np.exp(-4 * 1 * 0.5)])
    assert ranked.order_K.tolist() == [1, 0]


def test_a_tolerant_viewer_minds_a_quarter_as_much() -> None:
    ranked = rank(candidates(1.0, 0.5), features([0.5, 0.0]), TOLERANT)
    assert ranked.video_ids == ("v0", "v1")
    assert ranked.scores_K[0] == pytest.approx(np.exp(-4 * 0.25 * 0.5))


def test_removed_videos_are_dropped_even_out_of_date_and_untouched_by_policy() -> None:
    found = features([0.0, 0.0], decision=[REMOVE, REMOVE], state=[Freshness.FRESH, Freshness.EXPIRED])
    ranked = rank(candidates(1.0, 1.0), found, TOLERANT, RankPolicy(expired="trust", review="keep"))
    assert ranked.video_ids == ()
    assert ranked.dropped == ("v0", "v1")


@pytest.mark.parametrize(("review", "kept"), [("keep", {"v0": 1.0}), ("demote", {"v0": 0.5}), ("drop", {})])
def test_what_waits_for_review_is_kept_demoted_or_dropped(review: Any, kept: dict[str, float]) -> None:
    ranked = rank(candidates(1.0), features([0.0], decision=[REVIEW]), TOLERANT, RankPolicy(review=review))
    assert dict(zip(ranked.video_ids, ranked.scores_K.tolist(), strict=True)) == kept


def test_a_demoted_video_keeps_half_of_its_score() -> None:
    ranked = rank(candidates(1.0), features([0.0], decision=[DEMOTE]), TOLERANT)
    assert ranked.scores_K.tolist() == [0.5]


def test_an_unknown_video_is_ranked_by_the_stated_default() -> None:
    found = features([np.nan], decision=[-1], state=[Freshness.UNKNOWN])
    assert rank(candidates(1.0), found, INTOLERANT).toxicity_K.tolist() == [0.2]
    policy = RankPolicy(unknown_toxicity=0.75)
    assert rank(candidates(1.0), found, INTOLERANT, policy).toxicity_K.tolist() == [0.75]
    assert rank(candidates(1.0), found, INTOLERANT, RankPolicy(unknown="drop")).dropped == ("v0",)


@pytest.mark.parametrize(
    ("said", "kept"),
    [("rank", {"v0": np.exp(-0.8)}), ("demote", {"v0": 0.5 * np.exp(-0.8)}), ("drop", {})],
)
@pytest.mark.parametrize(("what", "state"), [("unknown", Freshness.UNKNOWN), ("unavailable", Freshness.UNAVAILABLE)])
def test_what_nobody_can_say_anything_of_is_let_through_with_a_penalty_demoted_or_held_back(
    said: str, kept: dict[str, float], what: str, state: Freshness
) -> None:
    found = features([np.nan], decision=[-1], state=[state])
    ranked = rank(candidates(1.0), found, INTOLERANT, RankPolicy().overridden({what: said}, place="here"))
    assert dict(zip(ranked.video_ids, ranked.scores_K.tolist(), strict=True)) == pytest.approx(kept)
    assert ranked.dropped == (() if kept else ("v0",))


def test_unless_told_otherwise_the_unknown_and_unavailable_are_let_through_with_a_penalty() -> None:
    assert (RankPolicy().unknown, RankPolicy().unavailable, RankPolicy().expired) == ("rank", "rank", "cautious")
    assert RankPolicy().unknown_toxicity == 0.2


def test_an_out_of_date_verdict_may_be_demoted_on_top_of_the_worse_toxicity() -> None:
    found = features([0.125, 0.75], state=[Freshness.EXPIRED, Freshness.EXPIRED])
    ranked = rank(candidates(1.0, 1.0), found, INTOLERANT, RankPolicy(expired="demote"))
    assert ranked.toxicity_K.tolist() == [0.2, 0.75]
    assert ranked.scores_K == pytest.approx([0.5 * np.exp(-0.8), 0.5 * np.exp(-3)])


def test_a_removal_that_is_remembered_holds_while_the_store_is_away() -> None:
    found = features([np.nan, np.nan], decision=[REMOVE, -1], state=[Freshness.UNAVAILABLE] * 2)
    ranked = rank(candidates(1.0, 1.0), found, INTOLERANT)
    assert (ranked.video_ids, ranked.dropped) == (("v1",), ("v0",))


def test_an_unknown_video_has_the_record_of_its_author_where_that_is_fresh() -> None:
    found = features([np.nan] * 3, decision=[-1] * 3, state=[Freshness.UNKNOWN] * 3)
    prior = authors([0.5, 0.5, np.nan], [Freshness.FRESH, Freshness.EXPIRED, Freshness.UNKNOWN])
    ranked = rank(candidates(1.0, 1.0, 1.0), found, INTOLERANT, authors=prior)
    assert dict(zip(ranked.video_ids, ranked.toxicity_K.tolist(), strict=True)) == {"v0": 0.5, "v1": 0.2, "v2": 0.2}


@pytest.mark.parametrize(
    ("expired", "toxicity"),
    [("cautious", {"v0": 0.2, "v1": 0.75}), ("trust", {"v0": 0.125, "v1": 0.75}), ("drop", {})],
)
def test_a_verdict_out_of_date_is_not_believed_when_it_was_mild(expired: Any, toxicity: dict[str, float]) -> None:
    found = features([0.125, 0.75], state=[Freshness.EXPIRED] * 2)
    ranked = rank(candidates(1.0, 1.0), found, INTOLERANT, RankPolicy(expired=expired))
    assert dict(zip(ranked.video_ids, ranked.toxicity_K.tolist(), strict=True)) == toxicity


def test_a_fresh_verdict_is_not_mixed_with_its_authors_record() -> None:
    ranked = rank(candidates(1.0), features([0.0]), INTOLERANT, authors=authors([0.9], [Freshness.FRESH]))
    assert ranked.toxicity_K.tolist() == [0.0]


def test_an_arm_that_obeys_the_candidate_ranks_by_its_toxicity_and_its_decisions() -> None:
    tried = [(0.5, ALLOW), (0.0, REMOVE), (0.0, DEMOTE)]
    found = features([0.0, 0.0, 0.0], decision=[REMOVE, ALLOW, ALLOW], candidate=tried)
    live = rank(candidates(1.0, 1.0, 1.0), found, INTOLERANT)
    assert (live.video_ids, live.dropped, live.scores_K.tolist()) == (("v1", "v2"), ("v0",), [1.0, 1.0])
    other = rank(candidates(1.0, 1.0, 1.0), found, INTOLERANT, decisions="candidate")
    assert (other.video_ids, other.dropped) == (("v2", "v0"), ("v1",))
    assert other.scores_K == pytest.approx([0.5, np.exp(-2)])
    assert other.toxicity_K.tolist() == [0.0, 0.5]
    assert (live.release_version_K.tolist(), other.release_version_K.tolist()) == ([1, 1], [2, 2])


def test_a_video_of_which_the_candidate_said_nothing_has_the_live_decision() -> None:
    found = features([0.5, 0.25], decision=[REMOVE, ALLOW])
    live, other = (rank(candidates(1.0, 1.0), found, INTOLERANT, decisions=arm) for arm in ("live", "candidate"))
    assert (other.video_ids, other.dropped) == (live.video_ids, live.dropped) == (("v1",), ("v0",))
    assert other.toxicity_K.tolist() == [0.25]
    assert other.release_version_K.tolist() == [1]


def test_another_candidate_than_the_one_named_is_not_obeyed() -> None:
    found = features([0.5, 0.25], decision=[REMOVE, ALLOW], candidate=[(0.0, ALLOW), (0.0, REMOVE)])  # by release 2
    named = rank(candidates(1.0, 1.0), found, INTOLERANT, decisions="candidate", candidate_release=2)
    other = rank(candidates(1.0, 1.0), found, INTOLERANT, decisions="candidate", candidate_release=3)
    assert (named.video_ids, other.video_ids) == (("v0",), ("v1",))
    assert (named.release_version_K.tolist(), other.release_version_K.tolist()) == ([2], [1])


def test_equal_scores_are_ordered_by_id() -> None:
    ids = ("b", "c", "a")
    ranked = rank(candidates(1.0, 1.0, 1.0, ids=ids), features([0.0] * 3, ids=ids), TOLERANT)
    assert ranked.video_ids == ("a", "b", "c")


def test_no_candidates_make_an_empty_list() -> None:
    assert rank(candidates(), features([]), TOLERANT).video_ids == ()


@pytest.mark.parametrize("relevance", [-0.5, np.nan, np.inf])
def test_a_relevance_that_is_no_score_is_refused(relevance: float) -> None:
    with pytest.raises(BadInputError, match="must be finite and 0 or more"):
        candidates(relevance)


def test_features_of_other_videos_are_refused() -> None:
    with pytest.raises(BadInputError, match="must be those of the 2 candidates"):
        rank(candidates(1.0, 0.5), features([0.5, 0.0], ids=("v1", "v0")), TOLERANT)


@pytest.mark.parametrize(
    "broken", [{"strength": -1.0}, {"demoted_factor": 1.5}, {"unknown_toxicity": -0.1}, {"least_sensitivity": 2.0}]
)
def test_a_policy_out_of_range_is_refused(broken: dict[str, float]) -> None:
    with pytest.raises(BadInputError, match=next(iter(broken))):
        RankPolicy(**broken)  # type: ignore[arg-type]


UNIT = st.floats(0, 1, width=32)
ROWS = st.lists(
    st.tuples(
        st.floats(0, 10, width=32), UNIT, st.sampled_from(range(len(DECISIONS))), st.sampled_from(list(Freshness))
    ),
    max_size=30,
)
POLICIES = st.builds(
    RankPolicy,
    strength=st.floats(0, 20),
    least_sensitivity=UNIT,
    demoted_factor=UNIT,
    review=st.sampled_from(["keep", "demote", "drop"]),
    unknown=st.sampled_from(["rank", "demote", "drop"]),
    unavailable=st.sampled_from(["rank", "demote", "drop"]),
    unknown_toxicity=UNIT,
    expired=st.sampled_from(["cautious", "demote", "trust", "drop"]),
)


def table(rows: list[tuple[float, float, int, Freshness]], ids: tuple[str, ...]) -> tuple[Candidates, VideoFeatures]:
    known = [state in {Freshness.FRESH, Freshness.EXPIRED} for *_, state in rows]
    found = features(
        [row[1] if k else np.nan for row, k in zip(rows, known, strict=True)],
        decision=[row[2] if k else -1 for row, k in zip(rows, known, strict=True)],
        state=[int(row[3]) for row in rows],
        ids=ids,
    )
    return candidates(*(row[0] for row in rows), ids=ids), found


@given(ROWS, POLICIES, UNIT, st.randoms(use_true_random=False))
def test_every_list_is_ordered_complete_and_independent_of_the_order_given(
    rows: list[tuple[float, float, int, Freshness]], policy: RankPolicy, tolerance: float, random: Any
) -> None:
    viewer = replace(TOLERANT, tolerance=tolerance)
    ids = tuple(f"v{i:02}" for i in range(len(rows)))
    ranked = rank(*table(rows, ids), viewer, policy)
    assert sorted(ranked.video_ids + ranked.dropped) == sorted(ids)
    assert (np.diff(ranked.scores_K) <= 0).all()
    removed = {
        v
        for v, row in zip(ids, rows, strict=True)
        if row[3] in {Freshness.FRESH, Freshness.EXPIRED} and DECISIONS[row[2]] is Decision.REMOVE
    }
    assert removed <= set(ranked.dropped)

    places = list(range(len(rows)))
    random.shuffle(places)
    shuffled = rank(*table([rows[i] for i in places], tuple(ids[i] for i in places)), viewer, policy)
    assert shuffled.video_ids == ranked.video_ids


@given(ROWS.filter(bool), POLICIES, UNIT, UNIT)
def test_more_toxicity_never_lifts_a_video(
    rows: list[tuple[float, float, int, Freshness]], policy: RankPolicy, tolerance: float, more: float
) -> None:
    viewer = replace(TOLERANT, tolerance=tolerance)
    ids = tuple(f"v{i:02}" for i in range(len(rows)))
    before = rank(*table(rows, ids), viewer, policy)
    relevance, toxicity, decision, state = rows[0]
    worse = [(relevance, min(1.0, toxicity + more), decision, state), *rows[1:]]
    after = rank(*table(worse, ids), viewer, policy)
    if "v00" in before.video_ids:
        assert after.video_ids.index("v00") >= before.video_ids.index("v00")


@given(ROWS, POLICIES, UNIT, UNIT)
def test_a_less_tolerant_viewer_sees_no_more_toxicity_at_the_top(
    rows: list[tuple[float, float, int, Freshness]], policy: RankPolicy, one: float, other: float
) -> None:
    ids = tuple(f"v{i:02}" for i in range(len(rows)))
    less, more = sorted((one, other))
    strict = rank(*table(rows, ids), replace(TOLERANT, tolerance=less), policy)
    mild = rank(*table(rows, ids), replace(TOLERANT, tolerance=more), policy)
    if strict.video_ids and strict.scores_K[0] > 0:
        assert strict.toxicity_K[0] <= mild.toxicity_K[0] + 1e-6


VIEWERS = st.lists(UNIT, min_size=1, max_size=6)


@given(ROWS.filter(bool), POLICIES, VIEWERS)
def test_many_viewers_at_once_get_the_lists_that_each_would_get_alone(
    rows: list[tuple[float, float, int, Freshness]], policy: RankPolicy, tolerances: list[float]
) -> None:
    ids = tuple(f"v{i:02}" for i in range(len(rows)))
    offered, found = table(rows, ids)
    prior = authors([0.5] * len(ids), [i % 3 for i in range(len(ids))])
    scored = score(offered.relevance_N[None], Signals.of(found, prior), np.array(tolerances)[:, None], policy)
    order_V_N = order(scored)
    for viewer, tolerance in enumerate(tolerances):
        alone = rank(offered, found, replace(TOLERANT, tolerance=tolerance), policy, authors=prior)
        kept = order_V_N[viewer, : len(alone.video_ids)]
        assert kept.tolist() == alone.order_K.tolist()
        assert scored.scores[viewer, kept].tolist() == alone.scores_K.tolist()
        assert scored.toxicity[viewer, kept].tolist() == alone.toxicity_K.tolist()
        assert {ids[i] for i in np.flatnonzero(scored.dropped[viewer])} == set(alone.dropped)


def test_each_of_many_viewers_may_have_candidates_of_their_own() -> None:
    signals = Signals(
        state=np.full((2, 2), Freshness.FRESH, np.int8),
        toxicity=np.array([[0.5, 0.0], [0.5, 0.0]]),
        decision=np.array([[ALLOW, ALLOW], [ALLOW, REMOVE]], np.int8),
    )
    scored = score(np.array([[1.0, 0.5], [1.0, 0.5]]), signals, np.array([[0.0], [1.0]]))
    assert scored.scores == pytest.approx(np.array([[np.exp(-2), 0.5], [np.exp(-0.5), 0.5]]))
    assert order(scored).tolist() == [[1, 0], [0, 1]]
    assert scored.dropped.tolist() == [[False, False], [False, True]]


def test_a_variant_overrides_fields_of_the_policy_by_name() -> None:
    policy = RankPolicy(demoted_factor=0.7).overridden({"strength": 2.0, "review": "drop"}, place="variant 'b'")
    assert policy == RankPolicy(demoted_factor=0.7, strength=2.0, review="drop")


@pytest.mark.parametrize(
    ("ranking", "reason"),
    [
        (
            {"strenght": 4.0},
            r"ranking\.strenght == 4\.0, must be one of demoted_factor, .*strength, .* \(variant 'b'\)",
        ),
        ({"strength": "high"}, r"ranking\.strength == 'high', must be a number \(variant 'b'\)"),
        ({"strength": -1.0}, r"ranking\.strength == -1\.0, must be finite and 0 or more \(variant 'b'\)"),
        ({"review": 1.0}, r"ranking\.review == 1\.0, must be one of keep, demote, drop \(variant 'b'\)"),
        ({"review": "burn"}, r"ranking\.review == 'burn', must be one of keep, demote, drop \(variant 'b'\)"),
    ],
)
def test_an_override_of_another_name_kind_or_range_is_refused(ranking: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        RankPolicy().overridden(ranking, place="variant 'b'")
