"""The KuaiMod benchmark through a judge: the row by hand, cases without an answer, and a run that goes on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from contracts.cases import DecidedCase
from contracts.errors import BadInputError, DependencyError
from contracts.reasoning import enveloped
from contracts.taxonomy import Category, Group
from policy.benchmark.by_judge import CaseOpinion, evenly, judged_table
from policy.benchmark.columns import judge_columns
from policy.commands.scoring import benchmark
from simulation.uploads import Simulation, write_uploads
from tests.policy.kuaimod_cases import made_up_case, made_up_cases
from tests.policy.reasoning.gullible import judge_on_loopback

STATES = "<content>a</content><analysis>b</analysis><check>undecided</check><feedback>c</feedback><summary>d</summary>"


def opinion(category: Category | None, usable: int = 3) -> CaseOpinion:
    return CaseOpinion(category=category, asked=3, usable=usable, unparsed={"why": 3 - usable} if usable < 3 else {})


def sees_prizes(messages: list[dict[str, Any]]) -> str:
    """False benefits where there is a prize, no answer where there is dancing, else positive."""
    text = messages[1]["content"][-1]["text"]
    if "热舞" in text or "美腿" in text:
        return "I would rather not say."
    return enveloped(STATES, "false_benefits" if "领" in text or "提现" in text else "positive")


def write_cases(path: Path, cases: list[DecidedCase]) -> Path:
    path.write_text("".join(case.model_dump_json() + "\n" for case in cases), encoding="utf-8")
    return path


def run(*words: Any) -> Result:
    return CliRunner().invoke(benchmark, ["kuaimod", *map(str, words)], catch_exceptions=False)


def test_a_case_without_an_answer_is_wrong_and_missed_and_in_no_precision() -> None:
    labels = np.array([Category.POSITIVE.position] * 3 + [Category.SEXUAL_CONTENT.position] * 3)
    violative = np.array([False, False, True, True, False, False])
    answered = np.array([True, False, True, True, True, False])
    columns = judge_columns(labels, violative, answered)
    assert columns.accuracy == pytest.approx(2 / 6)
    assert columns.positive_precision == pytest.approx(1 / 2)
    assert columns.positive_recall == pytest.approx(1 / 3)
    assert columns.violative_precision == pytest.approx(1 / 2)
    assert columns.violative_recall == pytest.approx(1 / 3)
    assert columns.recall_by_group[Group.CONTENT_ETHICS] == pytest.approx(1 / 3)


def test_the_table_of_five_opinions_by_hand() -> None:
    cases = [made_up_case(i, Category.POSITIVE) for i in range(3)] + [
        made_up_case(i, Category.FALSE_BENEFITS) for i in (3, 4)
    ]
    said = [
        opinion(Category.POSITIVE),
        opinion(Category.PLAGIARISM),
        opinion(None, usable=0),
        opinion(Category.SEXUAL_CONTENT, usable=2),
        opinion(None),
    ]
    lines = judged_table(cases, said, name="judge m").splitlines()
    row = next(line for line in lines if line.startswith("judge m"))
    # Right: the first, and the fourth, violative whatever its category.
    assert row.split()[2:7] == ["0.400", "1.000", "0.333", "0.500", "0.500"]
    text = "\n".join(lines)
    assert "2 of 5 cases have no answer (1 where nothing said was of the form, the others without a majority)" in text
    assert "as the published script reads the predictions: 0.667" in text
    assert "4 of 15 answers were not of the form\n       4  why" in text
    assert "no picture" in text


def test_the_command_asks_the_judge_and_writes_the_published_format(tmp_path: Path) -> None:
    cases, out = write_cases(tmp_path / "cases.jsonl", made_up_cases(9)), tmp_path / "out.jsonl"
    with judge_on_loopback(sees_prizes) as judge:
        done = run("--judge", judge.url, "--model", "m", "--cases", cases, "--votes", 3, "--predictions", out)
        assert len(judge.asked) == 27
        assert {body["model"] for body in judge.asked} == {"m"}
        assert "Viewers:" not in judge.asked[0]["messages"][1]["content"][-1]["text"]
        row = next(line for line in done.output.splitlines() if line.startswith("judge m, votes: 3"))
        # Three positive and three of false benefits are right, three of sexual content have no answer.
        assert row.split()[4:9] == ["0.667", "1.000", "1.000", "1.000", "0.500"]
        assert "9 of 27 answers were not of the form" in done.output
        written = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        assert [line["judgement"] for line in written] == ["正向", "", "虚假承诺福利"] * 3
        assert [line["tag"] for line in written] == ["正向", "色情低俗", "虚假承诺福利"] * 3
        judge.asked.clear()
        again = run("--judge", judge.url, "--model", "m", "--cases", cases, "--votes", 3, "--predictions", out)
        assert (again.output, judge.asked) == (done.output, [])


def test_a_judge_that_goes_away_is_a_dependency_and_what_it_said_is_kept(tmp_path: Path) -> None:
    cases, out = write_cases(tmp_path / "cases.jsonl", made_up_cases(9)), tmp_path / "out.jsonl"
    with judge_on_loopback(sees_prizes) as judge:
        words = ("--judge", judge.url, "--cases", cases, "--votes", 1, "--predictions", out, "--timeout", 1)
        said = 0

        def four_times(messages: list[dict[str, Any]]) -> str:
            nonlocal said
            said += 1
            if said == 4:
                judge.failures, judge.retry_after = [503] * 99, "60"
            return sees_prizes(messages)

        judge.answer = four_times
        with pytest.raises(DependencyError, match="answers 503"):
            run(*words, "--parallel", 1)
        judge.failures, judge.answer = [], sees_prizes
        judge.asked.clear()
        run(*words)
        assert len(judge.asked) == 5, "four of nine were answered before"


def test_cases_whose_clips_are_there_are_shown_by_their_frames(tmp_path: Path) -> None:
    write_uploads(tmp_path, Simulation(2, 3, as_cases=True), workers=1)
    with judge_on_loopback(sees_prizes) as judge:
        done = run("--judge", judge.url, "--cases", tmp_path / "cases.jsonl", "--votes", 1)
        for body in judge.asked:
            *pictures, words = body["messages"][1]["content"]
            assert [part["image_url"]["url"][:22] for part in pictures] == ["data:image/png;base64,"] * 8
            assert words["text"].startswith("The video's frames are above.")
    assert "pictures of 2 cases" in done.output


def test_at_most_takes_cases_from_all_over_the_file() -> None:
    cases = made_up_cases(10)
    assert [case.case_id for case in evenly(cases, 4)] == ["case-0", "case-2", "case-5", "case-7"]
    assert evenly(cases, 10) == evenly(cases, None) == evenly(cases, 99) == cases


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--release, --judge, --cross-validate and --leave-out: give one of them"),
        (["--judge", "http://127.0.0.1:1/v1", "--cross-validate", "5"], "give one of them"),
        (["--cross-validate", "5", "--votes", "3"], "--votes goes with --judge"),
        (["--leave-out", "--at-most", "3"], "--at-most goes with --judge"),
        (["--leave-out", "--predictions", "out"], "--predictions goes with --release or --judge"),
        (["--judge", "nowhere"], "must be http"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, words: list[str], said: str) -> None:
    cases = write_cases(tmp_path / "cases.jsonl", made_up_cases(3))
    with pytest.raises(BadInputError, match=said):
        run("--cases", cases, *words)


def test_a_judge_is_measured_without_anything_that_only_training_needs() -> None:
    modules = "policy.benchmark.by_judge, policy.benchmark.injected, policy.benchmark.reward, policy.reasoning.pairwise"
    heavy = "torch", "transformers", "trl", "datasets", "sklearn"
    source = f"import sys, {modules}\nprint([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
