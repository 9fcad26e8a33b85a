"""The gate: hand-worked comparisons, and real releases that pass or are refused by name."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench.gate.damages import DAMAGES
from bench.gate.releases import NOW, SETTINGS, word_cases
from contracts.errors import BadInputError, CheckFailedError
from contracts.releases import GateResult
from contracts.taxonomy import POSITIVE_INDEX, VIOLATIVE
from contracts.verdicts import Decision
from policy.casebook import Evidence
from policy.commands.policy import policy
from policy.gate.command import report
from policy.gate.decision_diff import diff_decisions
from policy.gate.gate import pass_gate
from policy.gate.judged import REMOVE, Judged, judge_all
from policy.gate.limits import GateLimits
from policy.gate.quality import calibration_refusal, compare, ece_of, names_loss_of, names_refusal
from policy.gate.stare_decisis import overturned, overturned_refusal
from policy.lineage import Lineage, write_release
from policy.train import Policy, train
from serving.releases import STUDENT, open_release


def bools(text: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.array([c == "1" for c in text])


def judged(categories: list[int], toxicity: list[float]) -> Judged:
    probabilities = np.zeros((len(categories), 16), np.float32)
    probabilities[:, 0] = toxicity
    probabilities[:, POSITIVE_INDEX] = 1 - probabilities[:, 0]
    n = len(categories)
    nothing = np.zeros(n, np.int64)
    return Judged(probabilities, np.array(categories), nothing, nothing.astype(np.int32), np.ones(1))


def test_a_paired_gain_and_its_one_sided_bound_by_hand() -> None:
    # 98 cases, 3 won and 13 lost: gain -10/100; error sqrt(17 - 100/100)/100 = 0.04
    parent, candidate = bools("0" * 3 + "1" * 95), bools("1" * 3 + "0" * 13 + "1" * 82)
    found = compare("x", parent, candidate, margin=0.1)
    assert found.gain.estimate == pytest.approx(-0.1)
    assert found.at_least == pytest.approx(-0.1 - 1.645 * 0.04)
    assert (found.gain.low, found.gain.high) == pytest.approx((-0.1784, -0.0216))
    assert found.refusal() is not None
    assert compare("x", parent, candidate, margin=0.166).refusal() is None


def test_names_that_are_too_sure_are_refused_though_as_many_are_right() -> None:
    # given violative, the right name has 0.9 and 0.5, and after it 0.99 and 0.06
    def says(*shares: float) -> Judged:
        found = judged([0, 0], [0.8, 0.8])
        found.probabilities[:, 0] = [0.8 * share for share in shares]
        found.probabilities[:, 1] = [0.8 * (1 - share) for share in shares]
        return found

    labels = np.array([0, 0])
    before, after = names_loss_of(says(0.9, 0.5), labels), names_loss_of(says(0.99, 0.06), labels)
    assert before == pytest.approx(-(np.log(0.9) + np.log(0.5)) / 2, abs=1e-6)
    assert after == pytest.approx(-(np.log(0.99) + np.log(0.06)) / 2, abs=1e-6)
    assert names_loss_of(says(0.9, 0.5), np.array([POSITIVE_INDEX] * 2)) == 0.0
    assert names_refusal(before, before + 0.05, 2, GateLimits()) is None
    refusal = names_refusal(before, after, 2, GateLimits())
    assert refusal == "names: cross-entropy 1.412, parent 0.399, must be at most 0.449 (2 violative golden cases)"


def test_few_cases_that_all_agree_do_not_show_that_nothing_is_lost() -> None:
    # 8 cases: error sqrt(1)/10, bound -0.1645; 998 cases: -0.001645
    assert compare("x", bools("1" * 8), bools("1" * 8), margin=0.1).at_least == pytest.approx(-0.1645)
    assert compare("x", bools("1" * 998), bools("1" * 998), margin=0.1).at_least == pytest.approx(-0.001645)


def test_calibration_is_refused_where_it_is_worse_by_more_than_the_limit() -> None:
    # toxicity 0.9 for 4 cases of which 2 are violative: |0.9 - 0.5|
    labels = np.array([0, 0, POSITIVE_INDEX, POSITIVE_INDEX])
    assert ece_of(judged([0] * 4, [0.9] * 4), labels) == pytest.approx(0.4, abs=1e-6)
    assert calibration_refusal(0.02, 0.05, 4, GateLimits(worse_ece=0.031)) is None
    refusal = calibration_refusal(0.02, 0.4, 4, GateLimits(worse_ece=0.03))
    assert "ECE 0.400, parent 0.020, must be at most 0.050" in str(refusal)


def test_a_ruling_is_overturned_where_only_the_parent_upholds_it() -> None:
    labels = np.array([3, 3, POSITIVE_INDEX, 4])
    parent, candidate = judged([3, 3, POSITIVE_INDEX, 5], [1] * 4), judged([3, 4, 0, 4], [1] * 4)
    lost = overturned(("a", "b", "c", "d"), parent, candidate, labels)
    assert lost == ("b", "c")
    assert overturned_refusal(lost, 40, at_most=0.05) is None
    assert "2 of 39 upheld rulings overturned (5.1%)" in str(overturned_refusal(lost, 39, at_most=0.05))


def test_the_decision_diff_counts_and_names_who_becomes_stricter_or_milder() -> None:
    diff = diff_decisions(["a", "b", "c", "d"], np.array([0, 0, 3, 1]), np.array([0, 2, 1, 1]))
    assert (diff.stricter, diff.milder, diff.n, diff.changed) == (("b",), ("c",), 4, 0.5)
    assert diff.counts_4_4.tolist() == [[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert diff.table().splitlines()[1].split() == ["allow", "1", "0", "1", "0"]
    assert diff.refusal(at_most=0.5) is None
    assert "50.0% of 4 decisions change (1 stricter, 1 milder)" in str(diff.refusal(at_most=0.4))
    assert diff_decisions([], np.array([], np.int64), np.array([], np.int64)).changed == 0.0


TAUGHT, GOLDEN = word_cases(240, 1), word_cases(400, 2)
LOOSE = GateLimits(slower=1_000.0)
"""Other work on the machine must not fail a test."""


@pytest.fixture(scope="module")
def sound() -> Policy:
    return train(TAUGHT, settings=SETTINGS, seed=0)


@pytest.fixture(scope="module")
def parent(sound: Policy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gate") / "parent"
    cases = tuple(item.case for item in TAUGHT)
    write_release(sound, path, Lineage(1, None, cases), settings=SETTINGS, now=NOW)
    return path


def gated(candidate: Path, parent: Path, golden: list[Evidence]) -> GateResult:
    traffic = [(item.case.upload, None) for item in golden[:100]]
    return pass_gate(candidate, parent, golden, now=NOW, traffic=traffic, limits=LOOSE)


def test_a_release_passes_against_itself_and_overturns_nothing(parent: Path) -> None:
    result = gated(parent, parent, GOLDEN)
    assert (result.passed, result.refusals, result.overturned) == (True, (), ())
    assert result.figures["golden_cases"] == 400
    assert result.figures["recent_videos"] == 100
    assert result.figures["recent_changed"] == 0.0
    assert result.candidate == result.parent


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("labels shuffled", "binary accuracy: "),
        ("removes from 0.3", "clean videos not removed: "),
        ("casebook emptied", "0 precedents, parent 240, must be at least 120"),
        ("casebook mislabelled", "nearest precedent agrees: "),
        ("casebook of another student", "nearest precedent agrees: "),
        ("sexual content not cited", "0 precedents of sexual_content, parent "),
        ("two categories swapped", "rare categories named: "),
        ("not a number", "probabilities sum to 1 within nan"),
        ("other hash buckets", "binary accuracy: "),
        ("student truncated", r"student.onnx: digest is sha256:"),
    ],
)
def test_a_damaged_candidate_is_refused_for_its_damage(
    damage: str, reason: str, sound: Policy, parent: Path, tmp_path: Path
) -> None:
    DAMAGES[damage](sound, TAUGHT, tmp_path / "damaged")
    result = gated(tmp_path / "damaged", parent, GOLDEN)
    assert not result.passed
    assert any(reason in refusal for refusal in result.refusals), result.refusals


def test_what_is_recorded_of_the_parent_is_not_asked_again(parent: Path) -> None:
    traffic = [(item.case.upload, None) for item in GOLDEN[:20]]
    recorded = {upload.event_id: Decision.REMOVE for upload, _ in traffic[:5]}
    result = pass_gate(parent, parent, GOLDEN, now=NOW, traffic=traffic, recorded=recorded, limits=LOOSE)
    alone = pass_gate(parent, parent, GOLDEN, now=NOW, traffic=traffic, limits=LOOSE)
    assert alone.figures["recent_changed"] == 0.0
    removed = judge_all([open_release(parent)], [u for u, _ in traffic[:5]], [None] * 5)[0].decision == REMOVE
    assert result.figures["recent_changed"] == pytest.approx((~removed).sum() / 20)


def test_side_by_side_both_say_what_they_say_in_turn(parent: Path) -> None:
    folders, uploads = [open_release(parent)] * 2, [item.case.upload for item in GOLDEN[:300]]
    in_turn = judge_all(folders, uploads, [None] * 300)
    beside = judge_all(folders, uploads, [None] * 300, side_by_side=True)
    for one, other in zip(in_turn, beside, strict=True):
        assert (one.decision == other.decision).all()
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)


def test_categories_with_few_golden_cases_are_named_and_guarded_together(parent: Path) -> None:
    result = gated(parent, parent, GOLDEN)
    few = {name.removeprefix("unguarded, ") for name in result.figures if name.startswith("unguarded, ")}
    counts = Counter(item.case.category.value for item in GOLDEN)
    assert few == {category.value for category in VIOLATIVE if counts[category.value] < 50}
    assert result.figures["rare categories named, cases"] == sum(counts[name] for name in few)
    told = report(result)
    assert "too few golden cases to be guarded one by one, only together: " in told
    assert told.splitlines()[1].startswith("binary accuracy")
    assert told.endswith("passed")


def test_golden_cases_that_taught_a_release_are_bad_input(parent: Path) -> None:
    with pytest.raises(BadInputError, match=r"and 0 more of 401 were taught to the parent"):
        gated(parent, parent, [*GOLDEN, TAUGHT[0]])
    with pytest.raises(BadInputError, match="the golden set is empty"):
        gated(parent, parent, [])


def test_a_damaged_parent_is_bad_input_and_no_refusal(parent: Path, tmp_path: Path) -> None:
    shutil.copytree(parent, tmp_path / "parent")
    (tmp_path / "parent" / STUDENT).write_bytes(b"half")
    with pytest.raises(BadInputError, match="digest is sha256"):
        gated(parent, tmp_path / "parent", GOLDEN)


def test_the_command_keeps_what_the_gate_said_and_fails_where_it_refuses(parent: Path, tmp_path: Path) -> None:
    golden = tmp_path / "golden.jsonl"
    golden.write_text("".join(item.case.model_dump_json() + "\n" for item in GOLDEN[:64]))
    traffic = tmp_path / "uploads.jsonl"
    traffic.write_text("".join(item.case.upload.model_dump_json() + "\n" for item in GOLDEN[64:80]))
    root = tmp_path / "root"
    options = ["gate", "--candidate", str(parent), "--parent", str(parent), "--golden", str(golden)]
    options += ["--traffic", str(traffic), "--json", "--releases", str(root)]
    answer = CliRunner().invoke(policy, options)
    # 64 cases that all agree: at least -1.645/66 = -2.5 points, and the margin is 2
    assert isinstance(answer.exception, CheckFailedError)
    assert "binary accuracy" in str(answer.exception)
    told = json.loads(answer.stdout)
    assert told == json.loads((root / "gates" / "1.json").read_text())
    assert (told["passed"], told["figures"]["recent_videos"]) == (False, 16.0)
