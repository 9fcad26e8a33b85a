"""Numbers that depend on what they decide, and settings that make no sense."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from contracts.errors import BadInputError
from simulation.platform import chance
from simulation.platform.chance import Purpose
from simulation.platform.population import Plan
from simulation.platform.settings import (
    AudienceSettings,
    BadFaithSettings,
    FeedbackSettings,
    LoyaltySettings,
    ModelSettings,
    PlatformSettings,
    VideoSettings,
    WatchingSettings,
    with_changes,
)


def test_a_number_depends_on_its_key_and_not_on_what_else_is_drawn() -> None:
    together = chance.keys(1, Purpose.WATCH, 3, np.arange(100))
    alone = chance.keys(1, Purpose.WATCH, 3, 57)
    assert together[57] == alone[0]
    assert np.array_equal(chance.fan(alone, 20)[:, :5], chance.fan(alone, 5))


def test_keys_differ_by_seed_purpose_day_and_viewer() -> None:
    made = {
        int(chance.keys(seed, purpose, day, viewer)[0])
        for seed in (1, 2)
        for purpose in Purpose
        for day in range(10)
        for viewer in range(50)
    }
    assert len(made) == 2 * len(Purpose) * 10 * 50


def test_uniforms_are_uniform_and_independent_across_neighbours() -> None:
    drawn = chance.fan(chance.keys(9, Purpose.CANDIDATES, 0, np.arange(20_000)), 4)
    for u in (chance.uniforms(drawn), *chance.three_uniforms(drawn)):
        assert u.min() >= 0.0
        assert u.max() < 1.0
        counts = np.bincount((u * 10).astype(int).ravel(), minlength=10)
        # chi-square of 10 cells, 9 degrees of freedom: 27.9 is the 99.9% point
        assert ((counts - 8_000) ** 2 / 8_000).sum() < 27.9
        assert abs(np.corrcoef(u[:, 0], u[:, 1])[0, 1]) < 0.03
        assert abs(np.corrcoef(u[:-1, 0], u[1:, 0])[0, 1]) < 0.03
    first, second, third = chance.three_uniforms(drawn)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(second.ravel(), third.ravel())[0, 1]) < 0.02


@pytest.mark.parametrize(
    ("part", "given", "said"),
    [
        (VideoSettings, {"prevalence": 0.0}, r"prevalence == 0.0, must be in \[0.001, 0.9\] \(VideoSettings\)"),
        (VideoSettings, {"life_days": 0}, "life_days == 0"),
        (VideoSettings, {"life_days": 2.5}, "life_days == 2.5, must be whole and"),
        (VideoSettings, {"toxicity_if_violative": (0.0, 1.0)}, "toxicity_if_violative"),
        (ModelSettings, {"recall": 1.5}, "recall == 1.5"),
        (ModelSettings, {"recall": float("nan")}, "recall == nan"),
        (ModelSettings, {"recall": 0.1, "false_positive_rate": 0.2}, "worse than chance"),
        (AudienceSettings, {"tolerance": -0.1}, "tolerance == -0.1"),
        (AudienceSettings, {"more_sessions": 1.0}, "more_sessions == 1.0"),
        (WatchingSettings, {"report_any": 2}, "report_any == 2"),
        (LoyaltySettings, {"speed": 2}, "speed == 2"),
        (BadFaithSettings, {"brigade_zeal": 7}, "brigade_zeal == 7"),
        (FeedbackSettings, {"case_at": 0}, "case_at == 0"),
        (PlatformSettings, {"page": 49}, "page == 49, must be in"),
        (PlatformSettings, {"candidates": 200, "page": 120}, "a session may take 21,720 s, must be under 21,600 s"),
        (PlatformSettings, {"surfaces": (0.5, 0.2, 0.2)}, "surfaces == "),
    ],
)
def test_absurd_settings_are_refused_with_value_rule_and_place(part: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        part(**given)


@pytest.mark.parametrize("given", [{"viewers": 0}, {"days": 0}, {"seed": -1}, {"starts_on": 9}, {"release_version": 0}])
def test_absurd_plans_are_refused(given: dict[str, int]) -> None:
    with pytest.raises(BadInputError, match=next(iter(given))):
        replace(Plan(viewers=5, days=8, seed=1, starts_on=4), **given)  # type: ignore[arg-type]


def test_changes_replace_what_is_given_and_nothing_else() -> None:
    assert with_changes() == PlatformSettings()
    changed = with_changes(prevalence=0.3, recall=0.6, tolerance=0.2, interference=False)
    assert (changed.videos.prevalence, changed.model.recall, changed.audience.tolerance) == (0.3, 0.6, 0.2)
    assert changed.model.false_positive_rate == ModelSettings().false_positive_rate
    assert not changed.feedback.on
