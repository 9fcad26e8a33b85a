"""How a trend's recall is counted: the line at equal false positives, intervals over draws and videos, small runs."""

from dataclasses import replace

import numpy as np
import pytest

from bench.trend import measure
from bench.trend_figures import line_for, pigeonhole
from policy.fusion import FusionSettings
from policy.refresh import RefreshSettings
from policy.train import TrainSettings
from simulation.trends.settings import TRENDS, TrendScenario


def test_the_line_moves_until_as_few_harmless_videos_are_over_it_by_hand() -> None:
    harmless = np.array([0.1, 0.9, 0.6, 0.3], np.float32)
    for most, over in ((0, 0), (1, 1), (3, 3)):
        assert int((harmless >= line_for(harmless, 0.5, most=most)).sum()) == over
    assert 0.6 < line_for(harmless, 0.5, most=1) < 0.6001
    assert line_for(harmless, 0.5, most=4) == pytest.approx(0.1)


def test_means_are_spread_by_draws_and_by_videos_each_as_by_theory() -> None:
    by_video = np.tile(np.arange(100) < 30, (5, 1))  # every draw alike: only videos vary
    assert pigeonhole([by_video]).std() == pytest.approx(np.sqrt(0.3 * 0.7 / 100), rel=0.1)
    by_draw = np.tile((np.arange(10) < 3)[:, None], (1, 50))  # every video alike: only draws vary
    assert pigeonhole([by_draw]).std() == pytest.approx(np.sqrt(0.3 * 0.7 / 10), rel=0.1)
    assert pigeonhole([by_draw, by_draw]).std() == pytest.approx(np.sqrt(0.3 * 0.7 / 10 / 2), rel=0.1)
    assert pigeonhole([np.ones((1, 7), np.bool_)]) == pytest.approx(np.ones(2_000))


def test_a_small_run_tells_every_stage_at_equal_false_positives(capsys: pytest.CaptureFixture[str]) -> None:
    scenario = TrendScenario(
        taught=160, rulings_a_day=160, judged_old=120, judged_of_trend=20, judged_look_alikes=10, others=40
    )
    inputs = TrainSettings().inputs.model_copy(update={"text_buckets": 2_048})
    settings = replace(TrainSettings(), inputs=inputs, fusion=FusionSettings(epochs=1), fused=True)
    nightly = RefreshSettings(epochs=1)
    figures = measure(scenario=scenario, seeds=[5], settings=settings, nightly=nightly, draws=2)["stages"]
    assert list(figures) == ["before", "1 precedent", "5 precedents", "20 precedents", "after the refresh"]
    before = figures["before"]
    assert before["recall"]["n"] == 20 * len(TRENDS)
    assert before["look_alikes"]["n"] == 10 * len(TRENDS)
    assert before["old"]["n"] + before["harmless"]["n"] == 120
    assert before["old_change"] == before["old_change_at_least"] == 0.0
    assert all(row["harmless"]["share"] <= before["harmless"]["share"] for row in figures.values())
    assert all(row["old_change_at_least"] <= row["old_change"] for row in figures.values())
    printed = capsys.readouterr().out
    assert printed.count("reached") + printed.count("MISSED by") == 3
