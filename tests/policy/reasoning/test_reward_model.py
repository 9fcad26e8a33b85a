"""From reasoned cases to a reward model: pairs as files, a teacher's judgements paid once, SFT, RL on the hard ones."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from contracts.errors import BadInputError
from contracts.preferences import PreferenceRow, read_preferences
from contracts.reasoning import enveloped
from policy.casebook import Evidence
from policy.commands.vlm import vlm
from policy.reasoning.endpoint import Endpoint
from policy.reasoning.evaluation import evaluate
from policy.reasoning.models.checkpoint import read_record, weights_digest
from policy.reasoning.models.tiny import build_tiny
from policy.reasoning.pairwise import CLOSING, OPENING
from policy.reasoning.question import Budget
from policy.reasoning.reward_model import judge_rows, make_reward_model, write_pairs
from policy.reasoning.rows import Row, texts_of
from policy.reasoning.teaching.account import Limits
from policy.reasoning.teaching.judgements import JudgementReport, judge_pairs, questions_of, read_judgements
from policy.reasoning.teaching.plan import TeachingSettings
from policy.reasoning.training.consistency import WordsJudge
from streams.painted import usual_videos
from tests.policy.reasoning.gullible import Answer, Judge, judge_on_loopback
from tests.policy.reasoning.models.conftest import SHAPE, SMALL
from tests.policy.reasoning.test_recipe import SHORT

BUDGET = Budget(frames=1, chars=20)
SETTINGS = TeachingSettings(parallel=2)


@pytest.fixture
def evidence() -> list[Evidence]:
    return [one.evidence for one in usual_videos(30, 3, SHAPE)]


@pytest.fixture
def folder(evidence: list[Evidence], tmp_path: Path) -> Path:
    assert write_pairs(evidence, tmp_path / "pairs", BUDGET) == 30
    return tmp_path / "pairs"


def pairs_of(folder: Path) -> list[PreferenceRow]:
    return list(read_preferences(folder / "pairs.jsonl"))


def answering(folder: Path, right_at: dict[int, int]) -> Answer:
    """A teacher that is right of the pair of each line at the given try, 0 for never; at once where nothing is said."""
    chosen = {row.pair.chosen + row.pair.prompt: (row.number, row.pair) for row in pairs_of(folder)}
    asked = Counter[str]()

    def answer(messages: list[dict[str, Any]]) -> str:
        text = messages[1]["content"][-1]["text"]
        data = json.loads(text.split(f"{OPENING}\n")[1].split(f"\n{CLOSING}")[0])
        asked[text] += 1
        first = data["response_1"] + data["request"] in chosen
        number, _ = chosen[data["response_1" if first else "response_2"] + data["request"]]
        right, at = "1" if first else "2", right_at.get(number, 1)
        wrong = "2" if first else "1"
        return enveloped("I looked at both", right if at and asked[text] >= at else wrong)

    return answer


def taught(judge: Judge, folder: Path, out: Path, settings: TeachingSettings = SETTINGS) -> JudgementReport:
    endpoint = Endpoint(judge.url, timeout_s=5.0, patience_s=1.0)
    return judge_pairs(folder / "pairs.jsonl", pairs_of(folder), endpoint, out, settings, images=folder)


def test_a_teacher_is_asked_until_it_is_right_and_how_hard_it_was_is_kept(folder: Path, tmp_path: Path) -> None:
    with judge_on_loopback(answering(folder, {2: 2, 3: 3, 4: 0})) as judge:
        report = taught(judge, folder, tmp_path / "judged")
        assert (report.asked, report.easy, report.hard, report.failed, report.left) == (60, 54, 4, 2, 0)
        # a try for each easy one, 2 and 3 for the hard ones, 3 for those that are never right
        assert len(judge.asked) == report.spent.answers == 54 + 2 * (2 + 3) + 2 * 3
        assert taught(judge, folder, tmp_path / "judged") == report
        assert len(judge.asked) == 70, "nothing is paid twice"
    judged = read_judgements(tmp_path / "judged", folder / "pairs.jsonl", pictures=True)
    assert {one.tries for name, one in judged.items() if name.startswith("pair-3.")} == {3}
    assert [judged[f"pair-4.{place}"].completion for place in (1, 2)] == ["", ""]
    assert judged["pair-4.1"].unusable == {"the other response is preferred": 3}
    assert {name.partition(".")[0] for name, one in judged.items() if one.hard} == {"pair-2", "pair-3", "pair-4"}
    with judge_on_loopback() as judge, pytest.raises(BadInputError, match="a run goes on as it began"):
        taught(judge, folder, tmp_path / "judged", replace(SETTINGS, tries=2))


def test_a_budget_ends_the_asking_and_more_of_it_goes_on(folder: Path, tmp_path: Path) -> None:
    with judge_on_loopback(answering(folder, {})) as judge:
        with pytest.raises(BadInputError, match="does not say how many tokens it used"):
            taught(judge, folder, tmp_path / "judged", replace(SETTINGS, limits=Limits(tokens=5)))
        done = taught(judge, folder, tmp_path / "judged")
    assert (done.easy, done.left) == (60, 0)


def test_a_pair_that_the_endpoint_refuses_is_counted_and_the_others_go_on(folder: Path, tmp_path: Path) -> None:
    with judge_on_loopback(answering(folder, {})) as judge:
        judge.failures = [413]
        report = taught(judge, folder, tmp_path / "judged", replace(SETTINGS, parallel=1))
    assert report.easy == 59
    assert list(report.refused.values()) == [1]
    assert next(iter(report.refused)).startswith("answers 413")


def test_both_orders_are_questions_and_pictures_travel(folder: Path) -> None:
    pairs = pairs_of(folder)
    questions = questions_of(pairs)
    assert [one.row_id for one in questions[:4]] == ["pair-1.1", "pair-1.2", "pair-2.1", "pair-2.2"]
    assert (questions[0].first, questions[1].second) == (pairs[0].pair.chosen, pairs[0].pair.chosen)
    assert (folder / str(pairs[0].pair.video) / "0.png").is_file()


def test_the_cold_start_learns_from_what_was_right_and_rl_from_what_was_hard(folder: Path, tmp_path: Path) -> None:
    hard = dict.fromkeys(range(1, 13), 2)
    with judge_on_loopback(answering(folder, hard)) as judge:
        taught(judge, folder, tmp_path / "judged")
    judged = read_judgements(tmp_path / "judged", folder / "pairs.jsonl", pictures=True)
    rows = judge_rows(pairs_of(folder), judged, folder)
    assert len(rows) == 60
    assert [picture.shape for picture in rows[0].pictures] == [(64, 64, 3)]
    build_tiny(tmp_path / "built", texts_of(rows), sizes=SMALL, seed=1)
    told: list[str] = []
    recipe = replace(SHORT, held_out=0.2)
    made = make_reward_model(
        pairs_of(folder),
        judged,
        tmp_path / "rm",
        recipe,
        images=folder,
        start=tmp_path / "built",
        judge=WordsJudge(),
        tick=told.append,
    )
    assert [one.stage for one in made] == ["sft", "rl"]
    record = read_record(made[-1].folder)
    assert record is not None
    assert record.parent == weights_digest(made[0].folder)
    assert any(line.startswith("cold start on ") and "were hard for the teacher" in line for line in told)
    assert any(line.startswith("rl: ") and "rows, 2 steps" in line for line in told)
    assert made[0].evaluation.tag.n % 2 == 0, "a pair is held out in both orders"


def test_a_teacher_that_was_right_of_nothing_starts_nothing(folder: Path, tmp_path: Path) -> None:
    with judge_on_loopback(lambda _: "so it is") as judge:
        report = taught(judge, folder, tmp_path / "judged", replace(SETTINGS, tries=1))
    assert report.failed == 60
    judged = read_judgements(tmp_path / "judged", folder / "pairs.jsonl", pictures=True)
    with pytest.raises(BadInputError, match="the teacher judged none of them rightly"):
        make_reward_model(pairs_of(folder), judged, tmp_path / "rm", SHORT)


def test_judgements_of_other_pairs_or_of_other_pictures_teach_nothing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="is missing, `precedent vlm teach-pairs` writes it"):
        read_judgements(tmp_path, folder / "pairs.jsonl", pictures=True)
    with judge_on_loopback(answering(folder, {})) as judge:
        taught(judge, folder, tmp_path / "judged")
    with pytest.raises(BadInputError, match="was judged with pictures, must be as now"):
        read_judgements(tmp_path / "judged", folder / "pairs.jsonl", pictures=False)
    lines = (folder / "pairs.jsonl").read_text().splitlines(keepends=True)
    (folder / "pairs.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(BadInputError, match=r"pairs.jsonl: digest is sha256:.*, .* judged sha256:"):
        read_judgements(tmp_path / "judged", folder / "pairs.jsonl", pictures=True)


def test_preferences_are_evaluated_by_the_place_of_the_better_response() -> None:
    rows = [Row(f"pair-1.{place}", "preference", [], [], "", place) for place in ("1", "2")]
    found = evaluate(rows, [[enveloped("both", "1")] * 2, [enveloped("both", "1"), "so it is"]])
    assert (found.tag.hits, found.binary.hits, found.form.hits, found.form.n) == (1, 1, 3, 4)


def test_the_commands_go_from_cases_to_judgements(evidence: list[Evidence], tmp_path: Path) -> None:
    cases = tmp_path / "cases.jsonl"
    cases.write_text("".join(f"{one.case.model_dump_json()}\n" for one in evidence))
    run = CliRunner()
    made = run.invoke(vlm, ["pairs", "--cases", str(cases), "--out", str(tmp_path / "pairs")], catch_exceptions=False)
    assert made.output.startswith("30 pairs of 30 cases in ")
    again = run.invoke(vlm, ["pairs", "--cases", str(cases), "--out", str(tmp_path / "pairs")])
    assert "is there already, must be a new folder" in str(again.exception)
    pairs_path = tmp_path / "pairs" / "pairs.jsonl"
    with judge_on_loopback(answering(tmp_path / "pairs", {1: 0})) as judge:
        asked = run.invoke(
            vlm,
            ["teach-pairs", "--pairs", str(pairs_path), "--out", str(tmp_path / "judged"), "--teacher", judge.url],
            catch_exceptions=False,
        )
    assert "60 questions: 58 right at once, 0 at a later try, 2 never, 0 refused, 0 left for later" in asked.output
