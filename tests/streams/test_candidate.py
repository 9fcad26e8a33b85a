"""A candidate release decides beside the live one, at the same time, and never in its way."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import generate_latest

from contracts.errors import BadInputError, DependencyError
from contracts.releases import Pin, ReleasePointer
from contracts.verdicts import Decision, Verdict
from policy.decide import decide_beside
from policy.rollout.canary import in_canary
from serving.preprocess.inputs import ModelInputs
from serving.scorer import Scores
from streams.moderation import Moderated, Parts, Policy, check, moderate
from streams.worker.candidate import CandidateOpinion
from streams.worker.metrics import WorkerMetrics
from tests.streams.events import NOW, raw
from tests.streams.stand_ins import PIN, POLICY, RELEASE, StandInScorer, stand_in_parts, toxic_by_title

CANDIDATE_PIN = Pin(release_version=2, casebook_version=3)
STRICTER = RELEASE.model_copy(
    update={"version": 2, "thresholds": RELEASE.thresholds.model_copy(update={"toxicity": 0.1})}
)
TRIED = replace(POLICY, candidate=Policy(STRICTER, CANDIDATE_PIN))


class ScorerOfTwo(StandInScorer):
    """Answers for the live pin as ever; for the candidate as it is told: an error, or after a while."""

    def __init__(self, *, fails: Exception | None = None, waits_s: float = 0.0, until: asyncio.Event | None = None):
        super().__init__()
        self.fails, self.waits_s, self.until = fails, waits_s, until

    async def score(self, inputs: ModelInputs, pin: Pin) -> Scores:
        scores = await super().score(inputs, pin)
        if pin == CANDIDATE_PIN:
            await asyncio.sleep(self.waits_s)
            if self.fails:
                raise self.fails
            if self.until:
                self.until.set()
        elif self.until:
            await asyncio.wait_for(self.until.wait(), 5.0)
        return scores


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def parts_with(scorer: StandInScorer, clock: Clock | None = None, *, deadline_s: float = 1.0) -> Parts:
    opinion = CandidateOpinion(
        scorer, toxic_by_title, decide_beside, deadline_s=deadline_s, pause_s=10.0, clock=clock or Clock()
    )
    return replace(stand_in_parts(scorer), second_opinion=opinion)


def verdicts(parts: Parts, policy: Policy, *titles: str) -> list[Verdict]:
    return moderated(parts, policy, *titles).verdicts


def moderated(parts: Parts, policy: Policy, *titles: str) -> Moderated:
    events = check([raw(f"{n}", title=title) for n, title in enumerate(titles)], NOW).accepted
    return asyncio.run(moderate(events, parts, policy, now=lambda: NOW))


def test_a_verdict_carries_both_decisions_each_by_its_own_release_and_thresholds() -> None:
    mild, clean = verdicts(parts_with(StandInScorer()), TRIED, "t 0.2", "t 0")
    assert (mild.decision, mild.release_version, mild.casebook_version) == (Decision.ALLOW, 1, 1)
    tried = mild.candidate
    assert tried is not None
    assert (tried.decision, tried.release_version, tried.casebook_version) == (Decision.DEMOTE, 2, 3)
    assert tried.toxicity == pytest.approx(0.2)
    assert clean.candidate_decision is Decision.ALLOW


def test_without_a_candidate_one_pin_is_asked_and_the_verdict_carries_none() -> None:
    scorer = StandInScorer()
    [verdict] = verdicts(parts_with(scorer), POLICY, "t 0.2")
    assert verdict.candidate is None
    assert scorer.pins == [PIN]


def test_both_pins_are_asked_at_the_same_time() -> None:
    async def run() -> list[Verdict]:
        scorer = ScorerOfTwo(until=asyncio.Event())  # the live answer waits for the candidate's
        events = check([raw("a", title="t 0.2")], NOW).accepted
        return (await moderate(events, parts_with(scorer), TRIED, now=lambda: NOW)).verdicts

    [verdict] = asyncio.run(run())
    assert verdict.candidate_decision is Decision.DEMOTE


@pytest.mark.parametrize(
    "scorer",
    [
        ScorerOfTwo(fails=DependencyError("away")),
        ScorerOfTwo(fails=BadInputError("refused")),
        ScorerOfTwo(fails=ZeroDivisionError("broken")),
        ScorerOfTwo(waits_s=60.0),
    ],
    ids=["away", "refused", "broken", "slow"],
)
def test_a_candidate_that_gives_no_answer_costs_the_live_verdicts_nothing_but_its_decision(
    scorer: ScorerOfTwo, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    parts = parts_with(scorer, clock, deadline_s=0.02)
    with caplog.at_level(logging.ERROR):
        result = moderated(parts, TRIED, "t 0.2", "t 0.95")
    assert [verdict.decision for verdict in result.verdicts] == [Decision.ALLOW, Decision.REMOVE]
    assert [verdict.candidate for verdict in result.verdicts] == [None, None]
    assert result.dead == []
    assert "ALERT verdicts go without candidate" in caplog.text

    scorer.fails, scorer.waits_s = None, 0.0
    assert verdicts(parts, TRIED, "t 0.2")[0].candidate is None  # it is left alone for a while
    assert scorer.pins.count(CANDIDATE_PIN) == 1
    clock.now = 10.0
    assert verdicts(parts, TRIED, "t 0.2")[0].candidate is not None


def test_another_candidate_is_asked_at_once_though_the_one_before_failed() -> None:
    scorer = ScorerOfTwo(fails=BadInputError("refused"))
    parts = parts_with(scorer)
    assert verdicts(parts, TRIED, "t 0.2")[0].candidate is None
    other = replace(POLICY, candidate=Policy(STRICTER, Pin(release_version=4, casebook_version=4)))
    assert verdicts(parts, other, "t 0.2")[0].candidate_release_version == 4


def test_a_candidate_that_reads_text_in_another_shape_gets_inputs_of_its_own() -> None:
    shapes = []

    def preprocess(uploads: Sequence, frames: Sequence, shape: object) -> ModelInputs:
        shapes.append(shape)
        return toxic_by_title(uploads, frames, RELEASE.inputs)

    wider = STRICTER.model_copy(update={"inputs": RELEASE.inputs.model_copy(update={"text_buckets": 4096})})
    opinion = CandidateOpinion(StandInScorer(), preprocess, decide_beside)
    parts = replace(stand_in_parts(StandInScorer()), second_opinion=opinion)
    [verdict] = verdicts(parts, replace(POLICY, candidate=Policy(wider, CANDIDATE_PIN)), "t 0.2")
    assert verdict.candidate_release_version == 2
    assert shapes == [wider.inputs]


def canary_of(share: float) -> Policy:
    return replace(TRIED, canary_share=share)


def test_the_canary_makes_the_verdicts_of_its_share_in_their_places_and_the_live_release_the_others() -> None:
    titles = ["t 0.2"] * 40
    result = moderated(parts_with(StandInScorer()), canary_of(0.5), *titles)
    theirs = [in_canary(verdict.video_id, CANDIDATE_PIN, 0.5) for verdict in result.verdicts]
    assert [verdict.event_id for verdict in result.verdicts] == [f"e-{n}" for n in range(40)]
    assert 0 < sum(theirs) < 40
    for verdict, canary in zip(result.verdicts, theirs, strict=True):
        if canary:
            assert (verdict.decision, verdict.release_version, verdict.casebook_version) == (Decision.DEMOTE, 2, 3)
            assert verdict.candidate is None
        else:
            assert (verdict.decision, verdict.release_version) == (Decision.ALLOW, 1)
            assert verdict.candidate_decision is Decision.DEMOTE
    assert result.fell_back == 0


def test_of_a_share_of_all_the_canary_decides_everything_and_of_none_it_only_stands_beside() -> None:
    parts = parts_with(StandInScorer())
    assert {v.release_version for v in verdicts(parts, canary_of(1.0), *["t 0.2"] * 5)} == {2}
    assert {v.release_version for v in verdicts(parts, canary_of(0.0), *["t 0.2"] * 5)} == {1}


@pytest.mark.parametrize(
    "scorer",
    [ScorerOfTwo(fails=DependencyError("away")), ScorerOfTwo(waits_s=60.0)],
    ids=["away", "slow"],
)
def test_videos_of_a_canary_that_gives_no_answer_are_the_live_releases_and_are_counted(scorer: ScorerOfTwo) -> None:
    result = moderated(parts_with(scorer, deadline_s=0.02), canary_of(1.0), "t 0.2", "t 0.95")
    assert [(v.decision, v.release_version, v.candidate) for v in result.verdicts] == [
        (Decision.ALLOW, 1, None),
        (Decision.REMOVE, 1, None),
    ]
    assert result.fell_back == 2


class ScorerOfNonsense(StandInScorer):
    """Answers for the candidate with what is no probability, or with a citation that no verdict may hold."""

    def __init__(self, nonsense: str) -> None:
        super().__init__()
        self.nonsense = nonsense

    async def score(self, inputs: ModelInputs, pin: Pin) -> Scores:
        scores = await super().score(inputs, pin)
        if pin == CANDIDATE_PIN and self.nonsense == "probabilities":
            scores.probabilities[0] = np.nan
        if pin == CANDIDATE_PIN and self.nonsense == "citations":
            scores.cited_categories[:] = 0
        return scores


@pytest.mark.parametrize("nonsense", ["probabilities", "citations"])
def test_a_canary_that_answers_with_nonsense_makes_no_verdict(nonsense: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        result = moderated(parts_with(ScorerOfNonsense(nonsense)), canary_of(1.0), "t 0.2", "t 0.95")
    assert [(v.decision, v.release_version) for v in result.verdicts] == [(Decision.ALLOW, 1), (Decision.REMOVE, 1)]
    assert (result.fell_back, result.dead) == (2, [])
    assert "ALERT" in caplog.text


def test_a_canary_of_the_same_shape_is_preprocessed_once() -> None:
    asked = []

    def preprocess(uploads: Sequence, frames: Sequence, shape: object) -> ModelInputs:
        asked.append(shape)
        return toxic_by_title(uploads, frames, RELEASE.inputs)

    opinion = CandidateOpinion(StandInScorer(), preprocess, decide_beside)
    parts = replace(stand_in_parts(StandInScorer()), preprocess=preprocess, second_opinion=opinion)
    verdicts(parts, canary_of(0.5), "t 0.2", "t 0.1", "t 0.95")
    assert asked == [RELEASE.inputs]


def test_a_live_release_that_is_away_is_waited_for_whatever_the_candidate_says() -> None:
    with pytest.raises(DependencyError):
        moderated(parts_with(StandInScorer(away=True)), TRIED, "t 0.2")


def test_an_event_that_breaks_the_code_does_not_take_the_candidate_from_the_others() -> None:
    result = moderated(parts_with(StandInScorer(broken_by=0.5)), TRIED, "t 0.2", "t 0.5")
    assert len(result.verdicts) == len(result.dead) == 1


def test_a_candidate_decides_by_its_own_thresholds_row_by_row() -> None:
    probabilities = np.zeros((2, 16), np.float32)
    probabilities[:, 0], probabilities[:, -1] = (0.25, 0.75), (0.75, 0.25)
    nothing = np.zeros((2, 5))
    scores = Scores(probabilities, probabilities, nothing.astype(object), nothing.astype(np.int32), nothing)
    first, second = decide_beside(scores, STRICTER, CANDIDATE_PIN)
    assert (first.toxicity, first.decision) == (0.25, Decision.DEMOTE)
    assert (second.toxicity, second.decision) == (0.75, Decision.REVIEW)


def test_the_candidate_is_the_canary_or_else_the_shadow_and_never_the_live_release() -> None:
    def candidate(**named: Pin) -> Pin | None:
        return ReleasePointer(live=PIN, updated_at=NOW, **named).candidate

    shadow = Pin(release_version=9, casebook_version=9)
    assert candidate() is None
    assert candidate(canary=CANDIDATE_PIN, shadow=shadow) == CANDIDATE_PIN
    assert candidate(shadow=shadow) == candidate(canary=PIN, shadow=shadow) == shadow
    assert candidate(canary=PIN) is None


def test_agreement_with_the_candidate_is_counted() -> None:
    metrics = WorkerMetrics()
    judged = verdicts(parts_with(StandInScorer()), TRIED, "t 0.2", "t 0", "t 0.95")
    metrics.judged_by(1, 1, candidate=2)
    alone = judged[0].model_copy(update={"candidate": None})
    decided = alone.model_copy(update={"release_version": 2, "casebook_version": 3})
    metrics.count_candidate([*judged, alone, alone, alone, decided], tried=CANDIDATE_PIN, fell_back=2)
    text = generate_latest(metrics.registry).decode()
    for outcome, count in (("agrees", 2), ("differs", 1), ("missing", 1), ("decided", 1), ("fell_back", 2)):
        assert f'precedent_candidate_decisions_total{{outcome="{outcome}"}} {count}.0' in text
    assert "precedent_candidate_version 2.0" in text
