"""The benchmark's columns by hand, its table, its prediction format, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import BadInputError
from contracts.kuaimod import BENCHMARK_DAY
from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX, VIOLATIVE_GROUPS, Category, Group
from contracts.verdicts import Decision, Verdict
from policy.benchmark.columns import HEADINGS, PUBLISHED, Columns, judge_columns, mean_columns, table
from policy.benchmark.cross_validation import judgement, toxic
from policy.benchmark.intervals import over_cases, paired_gain
from policy.benchmark.kuaimod import refuse_taught, run_benchmark
from policy.benchmark.published import write_predictions
from policy.benchmark.sight import Sight, seen
from tests.policy.kuaimod_cases import made_up_case, made_up_cases

LABELS = np.array(
    [
        category.position
        for category in (
            Category.POSITIVE,
            Category.POSITIVE,
            Category.POSITIVE,
            Category.ILLEGAL_ACTIVITY,
            Category.ABUSE_AND_HATE,
            Category.SEXUAL_CONTENT,
            Category.PLAGIARISM,
        )
    ]
)
FOUND = np.array([False, False, True, True, False, True, True])


def verdict_of(category: Category, *, missing: tuple[str, ...] = ("frames", "feedback")) -> Verdict:
    probabilities = np.full(N_CATEGORIES, 0.02)
    probabilities[category.position] = 0.7
    toxicity = 1.0 - probabilities[POSITIVE_INDEX]
    return Verdict(
        event_id="e",
        video_id="v",
        author_id="a",
        occurred_at=BENCHMARK_DAY,
        scored_at=BENCHMARK_DAY,
        probabilities=tuple(probabilities),
        classifier=tuple(probabilities),
        toxicity=toxicity,
        category=category,
        decision=Decision.ALLOW,
        citations=(),
        missing=missing,
        release_version=1,
        casebook_version=1,
        taxonomy_version="kuaimod-16",
        since_upload_ms=0.0,
    )


def test_columns_of_seven_cases_by_hand() -> None:
    columns = judge_columns(LABELS, FOUND)
    assert columns.accuracy == pytest.approx(5 / 7)
    assert columns.positive_precision == pytest.approx(2 / 3)  # judged positive: two that are, one that is not
    assert columns.positive_recall == pytest.approx(2 / 3)
    assert columns.violative_precision == pytest.approx(3 / 4)
    assert columns.violative_recall == pytest.approx(3 / 4)
    assert columns.recall_by_group[Group.LAW_AND_SAFETY] == pytest.approx(1 / 2)
    assert columns.recall_by_group[Group.CONTENT_ETHICS] == 1.0
    assert columns.recall_by_group[Group.INTELLECTUAL_PROPERTY] == 1.0
    assert np.isnan(columns.recall_by_group[Group.COMMERCIAL])


def test_group_recalls_weighted_by_size_are_the_violative_recall() -> None:
    columns = judge_columns(LABELS, FOUND)
    sizes = {Group.LAW_AND_SAFETY: 2, Group.CONTENT_ETHICS: 1, Group.INTELLECTUAL_PROPERTY: 1}
    found = sum(columns.recall_by_group[group] * size for group, size in sizes.items())
    assert found / 4 == pytest.approx(columns.violative_recall)


def test_the_papers_group_recalls_weighted_by_the_public_sizes_are_its_violative_recall() -> None:
    columns = dict(PUBLISHED)["KuaiMod-7B, 16 classes as binary"]
    weighted = np.average([columns.recall_by_group[g] for g in VIOLATIVE_GROUPS], weights=[127, 121, 40, 12])
    assert weighted == pytest.approx(columns.violative_recall, abs=0.01)


def test_the_mean_of_rows_is_taken_column_by_column() -> None:
    mean = mean_columns([judge_columns(LABELS, FOUND), judge_columns(LABELS, ~FOUND)])
    assert mean.accuracy == pytest.approx(0.5)
    assert mean.violative_recall == pytest.approx(0.5)
    assert mean.recall_by_group[Group.CONTENT_ETHICS] == pytest.approx(0.5)


def test_a_table_has_a_dash_where_nothing_was_published() -> None:
    lines = table([*PUBLISHED, ("ours", Columns(0.5))], notes=[""] * len(PUBLISHED) + ["a note"]).splitlines()
    assert lines[0].split() == [word for heading in HEADINGS for word in heading.split()]
    assert lines[-1].split() == ["ours", "0.500", *["-"] * 8, "a", "note"]
    assert lines[-2].endswith("0.877       0.833       0.855       0.706")


def test_the_likeliest_violative_category_is_the_judgement_once_the_line_is_reached() -> None:
    probabilities = np.full((2, N_CATEGORIES), 0.02)
    probabilities[:, Category.PLAGIARISM.position] = (0.2, 0.3)
    probabilities[:, POSITIVE_INDEX] = 1 - np.delete(probabilities, POSITIVE_INDEX, axis=1).sum(axis=1)
    assert probabilities[:, POSITIVE_INDEX] == pytest.approx([0.52, 0.42])
    assert judgement(probabilities, 0.5).tolist() == [POSITIVE_INDEX, Category.PLAGIARISM.position]
    assert toxic(probabilities, 0.48 - 1e-9).all()


def test_an_interval_of_equal_gains_has_no_width() -> None:
    gain = paired_gain(np.ones((3, 50), np.bool_), np.zeros((3, 50), np.bool_))
    assert (gain.low, gain.estimate, gain.high) == (1.0, 1.0, 1.0)
    assert gain.points() == "+100.0 points [+100.0, +100.0]"


def test_more_splits_of_the_same_judgements_do_not_narrow_an_interval() -> None:
    right = np.random.default_rng(0).random((1, 400)) < 0.75
    once, thrice = over_cases(right), over_cases(np.repeat(right, 3, axis=0))
    assert (once.low, once.high) == (thrice.low, thrice.high)
    assert once.high - once.low == pytest.approx(2 * 1.96 * np.sqrt(0.75 * 0.25 / 400), rel=0.15)


def test_words_only_hides_that_a_text_or_a_picture_is_missing() -> None:
    case = seen(made_up_case(12, Category.POSITIVE), Sight.WORDS)
    assert (case.upload.ocr, case.upload.asr, case.upload.picture_count) == ("", "", None)
    assert seen(made_up_case(12, Category.POSITIVE), Sight.LAYOUT).upload.picture_count == 4


def test_predictions_are_two_chinese_labels_a_line(tmp_path: Path) -> None:
    cases = [made_up_case(0, Category.POSITIVE), made_up_case(1, Category.SEXUAL_CONTENT)]
    write_predictions(tmp_path / "out.jsonl", cases, [Category.PLAGIARISM.position, Category.SEXUAL_CONTENT.position])
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines == [{"tag": "正向", "judgement": "盗用抄袭作品"}, {"tag": "色情低俗", "judgement": "色情低俗"}]


def test_a_release_gets_its_row_under_the_published_ones_and_says_what_it_did_not_see() -> None:
    cases = made_up_cases(6)
    verdicts = [verdict_of(case.category) for case in cases]
    lines = run_benchmark(cases, verdicts, name="Precedent, release 7").splitlines()
    assert lines[len(PUBLISHED) + 1].split()[:4] == ["Precedent,", "release", "7", "1.000"]
    assert "no picture" in lines[-1]
    assert "6 of the benchmark's 1,000 cases" in lines[-1]


def test_a_release_that_was_taught_a_case_is_refused() -> None:
    taught = frozenset({"case-3", "case-5", "other"})
    with pytest.raises(BadInputError, match=r"case-3 and 1 more of 6 were taught to Precedent, release 7"):
        refuse_taught(made_up_cases(6), taught, name="Precedent, release 7")
    refuse_taught(made_up_cases(6), frozenset({"other"}), name="Precedent, release 7")


def test_a_video_that_was_taught_under_another_case_id_is_refused() -> None:
    cases = made_up_cases(2)
    with pytest.raises(BadInputError, match=r"case-1 and 0 more of 2"):
        refuse_taught(cases, frozenset({cases[1].upload.video_id}), name="release")
