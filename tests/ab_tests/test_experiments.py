"""Declared experiments as a file: what reads, and how a fault is named by file, experiment and field."""

from pathlib import Path

import pytest

from ab_tests.experiments import find, read_experiments
from contracts.errors import BadInputError
from contracts.experiments import Experiments, MetricName, Subject
from tests.ab_tests.samples import experiment

EXAMPLE = Path(__file__).parents[2] / "deploy" / "experiments.toml"


def changed(tmp_path: Path, before: str, after: str) -> Path:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert before in text
    path = tmp_path / "experiments.toml"
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    return path


def test_the_example_declares_one_experiment_on_ranking_and_one_on_moderation() -> None:
    ranking, moderation = read_experiments(EXAMPLE).experiments
    assert (ranking.subject, ranking.primary, ranking.days) == (Subject.RANKING, MetricName.REPORT_RATE, 14)
    assert [variant.ranking for variant in ranking.variants] == [{"strength": 0.0}, {"strength": 4.0}]
    assert [variant.decisions for variant in moderation.variants] == ["live", "candidate"]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("share = 0.5", "share = 1.5", "experiment 'toxicity-ranking': variants[0].share == 1.5: Input should be less"),
        ("share = 0.5", "share = 0.4", "experiment 'toxicity-ranking': shares of the variants sum to 0.9, must be 1"),
        ('metric = "active_days"', 'metric = "joy"', "experiment 'stricter-release': guardrails[0].metric == 'joy'"),
        ("ends_on = 2026-11-15", "ends_on = 2026-11-31", "is not TOML: "),
        ("ends_on = 2026-11-15", 'ends_on = "soon"', "experiment 'toxicity-ranking': ends_on == 'soon': "),
        ('salt = "stricter-release-1"', 'salt = "toxicity-ranking-1"', "salts repeat toxicity-ranking-1"),
        ("smallest_effect = 0.1\n", "", "experiment 'stricter-release': smallest_effect: Field required"),
        ('experiment_id = "toxicity-ranking"', "", "experiment number 1: experiment_id: Field required"),
        ("[[experiments]]", "colour = 1\n[[experiments]]", "colour == 1: Extra inputs are not permitted"),
    ],
)
def test_a_fault_is_named_by_file_experiment_field_and_rule(
    tmp_path: Path, before: str, after: str, reason: str
) -> None:
    path = changed(tmp_path, before, after)
    with pytest.raises(BadInputError) as caught:
        read_experiments(path)
    assert str(caught.value).startswith(f"{path}: {reason}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_declares_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"gone\.toml: is not a file"):
        read_experiments(tmp_path / "gone.toml")
    with pytest.raises(BadInputError, match="cannot be read"):
        read_experiments(tmp_path)
    (tmp_path / "empty.toml").touch()
    with pytest.raises(BadInputError, match=r"empty\.toml: experiments: Field required"):
        read_experiments(tmp_path / "empty.toml")
    (tmp_path / "other.toml").write_text("experiments = 3")
    with pytest.raises(BadInputError, match=r"experiments == 3"):
        read_experiments(tmp_path / "other.toml")


def test_an_experiment_is_found_by_its_id_or_those_that_are_there_are_named() -> None:
    declared = read_experiments(EXAMPLE)
    assert find(declared, "stricter-release", place="x").layer == "moderation"
    with pytest.raises(BadInputError, match=r"'x', must be one of toxicity-ranking, stricter-release \(the file\)"):
        find(declared, "x", place="the file")
    with pytest.raises(BadInputError, match="must be one of none"):
        find(Experiments(experiments=()), "x", place="the file")


def test_the_one_experiment_of_a_json_file_is_read_as_the_simulated_platform_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "experiment.json"
    path.write_text(experiment("one").model_dump_json())
    assert read_experiments(path).experiments == (experiment("one"),)
    path.write_text('{"experiment_id": "one"')
    with pytest.raises(BadInputError, match=r"experiment\.json: is not JSON: "):
        read_experiments(path)
