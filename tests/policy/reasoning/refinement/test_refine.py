"""A night of the tiny VLM over a real refresh folder: asked, post-trained, gated, seated, and nothing twice."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from contracts.errors import BadInputError, CheckFailedError
from contracts.taxonomy import Category
from policy.commands.vlm import vlm
from policy.kept import write_whole
from policy.reasoning.models.checkpoint import read_record, weights_digest
from policy.reasoning.question import Budget
from policy.reasoning.recipe import split
from policy.reasoning.refinement.gate import VlmLimits
from policy.reasoning.refinement.nightly import VlmNight, gate_tonight, promote_tonight, refine_tonight, rows_to_learn
from policy.reasoning.refinement.refine import ASKED, REFINED, Questions, Replay, refine, replayed
from policy.reasoning.refinement.seat import deployed, read_moves, read_seat, roll_back, take_seat
from policy.reasoning.rows import Row
from policy.reasoning.training.consistency import WordsJudge
from policy.refresh import steps
from policy.refresh.run import Plan, RefreshRun
from policy.refresh.snapshots import read_snapshot, write_snapshot
from tests.policy.docket.cases import NOW, VLM, ruling
from tests.policy.reasoning.models.conftest import built, rows
from tests.policy.reasoning.test_recipe import SHORT
from tests.policy.refresh.test_steps import N_NEW, docket_of, on_docket, run, spoken

__all__ = ["built", "rows", "run"]


def night_of(run: RefreshRun, root: Path) -> VlmNight:
    few = VlmLimits(fewest_golden=10)
    return VlmNight(
        run, root, replace(SHORT, budget=Budget(1, 40)), Replay(older=1, emphasis=2), few, golden_at_most=20
    )


@pytest.fixture
def night(run: RefreshRun, built: Path, tmp_path: Path) -> VlmNight:
    steps.collect(run, docket_of(run))
    root = tmp_path / "vlm-root"
    take_seat(root, built, None, now=NOW)
    return night_of(run, root)


def test_a_night_goes_from_rulings_to_a_seat_by_its_gate_and_does_nothing_twice(night: VlmNight, built: Path) -> None:
    refined = refine_tonight(night, judge=WordsJudge())
    assert refined is not None
    assert refined.parent == weights_digest(built)
    assert refined.asked == len(refined.wrong), "a VLM that was never trained gets everything wrong"
    assert refined.candidate == str(night.out / "rl")
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
    files = {path: path.stat().st_mtime_ns for path in night.out.rglob("*") if path.is_file()}
    assert refine_tonight(night, judge=WordsJudge()) == refined
    assert gate_tonight(night, now=NOW) == result
    again = {path for path, when in files.items() if path.stat().st_mtime_ns != when}
    assert again <= {night.out / REFINED, night.out / "recipe.html"}
    stricter = replace(night, limits=VlmLimits(fewest_golden=30))
    assert gate_tonight(stricter, now=NOW).refusals[0].startswith("20 golden cases, at least 30"), "asked anew"

    write_whole(night.out / "gate.json", result.model_copy(update={"passed": True, "refusals": ()}))
    seat = promote_tonight(night, now=NOW)
    assert (seat.weights, seat.before) == (result.candidate, weights_digest(built))
    assert promote_tonight(night, now=NOW) == seat
    assert [one.weights for one in read_moves(night.root)] == [refined.parent, result.candidate]
    assert weights_digest(deployed(night.root)) == result.candidate
    assert refine_tonight(night, judge=WordsJudge()) == refined, "a night that is over stays what it was"
    assert roll_back(night.root, now=NOW).weights == refined.parent
    assert weights_digest(deployed(night.root)) == refined.parent
    with pytest.raises(BadInputError, match="no VLM ruled before"):
        roll_back(night.root, now=NOW)


def test_what_a_vlm_ruled_itself_is_not_taught_to_it(night: VlmNight, run: RefreshRun) -> None:
    [item] = spoken(1, 13)
    docket = docket_of(run)
    docket.enter([on_docket(item)], now=NOW)
    docket.rule(ruling(item.case.case_id, Category.PLAGIARISM, VLM, video=item.case.upload.video_id), VLM)
    (run.home / "collect.json").unlink()
    collected = steps.collect(run, docket)
    assert len(read_snapshot(Path(collected.fresh))) == N_NEW + 1
    refined = refine_tonight(night, judge=WordsJudge())
    assert refined is not None
    assert item.case.case_id not in refined.wrong
    assert refined.asked < N_NEW


def test_what_the_student_learned_while_the_vlm_did_not_is_new_to_it_the_next_night(
    night: VlmNight, built: Path, tmp_path: Path
) -> None:
    from policy.reasoning.refinement.nightly import _cases

    old = [item.case for item in read_snapshot(Path(str(night.run.plan.old)))]
    until = sorted(case.decided_at for case in old)[-11]
    root = tmp_path / "another"
    take_seat(root, built, None, now=NOW, learned_until=until)
    new, older = _cases(replace(night, root=root), weights_digest(built))
    assert len(new) == N_NEW + sum(case.decided_at > until for case in old) > N_NEW
    assert len(new) + len(older) == N_NEW + len(old)
    new, older = _cases(night, weights_digest(built))
    assert (len(new), len(older)) == (N_NEW, len(old)), "of one that was deployed by hand nothing is known"


def test_a_golden_case_that_was_ruled_is_no_measure(night: VlmNight, run: RefreshRun, tmp_path: Path) -> None:
    golden, _ = write_snapshot([*spoken(3, 12), *spoken(N_NEW, 11)[:2]], tmp_path / "met")
    other = Plan.model_validate(run.plan.model_dump() | {"golden": str(golden)})
    met = RefreshRun.begin(tmp_path / "met-run", other)
    steps.collect(met, docket_of(met))
    with pytest.raises(BadInputError, match="a benchmark's cases must be unseen"):
        refine_tonight(replace(night, run=met), judge=WordsJudge())


def test_a_vlm_of_which_every_answer_is_right_learns_nothing(
    rows: list[Row], built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = {row.row_id: row.completion for row in rows}
    monkeypatch.setattr(
        "policy.reasoning.refinement.refine.sampled", lambda _c, some, _r, **_: [[right[row.row_id]] for row in some]
    )
    refined = refine(built, rows[:20], rows[20:], tmp_path / "out", SHORT)
    assert (refined.wrong, refined.candidate) == ((), None)
    assert refined.reason.endswith("every answer is right, there is nothing to learn")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {ASKED, REFINED}


def test_rows_that_teach_nothing_make_no_candidate(rows: list[Row], built: Path, tmp_path: Path) -> None:
    bare = [replace(row, completion="") for row in rows]
    taught, held = split(bare, SHORT.held_out)
    # no reasoning to imitate or to prefer, and too few rows for a rollout
    none = refine(built, [*taught[:3], *held[:2]], [], tmp_path / "none", SHORT)
    assert (none.candidate, none.reason) == (None, "9 rows gave no stage anything to learn from")
    few = refine(built, [*taught[:3], *held[:1]], [], tmp_path / "few", SHORT)
    assert (few.candidate, few.reason) == (None, "1 rows are held out, at least 2 say what was learned")


def test_a_refinement_goes_on_with_its_own_parent_and_rows_alone(rows: list[Row], built: Path, tmp_path: Path) -> None:
    out, zeros = tmp_path / "out", "sha256:" + 64 * "0"
    out.mkdir()
    begun = Questions(parent=zeros, data=zeros, asked=1, wrong=(), replayed=())
    write_whole(out / ASKED, begun)
    with pytest.raises(BadInputError, match=rf"{ASKED}: parent == sha256:.*, must be sha256:000.* as it began"):
        refine(built, rows[:20], rows[20:], out, SHORT)
    write_whole(out / ASKED, begun.model_copy(update={"parent": weights_digest(built)}))
    with pytest.raises(BadInputError, match=rf"{ASKED}: data == sha256:.*, must be sha256:000.* as it began"):
        refine(built, rows[:20], rows[20:], out, SHORT)


def test_rulings_that_are_not_reasoned_by_states_are_learned_from_by_their_category() -> None:
    evidence = spoken(6, 11)
    plain = [replace(item, case=item.case.model_copy(update={"reasoning": "it is bad"})) for item in evidence[:3]]
    found = rows_to_learn([*plain, *evidence[3:]], Budget(1, 40))
    assert [row.row_id for row in found] == [item.case.case_id for item in evidence]
    assert [bool(row.completion) for row in found] == [False] * 3 + [True] * 3
    assert [row.solution for row in found] == [item.case.category.value for item in evidence]


def test_the_replay_holds_as_many_of_each_answer_as_may_be_and_is_another_every_night(rows: list[Row]) -> None:
    chosen = replayed(rows, 8, salt="tonight")
    assert [row.row_id for row in chosen] == [row.row_id for row in replayed(rows[::-1], 8, salt="tonight")]
    assert {row.row_id for row in chosen} != {row.row_id for row in replayed(rows, 8, salt="tomorrow")}
    answers = Counter(row.solution for row in rows)
    assert len({row.solution for row in chosen}) == min(8, len(answers))


def test_no_vlm_takes_the_seat_of_another_without_a_gate_that_judged_these_two(
    night: VlmNight, built: Path, tmp_path: Path, rows: list[Row]
) -> None:
    from policy.reasoning.models.tiny import build_tiny
    from policy.reasoning.refinement.gate import VlmGateResult
    from policy.reasoning.rows import texts_of
    from tests.policy.reasoning.models.conftest import SMALL

    other, root, zeros = tmp_path / "other", tmp_path / "seats", "sha256:" + 64 * "0"
    gate = VlmGateResult(
        passed=True, refusals=(), judged_at=NOW, candidate=zeros, parent=zeros, asked=zeros, figures={}
    )
    build_tiny(other, texts_of(rows), sizes=SMALL, seed=2)
    with pytest.raises(BadInputError, match="no VLM is deployed there"):
        deployed(root)
    first = take_seat(root, built, None, now=NOW)
    assert take_seat(root, built, None, now=NOW + timedelta(days=1)) == first
    for gated in (None, gate):
        with pytest.raises(CheckFailedError, match="the gate was not asked about it against"):
            take_seat(root, other, gated, now=NOW)
    judged = gate.model_copy(update={"candidate": weights_digest(other), "parent": first.weights})
    refused = judged.model_copy(update={"passed": False, "refusals": ("tag fell",)})
    with pytest.raises(CheckFailedError, match="the gate refused it: tag fell"):
        take_seat(root, other, refused, now=NOW)
    assert read_seat(root) == first
    assert take_seat(root, other, judged, now=NOW).before == first.weights
    (root / "history.jsonl").write_text((root / "history.jsonl").read_text()[:-30])
    take_seat(root, other, judged, now=NOW)
    assert [one.weights for one in read_moves(root)] == [first.weights, weights_digest(other)], "its half line is whole"
    weights = deployed(root) / "model.safetensors"
    weights.unlink()
    weights.write_bytes(b"other weights")
    with pytest.raises(BadInputError, match=r"weights == .*, .*live.json says"):
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
    back = runner.invoke(vlm, ["rollback", "--vlm", str(root)])
    assert "no VLM ruled before" in str(back.exception)
