"""The benchmark's short form: what is true of a small platform, and what the shipped analysis makes of it."""

from typing import Any

import numpy as np
import pytest

from bench import platform
from bench.platform_worlds import Worlds, analysed, effect, live_worlds
from contracts.experiments import MetricName
from simulation.platform.population import Plan
from simulation.platform.settings import with_changes

GRID = platform.Grid(prevalences=(0.05,), recalls=(0.8,), tolerances=(0.2, 0.6))


@pytest.fixture(scope="module")
def worlds() -> Worlds:
    plan = Plan(viewers=2_500, days=20, seed=1, starts_on=10)
    return live_worlds(plan, with_changes(interference=False))


def test_toxicity_aware_ranking_lowers_the_report_rate_by_a_fifth_at_least(worlds: Worlds) -> None:
    assert effect(worlds.control, worlds.treatment, MetricName.REPORT_RATE).relative <= -0.20


def test_without_interference_the_experiment_is_made_of_the_two_worlds(worlds: Worlds) -> None:
    assert np.array_equal(worlds.mixed, worlds.as_if_alone)


def test_the_analysis_finds_the_report_rate_and_its_interval_holds_the_truth(worlds: Worlds) -> None:
    found = analysed(worlds.mixed, worlds.treated)["report_rate"]
    assert found.relative_interval.high < 0.0
    assert effect(worlds.control, worlds.treatment, MetricName.REPORT_RATE).relative in found.relative_interval


def test_the_benchmark_prints_all_of_its_tables(capsys: Any) -> None:
    figures = platform.measure(
        viewers=400, seeds=(1, 2), pool=1_500, repeats=5, sample=1_000, grid_viewers=60, grid=GRID
    )
    printed = capsys.readouterr().out
    for title in (
        "True effect of launching",
        "as analysed",
        "Bias of the A/B",
        "Coverage of the true",
        "True change of",
    ):
        assert title in printed
    assert len(figures["grid"]) == 2
    assert figures["bias"]["off"]["report_rate"]["bias"] == 0.0
