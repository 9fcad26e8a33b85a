"""A night of the tiny VLM over a real refresh folder: asked, post-trained, gated, seated, and nothing twice."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from contracts.errors import BadInputError, CheckFailedError
from policy.commands.vlm import vlm
from policy.kept import read_whole, write_whole
from policy.reasoning.models.checkpoint import read_record, weights_digest
from policy.reasoning.question import Budget
from policy.reasoning.refinement.gate import VlmGateResult, VlmLimits
from policy.reasoning.refinement.nightly import VlmNight, gate_tonight, promote_tonight, refine_tonight, rows_to_learn
from policy.reasoning.refinement.refine import REFINED, Refined, Replay, refine
from policy.reasoning.refinement.seat import deployed, read_moves, read_seat, take_seat
from policy.reasoning.rows import Row
from policy.reasoning.training.consistency import WordsJudge
from policy.refresh import steps
from policy.refresh.run import RefreshRun
from tests.policy.docket.cases import NOW
from tests.policy.reasoning.models.conftest import built, rows
from tests.policy.reasoning.test_recipe import SHORT
from tests.policy.refresh.test_steps import docket_of, run, spoken

__all__ = ["built", "rows", "run"]
GATE = VlmGateResult(
    passed=True, refusals=(), judged_at=NOW, candidate="sha256:" + 64 * "0", parent="sha256:" + 64 * "1", figures={}
)


@pytest.fixture
def night(run: RefreshRun, built: Path, tmp_path: Path) -> VlmNight:
    steps.collect(run, docket_of(run))
    root = tmp_path / "vlm-root"
    take_seat(root, built, None, now=NOW)
    few = VlmLimits(fewest_golden=10)
    return VlmNight(
        run, root, replace(SHORT, budget=Budget(1, 40)), Replay(older=1, emphasis=2), few, golden_at_most=20
    )


def test_a_night_goes_from_rulings_to_a_seat_by_its_gate_and_does_nothing_twice(night: VlmNight, built: Path) -> None:
    refined = refine_tonight(night, judge=WordsJudge())
    assert refined is not None
    assert refined.parent == weights_digest(built)
    assert refined.asked == len(refined.wrong), "a VLM that was never trained gets everything wrong"
    assert refined.candidate == str(night.out / "rl")
    assert 0 < refined.replayed <= refined.asked
    record = read_record(Path(refined.candidate))
    assert record is not None
    assert record.parent == weights_digest(night.out / "dpo")
    result = gate_tonight(night, now=NOW)
    assert (result.candidate, result.parent) == (weights_digest(Path(refined.candidate)), refined.parent)
    assert result.figures["golden cases"] == 20.0
    assert result.figures["the day's wrong cases"] == len(refined.wrong)
    assert not result.passed, "two steps of a tiny VLM teach nothing"
    with pytest.raises(CheckFailedError, match=r"the gate refused it: .*nothing was learned"):
        promote_tonight(night, now=NOW)
    files = {
        path: path.stat().st_mtime_ns for path in night.out.rglob("*") if path.is_file() and path.suffix != ".html"
    }
    assert refine_tonight(night, judge=WordsJudge()) == refined
    assert gate_tonight(night, now=NOW) == result
    again = {path: path.stat().st_mtime_ns for path in files}
    assert {path for path in files if files[path] != again[path]} <= {night.out / REFINED}

    passed = result.model_copy(update={"passed": True, "refusals": ()})
    write_whole(night.out / "gate.json", passed)
    seat = promote_tonight(night, now=NOW)
    assert (seat.weights, seat.before) == (result.candidate, str(built.resolve()))
    assert promote_tonight(night, now=NOW) == seat
    assert [one.weights for one in read_moves(night.root)] == [refined.parent, result.candidate]
    assert deployed(night.root) == Path(refined.candidate).resolve()
    assert refine_tonight(night, judge=WordsJudge()) == refined, "a night that is over stays what it was"


def test_a_vlm_of_which_every_answer_is_right_learns_nothing(
    rows: list[Row], built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = {row.row_id: row.completion for row in rows}
    monkeypatch.setattr(
        "policy.reasoning.refinement.refine.sample", lambda _m, _p, some, **_: [[right[row.row_id]] for row in some]
    )
    told: list[str] = []
    refined = refine(built, rows[:20], rows[20:], tmp_path / "out", SHORT, tick=told.append)
    assert (refined.wrong, refined.candidate) == ((), None)
    assert told[-1].endswith("every answer is right, there is nothing to learn")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [REFINED]


def test_a_refinement_goes_on_with_its_own_parent_and_rows_alone(rows: list[Row], built: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    begun = Refined(
        parent="sha256:" + 64 * "0", data="sha256:" + 64 * "0", asked=1, wrong=(), replayed=0, candidate=None
    )
    write_whole(out / REFINED, begun)
    with pytest.raises(BadInputError, match=rf"{REFINED}: parent == sha256:.*, must be sha256:000.* as it began"):
        refine(built, rows[:20], rows[20:], out, SHORT)
    write_whole(out / REFINED, begun.model_copy(update={"parent": weights_digest(built)}))
    with pytest.raises(BadInputError, match=rf"{REFINED}: data == sha256:.*, must be sha256:000.* as it began"):
        refine(built, rows[:20], rows[20:], out, SHORT)
    assert read_whole(out / REFINED, Refined).wrong == ()


def test_rulings_that_are_not_reasoned_by_states_are_learned_from_by_their_category() -> None:
    evidence = spoken(6, 11)
    plain = [replace(item, case=item.case.model_copy(update={"reasoning": "it is bad"})) for item in evidence[:3]]
    found = rows_to_learn([*plain, *evidence[3:]], Budget(1, 40))
    assert [row.row_id for row in found] == [item.case.case_id for item in evidence]
    assert [bool(row.completion) for row in found] == [False] * 3 + [True] * 3
    assert [row.solution for row in found] == [item.case.category.value for item in evidence]


def test_the_replay_holds_as_many_of_each_answer_as_may_be_and_is_always_the_same(rows: list[Row]) -> None:
    from policy.reasoning.refinement.refine import _replayed

    chosen = _replayed(rows, 8)
    assert [row.row_id for row in chosen] == [row.row_id for row in _replayed(list(reversed(rows)), 8)]
    answers = Counter(row.solution for row in rows)
    assert len({row.solution for row in chosen}) == min(8, len(answers))


def test_no_vlm_takes_the_seat_of_another_without_a_gate_that_judged_these_two(
    built: Path, tmp_path: Path, rows: list[Row]
) -> None:
    from policy.reasoning.models.tiny import build_tiny
    from policy.reasoning.rows import texts_of
    from tests.policy.reasoning.models.conftest import SMALL

    other, root = tmp_path / "other", tmp_path / "root"
    build_tiny(other, texts_of(rows), sizes=SMALL, seed=2)
    with pytest.raises(BadInputError, match="no VLM is deployed there"):
        deployed(root)
    first = take_seat(root, built, None, now=NOW)
    assert take_seat(root, built, None, now=NOW) == first
    for gated in (None, GATE):
        with pytest.raises(CheckFailedError, match="the gate was not asked about it against"):
            take_seat(root, other, gated, now=NOW)
    judged = GATE.model_copy(update={"candidate": weights_digest(other), "parent": first.weights})
    refused = judged.model_copy(update={"passed": False, "refusals": ("tag fell",)})
    with pytest.raises(CheckFailedError, match="the gate refused it: tag fell"):
        take_seat(root, other, refused, now=NOW)
    assert read_seat(root) == first
    assert take_seat(root, other, judged, now=NOW).before == first.checkpoint
    (other / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(BadInputError, match=r"other: weights == .*, .*live.json says"):
        read_seat(root)


def test_the_commands_deploy_refine_and_tell_what_came_of_it(night: VlmNight, built: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    root = tmp_path / "by-command"
    deployed_one = runner.invoke(vlm, ["deploy", str(built), "--vlm", str(root)])
    assert deployed_one.exit_code == 0, deployed_one.output
    assert "rules since" in deployed_one.output
    none = runner.invoke(vlm, ["refine", "--run", str(night.run.home), "--vlm", str(tmp_path / "nobody")])
    assert none.exit_code == 0, none.output
    assert none.output.startswith("refine: no VLM is deployed in")
    early = runner.invoke(vlm, ["refine", "--run", str(night.run.home), "--vlm", str(root), "--step", "gate"])
    assert "is missing, its step has not run" in str(early.exception)
    assert json.loads((root / "live.json").read_text())["before"] is None
