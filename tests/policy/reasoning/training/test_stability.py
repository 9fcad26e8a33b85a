"""The stability grid in short: equal conditions give equal runs, one that fails disturbs no other."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.stability import measure
from bench.stability.grid import GRID, REWARDS, VARIANTS, Cell, Run
from bench.stability.policies import CLASSES, PROMPTS, TOKENS, Policies, gumbel, judged
from bench.stability.report import wilson
from bench.stability.training import evaluated, run_cell, warmed_up

SHORT = replace(GRID, seeds=2, rollouts=3, rollout_batch=16, warm_up_steps=120, evaluated=512)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def start() -> Policies:
    return warmed_up(REWARDS["half right"], SHORT, 3)


def test_what_is_sampled_has_the_probability_that_it_is_scored_with() -> None:
    policies = Policies.drawn(3, generator(1))
    prompts = torch.arange(12).remainder(PROMPTS).expand(3, -1)
    sampled = policies.sample(prompts, gumbel((3, 12, 5, TOKENS), generator(2)))
    torch.testing.assert_close(policies.logps(prompts, sampled.tokens_S_N_T), sampled.logps_S_N_T)


def test_answers_are_judged_as_texts_are() -> None:
    """Prompt 3 asks for class 3: right and consistent, right and not, wrong and consistent, not of the form."""
    marks = [CLASSES, CLASSES + 1, CLASSES + 2]
    answers = [[3, 3], [2, 3], [2, 2], [3, 3]]
    tokens = torch.tensor([[marks[0], reasoning, marks[1], answer, marks[2]] for reasoning, answer in answers])
    tokens[3, 2] = marks[0]
    found = judged(torch.full((1, 4), 3), tokens[None])
    assert found.result.tolist() == [[1, 1, 0, 0]]
    assert found.form.tolist() == [[1, 1, 1, 0]]
    assert found.consistency.tolist() == [[1, -1, 1, 0]]


def test_the_start_is_about_as_right_as_asked(start: Policies) -> None:
    for right in evaluated(start, SHORT, generator(5))["right"]:
        assert 0.4 < right < 0.6, "half of all, where the form is kept: 0.99 to the third"


def test_with_one_step_on_a_fresh_rollout_pre_clip_changes_nothing_and_draws_are_shared(start: Policies) -> None:
    found = run_cell(Cell("half right", 1, 1e-2, 0), start, SHORT, 7)
    assert found["StableReinforce"] == found["without Pre-Clip"]
    assert found["StableReinforce"] != found["Reinforce++"]
    assert len({tuple(run.reward_before for run in runs) for runs in found.values()}) == 1
    assert found == run_cell(Cell("half right", 1, 1e-2, 0), start, SHORT, 7)


def test_a_policy_that_is_not_finite_is_stopped_and_the_others_go_on_as_they_would(start: Policies) -> None:
    cell = Cell("half right", 4, 1e-2, 0)
    sound = run_cell(cell, start, SHORT, 9)
    broken = start.copied()
    broken.weights["out"][0, 0, 0] = torch.inf
    found = run_cell(cell, broken, SHORT, 9)
    for name in VARIANTS:
        assert [run.diverged for run in found[name]] == [True, False]
        assert found[name][1] == sound[name][1]


@pytest.mark.parametrize(
    ("run", "diverged", "collapsed"),
    [
        (Run(False, 1.0, 1.5, 0.9, 0.2), False, False),
        (Run(False, 1.0, 0.91, 0.5, 0.2), False, False),
        (Run(False, 1.0, 0.89, 0.5, 0.2), False, True),
        (Run(False, 0.5, 0.9, 0.3, 0.04), False, True),
        (Run(False, 0.5, 1.1, 0.3, 0.04), False, False),
        (Run(True, 1.0, 0.1, 0.0, 0.0), True, False),
    ],
)
def test_what_counts_as_diverged_and_as_collapsed(run: Run, diverged: bool, collapsed: bool) -> None:
    assert (run.diverged, run.collapsed, run.failed) == (diverged, collapsed, diverged or collapsed)


def test_ten_of_a_hundred_are_5_5_to_17_4_percent_by_wilson() -> None:
    assert wilson(10, 100) == (pytest.approx(0.0552, abs=1e-4), pytest.approx(0.1744, abs=1e-4))
    assert wilson(0, 10)[0] == pytest.approx(0.0, abs=1e-12)


def test_the_grid_in_short_prints_every_cell_and_draws_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = replace(
        SHORT,
        rewards=("half right, rare faults of 20",),
        steps=(1, 2),
        learning_rates=(1e-2,),
        rollouts=2,
        evaluated=64,
    )
    figures = measure(grid=grid, picture=tmp_path / "grid.svg")
    assert len(figures["cells"]) == len(grid.cells()) == 4
    assert {found["runs"] for found in figures["variants"].values()} == {8}
    assert "half right, rare faults of 20" in capsys.readouterr().out
    assert (tmp_path / "grid.svg").read_text().count("<rect") == 1 + 4 * len(VARIANTS)
