"""What may be said of an analysis, and what may not."""

import math
from dataclasses import replace

import pytest

from ab_tests.report.reading import Blocked, Role, Tone, blocked_of, checked, panels_of, rows_of, tone_of
from ab_tests.results import Direction, Interval
from contracts.experiments import MetricName
from tests.ab_tests.analyses import (
    BETTER,
    WORSE,
    analysis_of,
    lopsided,
    one_arm_empty,
    sound,
    with_estimate,
    without_metric,
)


@pytest.mark.parametrize(
    ("relative", "direction", "sure", "tone"),
    [
        (-0.1, Direction.LOWER, True, Tone.BETTER),
        (0.1, Direction.LOWER, True, Tone.WORSE),
        (0.1, Direction.HIGHER, True, Tone.BETTER),
        (-0.1, Direction.HIGHER, True, Tone.WORSE),
        (-0.1, Direction.HIGHER, False, Tone.UNCLEAR),
        (0.0, Direction.HIGHER, True, Tone.UNCLEAR),
        (math.nan, Direction.HIGHER, True, Tone.UNCLEAR),
    ],
)
def test_a_tone_needs_a_sure_effect_and_a_direction(
    relative: float, direction: Direction, sure: bool, tone: Tone
) -> None:
    assert tone_of(relative, direction, sure=sure) is tone


def test_the_primary_metric_stands_first_then_the_guardrails() -> None:
    rows = rows_of(analysis_of(BETTER), "treatment")
    assert [row.role for row in rows] == [Role.PRIMARY, Role.GUARDRAIL, Role.GUARDRAIL, *[Role.OTHER] * 5]
    assert [row.margin for row in rows[:3]] == [None, -0.01, -0.01]
    assert len({row.definition.metric for row in rows}) == len(MetricName)


def test_a_metric_that_is_sure_only_before_correction_is_not_called_better() -> None:
    found = with_estimate(analysis_of(WORSE), MetricName.ACTIVE_DAYS, p_value=0.03, adjusted_p=0.06)
    tones = {row.definition.metric: row.tone for row in rows_of(found, "treatment")}
    assert tones[MetricName.ACTIVE_DAYS] is Tone.UNCLEAR
    assert tones[MetricName.TOXIC_SHARE] is Tone.BETTER


def test_the_primary_metrics_tone_follows_its_band_as_the_verdict_does() -> None:
    found = analysis_of(WORSE)
    look = found.sequences[0].looks[-1]
    unsure = replace(found.sequences[0], looks=(replace(look, band=Interval(-0.01, 0.3)),))
    early = replace(found, sequences=(unsure, *found.sequences[1:]))
    assert rows_of(found, "treatment")[0].tone is Tone.WORSE
    assert rows_of(early, "treatment")[0].tone is Tone.UNCLEAR


def test_effects_of_very_different_size_do_not_share_an_axis() -> None:
    panels = panels_of(rows_of(analysis_of(BETTER), "treatment"))
    assert [(panel.role, len(panel.rows)) for panel in panels] == [
        (Role.PRIMARY, 1),
        (Role.GUARDRAIL, 2),
        (Role.OTHER, 3),
        (Role.OTHER, 2),
    ]
    assert {row.definition.metric for row in panels[-1].rows} == {MetricName.TOXIC_SHARE, MetricName.TOXIC_EXPOSURE}


def test_an_unmeasured_metric_keeps_its_row_and_says_why() -> None:
    found = without_metric(analysis_of(BETTER), MetricName.RETENTION, "retention is known from day 8 on")
    row = next(row for row in rows_of(found, "treatment") if row.definition.metric is MetricName.RETENTION)
    assert (row.tone, row.estimate, row.missing) == (Tone.UNMEASURED, None, "retention is known from day 8 on")


def test_an_effect_that_is_no_number_is_unmeasured() -> None:
    found = with_estimate(analysis_of(BETTER), MetricName.ACTIVE_DAYS, relative=math.nan)
    row = next(row for row in rows_of(found, "treatment") if row.definition.metric is MetricName.ACTIVE_DAYS)
    assert (row.tone, row.estimate, row.guardrail) == (Tone.UNMEASURED, None, None)


def test_sound_data_are_not_blocked() -> None:
    found = analysis_of(BETTER)
    assert blocked_of(found) is None
    assert checked(found) is found


def test_what_alarms_the_sample_ratio_check_is_blocked() -> None:
    blocked = checked(lopsided(analysis_of(BETTER)))
    assert isinstance(blocked, Blocked)
    assert blocked.reason.startswith("The sample-ratio check failed: sizes of the arms.")
    assert blocked.sample_ratio is not None
    assert blocked.sample_ratio.alarms


def test_an_arm_without_users_is_blocked() -> None:
    blocked = checked(one_arm_empty(analysis_of(BETTER)))
    assert isinstance(blocked, Blocked)
    assert blocked.reason == "treatment had no users, so there is nothing to compare."


def test_an_analysis_without_verdicts_is_blocked() -> None:
    assert blocked_of(replace(analysis_of(BETTER), verdicts=())) is not None


def test_every_arm_has_rows_of_its_own() -> None:
    shares = {"control": 0.4, "mild": 0.3, "strong": 0.3}
    arms = [{"name": name, "share": share, "ranking": {"strength": 9.0 * share}} for name, share in shares.items()]
    found = analysis_of(BETTER, test=sound(variants=arms))
    assert {row.variant for row in rows_of(found, "mild")} == {"mild"}
    assert len(rows_of(found, "strong")) == len(found.definitions)
