"""The margins that retrainings need, by hand, and of a few real ones."""

import pytest

from bench.gate_margins import BY_RULE, margins_of, measure
from contracts.errors import CheckFailedError
from policy.gate.limits import GateLimits


def test_a_margin_is_the_mean_and_four_deviations_rounded_up_to_half_a_point() -> None:
    # mean 0.02, deviation 0.01 / sqrt 2: 0.0483, up to 0.05; the worse of two groups; what only gains needs nothing
    lost = {name: [-0.01, -0.01] for name in BY_RULE if name != "recall of "} | {
        "binary accuracy": [0.015, 0.025],
        "recall of commercial": [0.03, 0.03],
        "recall of content_ethics": [0.01, 0.01],
    }
    needed = margins_of(lost)
    assert needed["binary_accuracy"] == pytest.approx(0.05)
    assert needed["group_recall"] == pytest.approx(0.03)
    assert needed["worse_ece"] == 0.0


@pytest.mark.parametrize("lost", [{}, {name: [0.01] for name in BY_RULE}])
def test_a_margin_without_retrainings_is_refused(lost: dict[str, list[float]]) -> None:
    with pytest.raises(CheckFailedError, match="binary_accuracy: figures of"):
        margins_of(lost)


def test_every_margin_by_the_rule_is_measured_on_real_retrainings() -> None:
    figures = measure(n_train=240, n_golden=400, n_traffic=40, seeds=(101, 102))
    assert set(BY_RULE.values()) <= set(GateLimits.__dataclass_fields__)
    assert {"binary accuracy", "recall of commercial", "ece", "recent_changed"} <= set(figures["lost"])
    assert figures["margins"]["changed"] > 0.0, "retrainings differ somewhere, or they are none"
