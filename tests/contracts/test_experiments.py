"""What makes an experiment unsound, alone or beside others, and how the refusal reads."""

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.experiments import Experiments
from tests.ab_tests.samples import MODERATION, experiment, fields, moderation, split


def refusal_of(*declared: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        Experiments.model_validate({"experiments": declared})
    return str(caught.value.errors(include_url=False)[0]["msg"])


@pytest.mark.parametrize(
    ("replaced", "rule"),
    [
        ({"variants": split(0.5, 0.6)}, "shares of the variants sum to 1.1, must be 1"),
        ({"variants": split(0.5, 0.5, 0.0)}, "Input should be greater than 0"),
        ({"variants": split(1.0)}, "at least 2 items"),
        ({"variants": split(0.5, 0.5)[:1] * 2}, "variants repeat v0, each must stand once"),
        ({"metrics": ["report_rate", "smiles"]}, "Input should be 'report_rate', 'active_days'"),
        ({"metrics": ["report_rate", "report_rate"]}, "metrics repeat report_rate, each must stand once"),
        ({"metrics": ["active_days"]}, "primary == report_rate, must be one of metrics"),
        ({"guardrails": [{"metric": "report_rate", "margin": 0.01}]}, "guardrails name report_rate, must not be the"),
        ({"guardrails": [{"metric": "active_days", "margin": 0.01}] * 2}, "guardrails repeat active_days"),
        ({"buckets": [5_000, 5_000]}, r"buckets == [5000, 5000], the first must be smaller"),
        ({"buckets": [0, 10_001]}, "less than or equal to 10000"),
        ({"ends_on": date(2026, 10, 31)}, "ends_on == 2026-10-31, must not be before starts_on == 2026-11-01"),
        ({"surfaces": []}, "at least 1 item"),
        ({"pre_period_days": -1}, "greater than or equal to 0"),
        ({"salt": "Salz für alle"}, "String should match pattern"),
        ({"variants": MODERATION}, "decisions == 'candidate' needs subject == 'moderation'"),
        (moderation(MODERATION[0], {"name": "b", "share": 0.5}), "a variant must have"),
        (moderation(candidate_release=None), "candidate_release == None, must name a release where subject =="),
        ({"candidate_release": 2}, "candidate_release == 2, must name a release where subject == 'moderation', and"),
        (
            moderation(MODERATION[0], MODERATION[1] | {"ranking": {"strength": 1.0}}),
            "two changes in one arm",
        ),
    ],
)
def test_an_unsound_experiment_is_refused_with_value_and_rule(replaced: dict[str, Any], rule: str) -> None:
    assert rule in refusal_of(fields(**replaced))


def test_both_days_belong_to_an_experiment() -> None:
    one = experiment()
    assert one.days == 14
    assert [one.runs_on(date(2026, month, day)) for month, day in ((10, 31), (11, 1), (11, 14), (11, 15))] == [
        False, True, True, False,
    ]  # fmt: skip


def test_the_first_variant_is_the_control() -> None:
    assert experiment().control.name == "control"


def test_experiments_of_one_layer_may_not_share_a_bucket_on_the_same_day() -> None:
    reason = refusal_of(fields("a", buckets=[0, 5_000]), fields("b", buckets=[4_999, 10_000]))
    assert "a and b both own buckets 4999 to 5000 of layer 'feed' at the same time, must be disjoint" in reason


@pytest.mark.parametrize(
    "second",
    [
        {"buckets": [5_000, 10_000]},
        {"buckets": [0, 5_000], "starts_on": date(2026, 11, 15), "ends_on": date(2026, 11, 20)},
        moderation(buckets=[0, 5_000], layer="other"),
    ],
)
def test_experiments_that_share_no_user_no_day_or_no_change_stand_side_by_side(second: dict[str, Any]) -> None:
    both = Experiments.model_validate({"experiments": [fields("a", buckets=[0, 5_000]), fields("b", **second)]})
    assert [one.experiment_id for one in both.experiments] == ["a", "b"]


def test_experiments_of_two_layers_may_not_change_the_same_thing_on_the_same_day() -> None:
    reason = refusal_of(fields("a"), fields("b", layer="other"))
    assert "a and b both change strength at the same time, must share a layer" in reason
    assert "both change decisions" in refusal_of(fields("a", **moderation()), fields("b", **moderation(layer="other")))


def test_ids_and_salts_stand_once() -> None:
    assert "experiments repeat a" in refusal_of(fields("a"), fields("a"))
    later = {"starts_on": date(2027, 1, 1), "ends_on": date(2027, 1, 2)}
    assert "salts repeat s, each must stand once" in refusal_of(fields("a", salt="s"), fields("b", salt="s", **later))


def test_the_experiments_of_a_day_are_those_that_run_on_it() -> None:
    later = fields("b", starts_on=date(2026, 11, 14), ends_on=date(2026, 11, 20), buckets=[5_000, 10_000])
    both = Experiments.model_validate({"experiments": [fields("a", buckets=[0, 5_000]), later]})
    running = {day: [one.experiment_id for one in both.running_on(date(2026, 11, day))] for day in (1, 14, 15, 21)}
    assert running == {1: ["a"], 14: ["a", "b"], 15: ["b"], 21: []}
