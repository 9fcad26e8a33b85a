"""What the parent had decided of recent traffic is given as verdicts: its own are used, others are counted."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench.gate.releases import NOW, word_cases
from contracts.errors import BadInputError
from contracts.releases import Pin
from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX, TAXONOMY_VERSION, Category
from contracts.verdicts import Decision, Verdict
from policy.commands.policy import policy
from policy.gate.recorded import read_recorded
from policy.lineage import Lineage, write_release
from policy.train import TrainSettings, train
from tests.policy.conftest import INPUTS

TAUGHT, GOLDEN = word_cases(120, 1), word_cases(40, 2)
PIN = Pin(release_version=1, casebook_version=1)
SETTINGS = replace(TrainSettings(), inputs=INPUTS, fused=False)


def verdict(event_id: str, decision: Decision, pin: Pin = PIN, *, minute: int = 0) -> Verdict:
    """A verdict of toxicity 0, whatever it decides: the gate reads the decision."""
    probabilities = tuple(float(place == POSITIVE_INDEX) for place in range(N_CATEGORIES))
    return Verdict(
        event_id=event_id,
        video_id=event_id,
        author_id="a-1",
        occurred_at=NOW,
        scored_at=NOW + timedelta(minutes=minute),
        probabilities=probabilities,
        classifier=probabilities,
        toxicity=0.0,
        category=Category.POSITIVE,
        decision=decision,
        citations=(),
        missing=(),
        taxonomy_version=TAXONOMY_VERSION,
        since_upload_ms=80.0,
        **pin.model_dump(),
    )


def written(path: Path, *verdicts: Verdict) -> Path:
    path.write_text("".join(one.model_dump_json() + "\n" for one in verdicts), encoding="utf-8")
    return path


def test_only_what_the_very_release_and_casebook_decided_of_the_traffic_is_recorded(tmp_path: Path) -> None:
    later = Pin(release_version=1, casebook_version=2)
    file = written(
        tmp_path / "verdicts.jsonl",
        verdict("e-1", Decision.REMOVE),
        verdict("e-2", Decision.REMOVE, later),
        verdict("e-2", Decision.ALLOW, Pin(release_version=2, casebook_version=1)),
        verdict("e-9", Decision.REMOVE),
    )
    recorded = read_recorded(file, PIN, ["e-1", "e-2", "e-3"])
    assert recorded.decisions == {"e-1": Decision.REMOVE}
    assert (recorded.by_others, recorded.elsewhere) == (2, 1)
    assert read_recorded(file, later, ["e-1", "e-2"]).decisions == {"e-2": Decision.REMOVE}


def test_of_two_verdicts_on_one_event_the_later_counts_wherever_it_stands(tmp_path: Path) -> None:
    first, second = verdict("e-1", Decision.ALLOW), verdict("e-1", Decision.REVIEW, minute=1)
    for name, order in (("in order", (first, second)), ("out of order", (second, first))):
        recorded = read_recorded(written(tmp_path / name, *order), PIN, ["e-1"])
        assert recorded.decisions == {"e-1": Decision.REVIEW}


def test_a_line_that_is_no_verdict_is_named(tmp_path: Path) -> None:
    file = written(tmp_path / "verdicts.jsonl", verdict("e-1", Decision.ALLOW))
    file.write_text(file.read_text() + '{"event_id": "e-2"}\n')
    with pytest.raises(BadInputError, match=r"verdicts\.jsonl:2: video_id: Field required"):
        read_recorded(file, PIN, [])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release, a golden set of 24 cases and 16 uploads that were decided."""
    folder = tmp_path_factory.mktemp("recorded")
    cases = tuple(item.case for item in TAUGHT)
    write_release(
        train(TAUGHT, settings=SETTINGS, seed=0),
        folder / "release",
        Lineage(1, None, cases),
        settings=SETTINGS,
        now=NOW,
    )
    (folder / "golden.jsonl").write_text("".join(item.case.model_dump_json() + "\n" for item in GOLDEN[:24]))
    (folder / "uploads.jsonl").write_text("".join(i.case.upload.model_dump_json() + "\n" for i in GOLDEN[24:]))
    return folder


def gate(files: Path, tmp_path: Path, *options: str) -> Result:
    release = str(files / "release")
    given = ["gate", "--candidate", release, "--parent", release, "--golden", str(files / "golden.jsonl"), *options]
    return CliRunner().invoke(policy, [*given, "--releases", str(tmp_path / "root")])


def test_the_command_compares_with_what_was_decided_and_says_what_it_left_aside(files: Path, tmp_path: Path) -> None:
    traffic = ["--traffic", str(files / "uploads.jsonl")]
    # both decide alike, so that each recorded decision which is not the release's own counts as one change of 16
    alone = json.loads(gate(files, tmp_path, *traffic, "--json").stdout)["figures"]
    assert (alone["recent_videos"], alone["recent_changed"]) == (16.0, 0.0)
    events = [item.case.upload.event_id for item in GOLDEN[24:]]
    told = {}
    for decision in Decision:
        ours = [verdict(event, decision) for event in events[:4]]
        others = [verdict(event, decision, Pin(release_version=1, casebook_version=5)) for event in events[4:7]]
        file = written(tmp_path / "verdicts.jsonl", *ours, *others, verdict("elsewhere", decision))
        found = json.loads(gate(files, tmp_path, *traffic, "--verdicts", str(file), "--json").stdout)["figures"]
        told[decision] = round(16 * found["recent_changed"])
        counted = [found[f"recorded_{whose}"] for whose in ("by_parent", "by_others", "elsewhere")]
        assert counted == [4.0, 3.0, 1.0]
    # each of the 4 videos is decided in one of the four ways, hence recorded otherwise in three of them
    assert sum(told.values()) == 3 * 4
    shown = gate(files, tmp_path, *traffic, "--verdicts", str(tmp_path / "verdicts.jsonl")).stdout
    assert [line.split()[1] for line in shown.splitlines() if line.startswith("recorded_by_others")] == ["3.0000"]


def test_verdicts_without_the_traffic_that_they_are_on_are_bad_input(files: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "verdicts.jsonl", verdict("e-1", Decision.ALLOW))
    answer = gate(files, tmp_path, "--verdicts", str(file))
    assert isinstance(answer.exception, BadInputError)
    assert str(answer.exception).endswith("--traffic is not given, must hold the uploads that were decided")
