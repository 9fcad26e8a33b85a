"""From decided cases to a release: what judges never taught, and what is written can be read again."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from contracts.cases import DecidedCase
from contracts.errors import BadInputError
from contracts.taxonomy import Category
from contracts.verdicts import Verdict
from policy.casebook import Evidence, choose_precedents, read_precedents
from policy.commands.policy import policy as policy_command
from policy.commands.scoring import benchmark, score
from policy.evidence import digest_of_cases, read_cases, read_taught
from policy.score import read_uploads
from policy.train import run_student, train
from serving.casebook import search
from serving.in_process import InProcessScorer
from serving.preprocess.batch import preprocess
from serving.releases import open_release
from simulation.uploads import text_uploads
from tests.policy.conftest import SETTINGS, Trained


def test_a_release_says_where_it_comes_from_and_verifies(trained: Trained) -> None:
    folder = open_release(trained.release)
    assert folder.release.version == 1
    assert folder.release.parent is None
    assert folder.release.n_cases == len(trained.evidence)
    assert folder.release.trained_on == digest_of_cases([item.case for item in trained.evidence])
    assert folder.release.metrics["judged_cases"] < len(trained.evidence)


def test_the_released_models_say_what_torch_and_numpy_said(trained: Trained) -> None:
    folder = open_release(trained.release)
    some = trained.evidence[:20]
    inputs = preprocess([i.case.upload for i in some], [i.frames for i in some], folder.release.inputs)
    scorer = InProcessScorer({folder.pin: (folder.student, folder.casebook)})
    scores = asyncio.run(scorer.score(inputs, folder.pin))
    classifier, embedding = run_student(trained.policy.student, inputs)
    oracle = search(trained.policy.casebook, embedding, classifier)
    assert np.abs(scores.classifier - classifier).max() < 1e-4
    assert np.abs(scores.probabilities - oracle.probabilities).max() < 1e-4
    assert scores.cited_ids.tolist() == oracle.cited_ids.tolist()


def test_a_precedent_keeps_the_inputs_it_was_decided_on(trained: Trained) -> None:
    kept = {item.case.case_id: item for item in read_precedents(trained.release / "casebook.parquet")}
    assert set(kept) == set(trained.policy.casebook.case_ids)
    assert len(kept) == SETTINGS.precedents_at_most
    for original in trained.evidence:
        if (found := kept.get(original.case.case_id)) is not None:
            assert found.case == original.case
            assert original.frames is not None
            assert found.frames is not None
            assert found.frames.tolist() == original.frames.tolist()


def test_the_same_seed_trains_the_same_policy() -> None:
    rng = np.random.default_rng(0)
    cases = _spoken_cases(rng, 60)
    one, two = (train(cases, settings=replace(SETTINGS, fused=False), seed=4) for _ in range(2))
    assert one.metrics == two.metrics
    assert one.casebook.case_ids == two.casebook.case_ids


def test_cases_of_one_category_cannot_teach() -> None:
    cases = [c for c in _spoken_cases(np.random.default_rng(0), 30) if c.case.category is Category.POSITIVE]
    with pytest.raises(BadInputError, match="cases of one category, training needs at least two"):
        train(cases, settings=SETTINGS, seed=0)


def test_a_sample_of_precedents_keeps_the_rarest_category_whole() -> None:
    rng = np.random.default_rng(0)
    cases = [item.case for item in _spoken_cases(rng, 200)]
    rare = [
        c.model_copy(update={"category": Category.PLAGIARISM, "case_id": f"rare-{i}"}) for i, c in enumerate(cases[:3])
    ]
    chosen = choose_precedents([*cases, *rare], at_most=30, rng=rng)
    assert len(chosen) == len(set(chosen.tolist())) == 30
    assert {200, 201, 202} <= set(chosen.tolist())


def test_violative_cases_alone_cannot_teach_what_is_positive() -> None:
    cases = [c for c in _spoken_cases(np.random.default_rng(0), 60) if c.case.category is not Category.POSITIVE]
    other = Evidence(cases[0].case.model_copy(update={"case_id": "other", "category": Category.PLAGIARISM}), None)
    with pytest.raises(BadInputError, match=f"{len(cases) + 1} cases, 0 positive, training needs"):
        train([*cases, other], settings=SETTINGS, seed=0)


def test_a_release_may_not_be_judged_by_a_case_that_taught_it_without_being_a_precedent(trained: Trained) -> None:
    known = set(trained.policy.casebook.case_ids)
    case = next(item.case for item in trained.evidence if item.case.case_id not in known)
    path = trained.folder / "one.jsonl"
    path.write_text(case.model_dump_json() + "\n")
    result = CliRunner().invoke(benchmark, ["kuaimod", "--release", str(trained.release), "--cases", str(path)])
    assert isinstance(result.exception, BadInputError)
    assert f"case {case.case_id} and 0 more of 1 were taught to Precedent, release 1" in str(result.exception)


def test_a_release_that_does_not_say_what_taught_it_cannot_be_benchmarked(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="does not say what the release was trained on"):
        read_taught(tmp_path / "taught.parquet")


def test_score_prints_a_verdict_for_each_upload_and_media_file(trained: Trained) -> None:
    clip = next((trained.folder / "clips" / "media").iterdir())
    uploads = trained.folder / "clips" / "uploads.jsonl"
    result = CliRunner().invoke(score, ["--release", str(trained.release), str(uploads), str(clip)])
    assert result.exit_code == 0, result.output
    verdicts = [Verdict.model_validate_json(line) for line in result.stdout.splitlines()]
    expected = [*[item.case.upload.video_id for item in trained.evidence], next(read_uploads([clip])).video_id]
    assert [verdict.video_id for verdict in verdicts] == expected
    assert verdicts[-1].missing == ("title", "ocr", "asr", "feedback")
    # a case of the casebook finds itself, or its like, among the precedents
    cited = {citation.case_id for verdict in verdicts for citation in verdict.citations}
    assert cited <= set(trained.policy.casebook.case_ids)
    assert cited


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cases.jsonl", "", "is empty, must hold at least one case"),
        ("cases.jsonl", '{"case_id": "c1"}\n', "cases.jsonl:1: upload: Field required"),
        ("cases.jsonl", "not json\n", "cases.jsonl:1: record: Invalid JSON"),
    ],
)
def test_bad_cases_are_named_by_file_line_and_rule(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(BadInputError, match=message):
        read_cases(path)


def test_a_case_that_stands_twice_is_refused(trained: Trained, tmp_path: Path) -> None:
    line = trained.evidence[0].case.model_dump_json() + "\n"
    (tmp_path / "cases.jsonl").write_text(line * 2)
    with pytest.raises(BadInputError, match="stands twice, must be unique"):
        read_cases(tmp_path / "cases.jsonl")


def test_files_that_cannot_be_scored_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(BadInputError, match=r"notes\.txt: ends in '\.txt', must be one of \.jsonl"):
        list(read_uploads([tmp_path / "notes.txt"]))
    with pytest.raises(BadInputError, match=r"gone\.mp4: is not a file"):
        list(read_uploads([tmp_path / "gone.mp4"]))
    (tmp_path / "list.jsonl").write_text("[1]\n")
    with pytest.raises(BadInputError, match=r"list\.jsonl:1: is list, must be an object"):
        list(read_uploads([tmp_path / "list.jsonl"]))


def test_train_refuses_to_write_a_release_again(trained: Trained) -> None:
    cases = str(trained.folder / "clips" / "cases.jsonl")
    result = CliRunner().invoke(policy_command, ["train", "--cases", cases, "--out", str(trained.release)])
    assert isinstance(result.exception, BadInputError)
    assert "exists, a release is never written again" in str(result.exception)


def test_promote_moves_the_pointer(trained: Trained, tmp_path: Path) -> None:
    result = CliRunner().invoke(policy_command, ["promote", str(trained.release), "--releases", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["live"] == {"release_version": 1, "casebook_version": 1}


def _spoken_cases(rng: np.random.Generator, n: int) -> list[Evidence]:
    categories = [Category.POSITIVE, Category.SEXUAL_CONTENT, Category.HYPE_SELLING]
    return [
        Evidence(
            DecidedCase(
                case_id=f"case-{number}",
                upload=upload,
                category=categories[int(rng.integers(3))],
                decided_at=upload.occurred_at,
            ),
            None,
        )
        for number, upload in enumerate(text_uploads(n, seed=1))
    ]
