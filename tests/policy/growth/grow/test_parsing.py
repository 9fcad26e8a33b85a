"""Answers of every kind: each line is a name, or is refused by the first rule that it breaks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.growth import Origin, TypeNode, spelling_of
from policy.growth.grow.parsing import Refusal, parse

PARENT = ("Charts", "Bar charts")


def read(text: str, *, most_lines: int = 10) -> list[tuple[str | None, Refusal | None]]:
    return [(line.name, line.refused) for line in parse(text, PARENT, most_lines=most_lines).lines]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("Stacked bars", "Stacked bars"),
        ("\t Stacked   bars\r", "Stacked bars"),
        ("- Stacked bars", "Stacked bars"),
        ("12. Stacked bars", "Stacked bars"),
        ("(3) Stacked bars", "Stacked bars"),
        ("2、堆积柱状图", "堆积柱状图"),
        ("Charts~Bar charts~Stacked bars", "Stacked bars"),
        ("CHARTS ~ bar-charts ~ Stacked bars", "Stacked bars"),
        ("3D bars", "3D bars"),
        ("3.5 inch labels", "3.5 inch labels"),
        ("Before/after bars", "Before/after bars"),
        ("Bars: grouped", "Bars: grouped"),
        ("Two-sided bars", "Two-sided bars"),
        ("x" * 120, "x" * 120),
    ],
)
def test_a_name_is_read_with_what_is_forgiven(line: str, name: str) -> None:
    assert read(line) == [(name, None)]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("Stacked\x07 bars", Refusal.CONTROL),
        ("Stacked\tbars", Refusal.CONTROL),
        ("Stacked\u200b bars", Refusal.CONTROL),
        ("Stacked\u202e bars", Refusal.CONTROL),
        ("Stacked \ud800", Refusal.CONTROL),
        ("---", Refusal.EMPTY),
        ("* ", Refusal.EMPTY),
        ("Charts~Bar charts~", Refusal.EMPTY),
        ("Tables~Stacked bars", Refusal.INVENTED_LEVELS),
        ("Bar charts~Stacked bars", Refusal.INVENTED_LEVELS),
        ("Charts~Bar charts~Stacked~Twice", Refusal.INVENTED_LEVELS),
        ("~Stacked bars", Refusal.INVENTED_LEVELS),
        ("Bar charts > Stacked", Refusal.OTHER_SEPARATOR),
        ("Bars -> Stacked", Refusal.OTHER_SEPARATOR),
        ("Bars → Stacked", Refusal.OTHER_SEPARATOR),
        ("Bars / Stacked", Refusal.OTHER_SEPARATOR),
        ("Bars::Stacked", Refusal.OTHER_SEPARATOR),
        ("Bars|Stacked", Refusal.OTHER_SEPARATOR),
        ("Bars\\Stacked", Refusal.OTHER_SEPARATOR),
        ("Charts～Bar charts～Stacked", Refusal.OTHER_SEPARATOR),
        ("bar charts: Stacked", Refusal.OTHER_SEPARATOR),
        ("Charts/Stacked", Refusal.OTHER_SEPARATOR),
        ("Bar charts - Stacked", Refusal.OTHER_SEPARATOR),
        ("Here are the types:", Refusal.NOT_A_NAME),
        ("Stacked bars are common.", Refusal.NOT_A_NAME),
        ("**Stacked bars**", Refusal.NOT_A_NAME),
        ('["Stacked bars"]', Refusal.NOT_A_NAME),
        ("x" * 121, Refusal.TOO_LONG),
        ("x" * 5_000, Refusal.TOO_LONG),
        ("charts", Refusal.CYCLE),
        ("BAR-CHARTS", Refusal.CYCLE),
    ],
)
def test_a_line_is_refused_by_the_first_rule_it_breaks(line: str, rule: Refusal) -> None:
    assert read(line) == [(None, rule)]
    assert not parse(line, PARENT, most_lines=5).usable


def test_a_name_that_comes_again_is_refused_however_it_is_spelled() -> None:
    assert read("Stacked bars\nstacked-BARS\nGrouped") == [
        ("Stacked bars", None),
        (None, Refusal.REPEATED),
        ("Grouped", None),
    ]


def test_of_thousands_of_lines_the_first_are_read_and_the_rest_are_one_refusal_that_counts_them() -> None:
    parsed = parse("\n\n".join(f"Type {n}" for n in range(5_000)), PARENT, most_lines=30)
    assert [line.name for line in parsed.lines[:30]] == [f"Type {n}" for n in range(30)]
    assert parsed.lines[30] == ("Type 30", None, Refusal.TOO_MANY, 4_970)
    assert len(parsed.lines) == 31


def test_an_answer_that_nothing_is_missing_is_heard_and_an_empty_one_says_nothing() -> None:
    for text in ("NONE", " none.\n", "<think>Stacked bars?\nthere already</think>\nNONE"):
        parsed = parse(text, PARENT, most_lines=5)
        assert (parsed.lines, parsed.none, parsed.usable) == ((), True, True)
    assert parse(" \n\r\n", PARENT, most_lines=5) == ((), False)
    assert not parse("", PARENT, most_lines=5).usable


def test_none_among_names_is_no_name() -> None:
    assert read("Stacked\nNone") == [("Stacked", None), (None, Refusal.NOT_A_NAME)]


@given(st.text(alphabet=st.characters(codec=None), max_size=300), st.integers(1, 4))
def test_whatever_is_answered_every_line_is_counted_and_every_name_makes_a_type(text: str, most_lines: int) -> None:
    parsed = parse(text, PARENT, most_lines=most_lines)
    said = sum(1 for line in text.rpartition("</think>")[2].split("\n") if line.strip())
    assert parsed.none or sum(line.lines for line in parsed.lines) == said
    for line in parsed.lines:
        assert (line.name is None) == (line.refused is not None)
        line.text.encode()
        if line.name is not None:
            TypeNode(node_id="t", path=(*PARENT, line.name), origin=Origin.GROWN)
            assert spelling_of(line.name) not in {"", "charts", "bar charts"}
