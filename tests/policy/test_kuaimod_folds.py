"""Cross-validation: who judges never met the case, rows are paired, and precedents reach a category left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from contracts.cases import DecidedCase
from contracts.errors import BadInputError, CheckFailedError
from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX, Category
from policy.benchmark.cross_validation import (
    Contender,
    Probabilities,
    cross_validate,
    judgement,
    labels_of,
    stratified,
    toxic,
)
from policy.benchmark.kuaimod import LAYOUT, OURS, REFERENCE, WITH_LAYOUT, run_cross_validation
from policy.benchmark.left_out import leave_categories_out, left_out_table, line_of
from policy.benchmark.reference import LayoutFit, TfidfFit
from policy.benchmark.sight import Sight
from policy.benchmark.student_fit import StudentFit
from policy.evidence import read_cases
from tests.policy.kuaimod_cases import made_up_case, made_up_cases

PUBLIC_CASES = Path(__file__).parents[3] / "shared" / "kuaimod_benchmark" / "public_cases.jsonl"


@dataclass(frozen=True)
class KnowsCategories:
    """Finds the categories that it was taught, or was given a precedent of, and no other."""

    known: frozenset[int]
    taught: frozenset[str]
    line: float = 0.5

    def probabilities(self, cases: Sequence[DecidedCase]) -> Probabilities:
        labels = labels_of(cases)
        table = np.zeros((len(cases), N_CATEGORIES))
        table[np.arange(len(cases)), np.where(np.isin(labels, list(self.known)), labels, POSITIVE_INDEX)] = 1.0
        return table

    def with_precedents(self, cases: Sequence[DecidedCase]) -> "KnowsCategories":
        known, taught = labels_of(cases).tolist(), (case.case_id for case in cases)
        return KnowsCategories(self.known | set(known), self.taught | set(taught))

    def refreshed(self, old: Sequence[DecidedCase], new: Sequence[DecidedCase], *, seed: int) -> "KnowsCategories":
        return self.with_precedents(new)


def knows_what_it_was_taught(cases: Sequence[DecidedCase], *, seed: int) -> KnowsCategories:
    return KnowsCategories(frozenset(labels_of(cases).tolist()), frozenset(case.case_id for case in cases))


def never_alarmed(cases: Sequence[DecidedCase], *, seed: int) -> KnowsCategories:
    return KnowsCategories(frozenset(), frozenset())


def test_every_case_is_left_out_once_and_violative_cases_are_spread_evenly() -> None:
    violative = np.arange(50) % 5 < 2
    folds = stratified(violative, 5, seed=3)
    assert np.concatenate([left for _, left in folds]).tolist() != list(range(50))
    assert sorted(np.concatenate([left for _, left in folds]).tolist()) == list(range(50))
    assert [int(violative[left].sum()) for _, left in folds] == [4] * 5
    assert all(not set(taught) & set(left) for taught, left in folds)


def test_contenders_are_compared_on_the_same_cases_by_hand() -> None:
    cases = made_up_cases(30)  # 10 positive, 20 violative
    found = cross_validate(
        cases,
        {
            "knows": Contender(Sight.WORDS, knows_what_it_was_taught),
            "silent": Contender(Sight.WORDS, never_alarmed),
        },
        folds=5,
        seeds=(0, 1),
    )
    assert found["knows"].accuracy().estimate == 1.0
    assert found["silent"].accuracy().estimate == pytest.approx(1 / 3)
    assert found["knows"].gain_over(found["silent"]).estimate == pytest.approx(2 / 3)
    assert found["knows"].columns().violative_recall == 1.0
    assert (found["knows"].category_S_N == labels_of(cases)).all()


def test_a_model_that_was_taught_a_case_may_not_judge_it() -> None:
    cases = made_up_cases(30)
    everything = frozenset(case.case_id for case in cases)

    def peeks(some: Sequence[DecidedCase], *, seed: int) -> KnowsCategories:
        return KnowsCategories(frozenset(), everything)

    with pytest.raises(CheckFailedError, match=r"was taught to the model that judges it \(6 such cases\)"):
        cross_validate(cases, {"peeks": Contender(Sight.WORDS, peeks)}, folds=5, seeds=(0,))


def test_too_many_folds_are_refused() -> None:
    with pytest.raises(BadInputError, match="11 folds, must be from 2 to 10"):
        cross_validate(made_up_cases(30), {}, folds=11)


def test_a_category_left_out_is_found_only_by_its_precedents() -> None:
    cases = made_up_cases(60)  # 20 of each of two violative categories: 10 judged, twice, for up to 10 precedents
    rows = leave_categories_out(cases, knows_what_it_was_taught, seeds=(0, 1))
    assert [row.category for row in rows] == [Category.SEXUAL_CONTENT, Category.FALSE_BENEFITS]
    for row in rows:
        assert list(row.found) == ["before", "1", "5", "refresh"]
        assert row.found["before"] == [False] * 30
        assert row.found["1"] == row.found["5"] == row.found["refresh"] == [True] * 30
        assert not any(row.flagged["5"])
    lines = left_out_table(rows).splitlines()
    assert lines[2].split() == ["sexual_content", "30", "0.000", "1.000", "1.000", "-", "1.000"]
    assert lines[-1].split()[:4] == ["refresh", "60", "0.000", "1.000"]
    assert lines[-1].split()[-3:] == ["1.000", "0.000,", "0.000"]


def test_a_stage_that_flags_more_positives_has_its_line_moved_up_by_hand() -> None:
    harmless = np.array([0.9, 0.2, 0.7, 0.1])
    assert 0.7 < line_of(harmless, most=1) < 0.7001
    assert 0.9 < line_of(harmless, most=0) < 0.9001
    assert line_of(harmless, most=4) == 0.0


def test_a_category_of_one_case_has_none_left_to_judge() -> None:
    cases = made_up_cases(40, Category.POSITIVE) + made_up_cases(60)[1:2]
    assert sum(case.category is not Category.POSITIVE for case in cases) == 1
    assert leave_categories_out(cases, knows_what_it_was_taught, seeds=(0,)) == []


def test_references_and_student_learn_what_words_say() -> None:
    cases = made_up_cases(90)
    found = cross_validate(
        cases,
        {
            "tf-idf": Contender(Sight.WORDS, TfidfFit()),
            "layout": Contender(Sight.LAYOUT, LayoutFit()),
            "student": Contender(Sight.WORDS, StudentFit(Sight.WORDS)),
        },
        folds=3,
        seeds=(0,),
    )
    assert found["tf-idf"].accuracy().estimate > 0.95
    assert found["student"].accuracy().estimate > 0.95
    assert found["layout"].accuracy().estimate < 0.9


def test_the_words_only_student_does_not_change_its_mind_for_layout() -> None:
    cases = made_up_cases(60)
    judge = StudentFit(Sight.WORDS)(cases[:45], seed=0)
    plain = judge.probabilities(cases[45:])
    uploads = [case.upload.model_copy(update={"picture_count": 1}) for case in cases[45:]]
    changed = [case.model_copy(update={"upload": u}) for case, u in zip(cases[45:], uploads, strict=True)]
    assert np.array_equal(judge.probabilities(changed), plain)


def test_given_precedents_are_remembered_as_taught() -> None:
    cases = made_up_cases(60)
    judge = StudentFit(Sight.WORDS)(cases[:45], seed=0)
    more = judge.with_precedents(cases[45:50])
    assert more.taught - judge.taught == {f"case-{i}" for i in range(45, 50)}
    assert len(more.policy.casebook) == len(judge.policy.casebook) + 5


def test_one_ruling_since_the_training_changes_the_verdict_on_its_near_duplicate_and_on_no_other() -> None:
    judge = StudentFit(Sight.WORDS)(made_up_cases(90), seed=0)
    ruled = said("ruled", "妈妈做的红烧肉", "小猫在海边一起看日出", Category.MISINFORMATION)
    edited = said("edited", "妈妈做红烧肉！", "小猫在海边一起看看日出", Category.MISINFORMATION)
    other = said("other", "周末爬山看风景", "周末在阳台看风景", Category.POSITIVE)
    before = judge.probabilities([edited, other])
    after = judge.with_precedents([ruled]).probabilities([edited, other])
    assert not toxic(before, judge.line).any()
    assert judgement(after, judge.line).tolist() == [Category.MISINFORMATION.position, POSITIVE_INDEX]
    assert after[1] == pytest.approx(before[1], abs=0.05)


def said(name: str, title: str, ocr: str, category: Category) -> DecidedCase:
    case = made_up_case(0, category=Category.POSITIVE)
    upload = case.upload.model_copy(update={"video_id": name, "title": title, "ocr": ocr})
    return case.model_copy(update={"case_id": name, "upload": upload, "category": category})


@pytest.mark.skipif(not PUBLIC_CASES.exists(), reason="the public KuaiMod cases do not lie beside the project")
def test_public_cases_give_a_table_with_every_row_and_its_interval() -> None:
    cases = read_cases(PUBLIC_CASES)[::4]
    lines = run_cross_validation(cases, folds=2, seeds=(0,)).report().splitlines()
    for name in (REFERENCE, LAYOUT, OURS, WITH_LAYOUT):
        (row,) = [line for line in lines if line.startswith(f"{name}  ")]
        assert "accuracy 0." in row
    assert any(line.startswith("gain of words only over the reference, paired: ") for line in lines)
    assert "175 of the benchmark's 1,000 cases" in lines[-1]
