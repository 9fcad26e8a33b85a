"""The page as a browser reads it: one mark and one row for each thing that the analysis found."""

import base64
import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ab_tests.report import words
from ab_tests.report.page import render, write_html
from ab_tests.report.reading import Blocked
from ab_tests.results import Analysis, Interval, Outcome
from contracts.errors import BadInputError
from contracts.experiments import MetricName
from tests.ab_tests.analyses import (
    BETTER,
    LAST_DAY,
    NOTHING,
    UNSEEN,
    WORSE,
    analysis_of,
    lopsided,
    one_arm_empty,
    sound,
    with_estimate,
    without_metric,
)
from tests.ab_tests.html_tree import Node, tree_of

HOSTILE = "<script>alert(1)</script> \"'><img src=x onerror=alert(2)> {{ 7 * 7 }} </style> &amp;"


def three_arms() -> Analysis:
    arms = [
        {"name": name, "share": share, "ranking": {"strength": strength}}
        for name, share, strength in (("control", 0.4, 0.0), ("mild", 0.3, 2.0), ("strong", 0.3, 4.0))
    ]
    return analysis_of(BETTER, test=sound(variants=arms), days=9)


@pytest.fixture(scope="module")
def better() -> Node:
    return tree_of(render(analysis_of(BETTER)))


def section(page: Node, name: str) -> Node:
    return page.one("section", id=name)


@pytest.mark.parametrize(
    ("make", "outcome"),
    [
        (lambda: analysis_of(BETTER), Outcome.BETTER),
        (lambda: analysis_of(WORSE), Outcome.WORSE),
        (lambda: analysis_of(NOTHING), Outcome.NO_DIFFERENCE),
        (lambda: analysis_of(UNSEEN, days=6), Outcome.NOT_ENOUGH),
    ],
)
def test_the_verdict_stands_first_in_plain_language(make: Callable[[], Analysis], outcome: Outcome) -> None:
    found = make()
    page = tree_of(render(found))
    assert found.verdicts[0].outcome is outcome
    first = page.all("h2")[0]
    assert first.text.lower() == outcome.value
    assert page.one("p", "said").text == words.typeset(found.verdicts[0].sentence)
    assert outcome.value in page.one("title").text


def test_not_enough_users_says_how_many_more_days() -> None:
    found = analysis_of(UNSEEN, days=6)
    assert f"{found.verdicts[0].more_days} days" in tree_of(render(found)).one("section", "verdict").text


def test_a_day_beyond_the_plan_is_said_to_be() -> None:
    late = analysis_of(BETTER, days=16)
    assert "day 16, 2 beyond the plan" in tree_of(render(late)).one("p", "eyebrow").text
    assert "day 14 of 14" in tree_of(render(analysis_of(BETTER))).one("p", "eyebrow").text


def test_the_warning_about_interference_follows_the_verdict(better: Node) -> None:
    notice = better.one("aside", "notice")
    assert "Arms share videos, reports and precedents" in notice.all("li")[0].text
    assert len(notice.all("li")) == len(analysis_of(BETTER).caveats)


def test_every_metric_has_one_row_with_one_mark(better: Node) -> None:
    effects = section(better, "effects")
    rows = effects.all("tr", role="row")
    measured = [row for row in rows if "data-metric" in row.attributes]
    assert {row.attributes["data-metric"] for row in measured} == {metric.value for metric in MetricName}
    assert len(measured) == len(MetricName)
    assert all(len(row.all("path", "marker")) == len(row.all("line", "interval")) == 1 for row in measured)
    assert all(len(row.all("line", "band")) == 1 for row in measured), "each has the band for daily looks"
    assert len(effects.all("table", "marks")) == 4
    assert len(effects.all("rect", "beyond")) == 2 + 1, "two guardrails, and the legend"
    assert len(effects.all("rect", "zone")) == 1 + 1, "the primary metric, and the legend"


def test_numbers_stand_beside_the_marks(better: Node) -> None:
    row = section(better, "effects").one("tr", data_metric="report_rate")
    assert "−23.8% [−26.9%, −20.6%]" in row.text
    assert "<0.001" in row.text
    guarded = section(better, "effects").one("tr", data_metric="active_days").text
    assert "guardrail held : at worst −0.09%, margin −1.0%" in guarded


