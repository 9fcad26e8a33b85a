"""The same report as text."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from ab_tests.report.markdown import escaped, to_markdown
from ab_tests.report.reading import Blocked
from ab_tests.results import Analysis
from contracts.experiments import MetricName
from tests.ab_tests.analyses import (
    BETTER,
    LAST_DAY,
    NOTHING,
    UNSEEN,
    analysis_of,
    lopsided,
    one_arm_empty,
    sound,
    without_metric,
)


def tables(text: str) -> list[list[list[str]]]:
    """Every table as rows of cells, its head first, without the rule below it."""
    found = []
    for block in text.split("\n\n"):
        lines = block.strip().split("\n")
        if lines[0].startswith("|"):
            rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
            found.append([[cell.strip() for cell in row] for row in (rows[0], *rows[2:])])
    return found


def test_the_verdict_stands_first() -> None:
    lines = to_markdown(analysis_of(BETTER)).split("\n")
    assert lines[0] == "# toxicity-ranking: better"
    assert lines[2] == "**treatment is better: report rate −23.8% (−27.2% to −20.3%).**"


@pytest.mark.parametrize("effects", [BETTER, NOTHING, UNSEEN])
def test_every_row_of_a_table_has_the_cells_of_its_head(effects: dict[MetricName, tuple[float, float, float]]) -> None:
    found = without_metric(analysis_of(effects), MetricName.RETENTION, "a | reason")
    for head, *rows in tables(to_markdown(found)):
        assert rows, head
        assert {len(row) for row in rows} == {len(head)}


def test_tables_have_a_row_for_each_thing_found() -> None:
    found = analysis_of(BETTER)
    sizes: dict[str, list[int]] = {}
    for head, *rows in tables(to_markdown(found)):
        sizes.setdefault(head[0], []).append(len(rows))
    assert sizes == {"Metric": [8, 4 * 3, 8 * 4, 8], "Day": [14], "Arm": [2]}


def test_a_row_says_what_the_page_says() -> None:
    effects = tables(to_markdown(analysis_of(BETTER)))[0]
    assert effects[1] == [
        "Report rate",
        "lower",
        "4.120",
        "3.139 reports per 1,000 impressions",
        "−23.8% [−26.9%, −20.6%]",
        "&lt;0.001",
        "better",
    ]
    assert ["3.100", "2.164 exposures per 1,000 impressions"] in [row[2:4] for row in effects]
    assert effects[2][-1] == "not clear; guardrail held: at worst −0.09%, margin −1.0%"


def test_interference_definitions_and_leaks_are_said() -> None:
    text = to_markdown(analysis_of(BETTER))
    for part in ("not that of launching to all", "reports / impressions", "cannot see", "salt toxicity-ranking-salt"):
        assert part in text


BLOCKED: list[Callable[[], Analysis | Blocked]] = [
    lambda: lopsided(analysis_of(BETTER)),
    lambda: one_arm_empty(analysis_of(BETTER)),
    lambda: Blocked(sound(), LAST_DAY, "nobody was exposed"),
]


@pytest.mark.parametrize("make", BLOCKED)
def test_a_blocked_analysis_says_so_first_and_shows_no_effect(make: Callable[[], Analysis | Blocked]) -> None:
    text = to_markdown(make())
    assert text.startswith("# toxicity-ranking: no verdict")
    assert "−23.8" not in text
    assert "## Effect" not in text
    assert "## What each metric means" in text


def test_words_of_an_author_form_no_heading_no_table_and_no_html() -> None:
    hostile = "fine\n\n# Verdict: better\n| a | <script>alert(1)</script> [x](y) **bold** `code`"
    found = analysis_of(BETTER)
    shown = to_markdown(replace(found, experiment=found.experiment.model_copy(update={"hypothesis": hostile})))
    assert "<script" not in shown
    assert "\n# Verdict" not in shown
    assert r"fine \# Verdict: better \| a \| &lt;script&gt;alert(1)&lt;/script&gt; \[x\](y) \*\*bold\*\*" in shown


def test_escaping_leaves_plain_words_alone() -> None:
    assert escaped("It helps, by 5% - or so.") == "It helps, by 5% - or so."
