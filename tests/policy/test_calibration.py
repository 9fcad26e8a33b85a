"""Calibration and the toxicity line, by hand."""

import numpy as np
import pytest

from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX
from policy.calibration import expected_calibration_error, fit_temperature, toxicity_line


def rows(p_violative: list[float]) -> np.ndarray:
    table = np.zeros((len(p_violative), N_CATEGORIES), np.float32)
    table[:, 0] = p_violative
    table[:, POSITIVE_INDEX] = 1 - table[:, 0]
    return table


def test_ece_of_two_bins_is_the_weighted_gap() -> None:
    # 1 of 4 in a bin of mean 0.05 where none happened; 3 of 4 in one of mean 0.95 where 2 of 3 happened
    p = np.array([0.05, 0.95, 0.95, 0.95])
    happened = np.array([False, True, True, False])
    assert expected_calibration_error(p, happened) == pytest.approx(0.25 * 0.05 + 0.75 * (0.95 - 2 / 3))


def test_certainty_that_is_right_has_no_error() -> None:
    assert expected_calibration_error(np.array([0.0, 1.0]), np.array([False, True])) == 0.0


def test_overconfident_logits_get_a_temperature_above_one() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(4000, N_CATEGORIES)) * 2
    p = np.exp(true) / np.exp(true).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(N_CATEGORIES, p=row) for row in p])
    temperature, bias = fit_temperature((true * 3).astype(np.float32), labels)
    assert temperature == pytest.approx(3.0, rel=0.1)
    assert np.abs(bias).max() < 0.2


def test_the_toxicity_line_separates_what_can_be_separated() -> None:
    p = [0.1] * 700 + [0.55] * 700 + [0.7] * 700
    labels = np.array([POSITIVE_INDEX] * 1400 + [0] * 700)
    line = toxicity_line(rows(p), labels)
    assert 0.55 < line < 0.7


def test_few_cases_do_not_move_the_toxicity_line() -> None:
    p = [0.1] * 50 + [0.55] * 50 + [0.7] * 50
    labels = np.array([POSITIVE_INDEX] * 100 + [0] * 50)
    assert toxicity_line(rows(p), labels) == 0.5