def test_every_look_of_every_metric_is_drawn_and_tabled(better: Node) -> None:
    figures = section(better, "days").all("figure")
    assert len(figures) == len(MetricName)
    for figure in figures:
        assert len(figure.one("svg", "daily").all("circle", "look")) == 14
        assert len(figure.one("tbody").all("tr")) == 14
        assert figure.one("div", "chart").attributes["aria-label"]
    assert "band [−27.2%, −20.3%], one look [−26.9%, −20.6%]" in figures[0].text.replace(" , ", ", ")


def test_surfaces_and_segments_have_a_row_for_every_metric_that_they_measure(better: Node) -> None:
    surfaces, segments = section(better, "surface"), section(better, "activity")
    assert len(surfaces.all("div", "card")) == 4, "only metrics of impressions know their surface"
    assert len(surfaces.all("path", "marker")) == 4 * 3
    assert len(segments.all("div", "card")) == len(MetricName)
    assert len(segments.all("path", "marker")) == len(MetricName) * 4
    assert segments.text.count("Cochran's Q") == len(MetricName) + 1, "each metric's test, and the note"


def test_the_sample_ratio_shows_expected_and_seen(better: Node) -> None:
    """96,852 users, half and half: 48,426 expected of each."""
    ratio = section(better, "ratio")
    rows = [row.text for row in ratio.one("table", "ratio").one("tbody").all("tr")]
    assert [("48,426" in row, row.count("%")) for row in rows] == [(True, 3), (True, 3)]
    assert "48,406" in rows[0]
    assert "48,446" in rows[1]
    assert "cannot see" in ratio.text
    assert len(ratio.all("li")) == 3


def test_power_cuped_and_counts_agree_with_the_record(better: Node) -> None:
    found = analysis_of(BETTER)
    power = section(better, "power").one("tbody").all("tr")
    assert len(power) == len(found.power)
    assert f"about {found.power[0].more_days} days" in power[0].text
    cuped = section(better, "cuped").one("tbody").all("tr")
    assert len(cuped) == len(found.estimates)
    assert "30.0% narrower" in cuped[0].text
    counts = section(better, "population").text
    assert all(count in counts for count in ("96,964", "112", "96,852", "48,406 in control", "48,446 in treatment"))


def test_definitions_and_declaration_are_printed(better: Node) -> None:
    definitions = section(better, "definitions")
    assert {one.attributes["data-metric"] for one in definitions.all("div")} == {metric.value for metric in MetricName}
    assert "reports / impressions, over all users of the arm" in definitions.text
    declared = section(better, "declaration").text
    for part in ("toxicity-ranking-salt", "strength = 4.0", "14 days of pre-period", "80% power", "no worse than 1%"):
        assert part in declared.replace(" ;", ";")


def test_several_arms_each_have_their_verdict_and_their_plots() -> None:
    found = three_arms()
    page = tree_of(render(found))
    assert [heading.text for heading in page.all("h2")[:2]] == ["mild: better", "strong: better"]
    assert len(section(page, "days").all("figure")) == 2 * len(MetricName)
    marked = [row for row in section(page, "effects").all("tr", role="row") if row.all("path", "marker")]
    assert len(marked) == 2 * len(MetricName)
    assert len(page.one("table", "ratio").one("tbody").all("tr")) == 3


def test_an_unmeasured_metric_is_said_to_be_and_not_drawn() -> None:
    found = without_metric(analysis_of(UNSEEN, days=6), MetricName.RETENTION, "retention is known from day 8 on")
    page = tree_of(render(found))
    row = section(page, "effects").one("tr", data_metric="retention")
    assert "not measured" in row.text
    assert "retention is known from day 8 on" in row.text
    assert not row.all("path", "marker")
    assert len(section(page, "days").all("figure")) == len(MetricName) - 1


@pytest.mark.parametrize("lost", [math.nan, math.inf])
def test_an_effect_that_is_no_number_is_shown_as_not_measured(lost: float) -> None:
    nowhere = Interval(math.nan, math.nan)
    found = with_estimate(
        analysis_of(BETTER), MetricName.ACTIVE_DAYS, relative=lost, relative_interval=nowhere, plain_interval=nowhere
    )
    text = render(found)
    row = section(tree_of(text), "effects").one("tr", data_metric="active_days")
    assert "not measured" in row.text
    assert not row.all("path", "marker")
    assert not re.search(r"\bnan\b|\binf\b", tree_of(text).text, re.IGNORECASE)
    assert "nan%" not in text


def test_nothing_measured_at_all_still_makes_a_page() -> None:
    found = analysis_of(BETTER)
    for metric in MetricName:
        found = without_metric(found, metric, "control has 1 users, must have 2 or more")
    bare = replace(found, verdicts=(replace(found.verdicts[0], outcome=Outcome.NOT_ENOUGH, more_days=None),))
    page = tree_of(render(bare))
    assert page.all("h2")[0].text == "Not enough users"
    assert (
        not section(page, "effects")
        .one("table", "marks", aria_label="Effects of treatment: primary metric")
        .all("path", "marker")
    )


BLOCKED: list[Callable[[], Analysis | Blocked]] = [
    lambda: lopsided(analysis_of(BETTER)),
    lambda: one_arm_empty(analysis_of(BETTER)),
    lambda: Blocked(sound(), LAST_DAY, "toxicity-ranking: nobody was exposed; no verdict"),
]


@pytest.mark.parametrize("make", BLOCKED)
def test_a_blocked_analysis_says_so_first_and_shows_no_effect(make: Callable[[], Analysis | Blocked]) -> None:
    text = render(make())
    page = tree_of(text)
    assert page.all("h2")[0].text == "No verdict: the data cannot be trusted"
    assert not page.all("figure")
    assert not page.all("section", id="effects")
    assert not page.all("line", "interval")
    for trace in ("−23.8", "-23.8", "is better:", "narrower"):
        assert trace not in text
    assert section(page, "definitions")
    assert section(page, "declaration")


def test_a_failed_sample_ratio_is_shown_on_the_blocked_page() -> None:
    page = tree_of(render(lopsided(analysis_of(BETTER))))
    assert "alarm" in section(page, "ratio").text
    assert len(page.all("path", "worse")) == 2, "both arms lie outside of chance"


def test_whatever_an_author_wrote_is_escaped() -> None:
    test = sound()
    arms = (test.variants[0], test.variants[1].model_copy(update={"ranking": {HOSTILE: HOSTILE}}))
    hostile = test.model_copy(
        update={"hypothesis": HOSTILE, "salt": HOSTILE, "experiment_id": HOSTILE, "layer": HOSTILE, "variants": arms}
    )
    found = replace(
        without_metric(analysis_of(BETTER), MetricName.RETENTION, HOSTILE), experiment=hostile, caveats=(HOSTILE,)
    )
    for finding in (found, lopsided(found), Blocked(hostile, LAST_DAY, HOSTILE)):
        text = render(finding)
        page = tree_of(text)
        assert not page.all("script")
        assert not page.all("img")
        assert "<script" not in text
        assert "{{ 7 * 7 }}" in text
        assert "49" not in page.one("h1").text
        assert page.one("h1").text == HOSTILE
        assert not [node for node in page.walk() if any(name.startswith("on") for name in node.attributes)]


def test_the_page_needs_nothing_from_outside() -> None:
    text = render(analysis_of(BETTER))
    page = tree_of(text)
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert not re.search(r"url\(|@import|src=", text)
    assert not page.all("script")
    assert {link.attributes["href"] for link in page.all("link")} == {"data:,"}
    targets = {node.attributes["id"] for node in page.walk() if "id" in node.attributes}
    assert {link.attributes["href"] for link in page.all("a")} <= {f"#{target}" for target in targets}


def test_the_policy_lets_in_this_style_and_nothing_else(better: Node) -> None:
    style = "".join(child for child in better.one("style").children if isinstance(child, str))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = better.one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    assert not [node for node in better.walk() if "style" in node.attributes], "the policy would not apply it"


def test_drawings_are_hidden_from_screen_readers_and_headings_do_not_skip(better: Node) -> None:
    nested = {id(child) for svg in better.all("svg") for child in svg.walk() if child is not svg}
    assert all(svg.attributes["aria-hidden"] == "true" for svg in better.all("svg") if id(svg) not in nested)
    levels = [int(node.tag[1]) for node in better.walk() if re.fullmatch(r"h[1-6]", node.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    labels = {
        node.attributes[name] for node in better.walk() for name in ("aria-labelledby",) if name in node.attributes
    }
    assert all(better.one(id=label) for label in labels)


def test_the_page_is_written(tmp_path: Path) -> None:
    write_html(analysis_of(BETTER), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"report\.html: cannot be written: No such file"):
        write_html(analysis_of(BETTER), tmp_path / "nowhere" / "report.html")
